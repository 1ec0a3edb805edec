import { invariant } from '../kernel/invariant.js';
import { packFields } from './msgpack.js';

/**
 * An encoded body in pieces that follow each other. The bytes of a change are a piece of their own, the caller's own
 * array: they are copied once, into the datagram, and are not to be written to meanwhile.
 */
export interface Body {
  readonly parts: readonly Uint8Array[];
  readonly length: number;
}

export function bodyOfFields(fields: readonly unknown[]): Body {
  const part = packFields(fields);
  return { parts: [part], length: part.length };
}

export function bodyOfParts(parts: readonly Uint8Array[]): Body {
  let length = 0;
  for (const part of parts) length += part.length;
  return { parts, length };
}

/** Copies `length` bytes of the body from position `from` to `target` at `at`. */
export function copyBody(body: Body, range: { from: number; length: number }, target: Uint8Array, at: number): void {
  let { from, length } = range;
  let write = at;
  for (const part of body.parts) {
    if (length === 0) return;
    if (from >= part.length) {
      from -= part.length;
      continue;
    }
    const take = Math.min(part.length - from, length);
    target.set(take === part.length ? part : part.subarray(from, from + take), write);
    write += take;
    length -= take;
    from = 0;
  }
  invariant(length === 0, 'a fragment reaches beyond its body');
}
