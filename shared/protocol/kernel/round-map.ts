import type { Epoch, RoundId } from './ids.js';
import { sameEpoch } from './ids.js';

interface Reign<Value> {
  readonly epoch: Epoch;
  readonly byNumber: Map<number, Value>;
}

/**
 * What is remembered of rounds, up to a bound; the oldest entry of the oldest reign goes first. Looked up
 * several times for each packet, so a round is found by its number and not by a text made of its name.
 */
export class RoundMap<Value> {
  /** The one heard of last stands first. */
  #reigns: Reign<Value>[] = [];
  #size = 0;
  readonly #bound: number;

  constructor(bound: number) {
    this.#bound = bound;
  }

  get size(): number {
    return this.#size;
  }

  get(round: RoundId): Value | undefined {
    return this.#reignOf(round.epoch)?.byNumber.get(round.number);
  }

  has(round: RoundId): boolean {
    return this.#reignOf(round.epoch)?.byNumber.has(round.number) ?? false;
  }

  set(round: RoundId, value: Value): void {
    const { byNumber } = this.#reignOf(round.epoch) ?? this.#begin(round.epoch);
    if (byNumber.delete(round.number)) this.#size -= 1;
    byNumber.set(round.number, value);
    this.#size += 1;
    if (this.#size > this.#bound) this.#forgetOldest();
  }

  clear(): void {
    this.#reigns = [];
    this.#size = 0;
  }

  /** Newest reign first; within one in the order of writing. */
  *values(): IterableIterator<Value> {
    for (const { byNumber } of this.#reigns) yield* byNumber.values();
  }

  #reignOf(epoch: Epoch): Reign<Value> | undefined {
    for (const reign of this.#reigns) if (sameEpoch(reign.epoch, epoch)) return reign;
    return undefined;
  }

  #begin(epoch: Epoch): Reign<Value> {
    const reign: Reign<Value> = { epoch, byNumber: new Map() };
    this.#reigns.unshift(reign);
    return reign;
  }

  #forgetOldest(): void {
    const oldest = this.#reigns.at(-1);
    if (oldest === undefined) return;
    for (const number of oldest.byNumber.keys()) {
      oldest.byNumber.delete(number);
      this.#size -= 1;
      break;
    }
    if (oldest.byNumber.size === 0) this.#reigns.pop();
  }
}
