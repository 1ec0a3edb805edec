import { Packr } from 'msgpackr';
import { digestOf } from '../kernel/digest.js';
import type { Digest } from '../kernel/ids.js';

/** 128 bits as four 32-bit numbers, which engines add without allocating. */
export interface Lanes {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly d: number;
}

const packr = new Packr({ useRecords: false });

/** h(key, value): of what both sides hold, so of the encoding of the decoded value. */
export function entryLanes(key: string, value: unknown): Lanes {
  const hex = digestOf(packr.pack([key, value]));
  return { a: lane(hex, 0), b: lane(hex, 8), c: lane(hex, 16), d: lane(hex, 24) };
}

/**
 * The digest of a set of entries: the sum of h(key, value) in each lane, modulo 2^32. A sum knows no order, so it is
 * the same whatever path led to the state. It stands guard against our own faults, not against a forger.
 */
export class DigestSum {
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  add(lanes: Lanes): void {
    this.#a = (this.#a + lanes.a) | 0;
    this.#b = (this.#b + lanes.b) | 0;
    this.#c = (this.#c + lanes.c) | 0;
    this.#d = (this.#d + lanes.d) | 0;
  }

  digest(): Digest {
    return [this.#a, this.#b, this.#c, this.#d]
      .map((part) => (part >>> 0).toString(16).padStart(8, '0'))
      .join('') as Digest;
  }
}

function lane(hex: string, start: number): number {
  return Number.parseInt(hex.slice(start, start + 8), 16) | 0;
}
