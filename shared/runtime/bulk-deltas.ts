import { Packr } from 'msgpackr';
import { isIntact } from '../protocol/kernel/digest.js';
import type { ChainId, Delta, Digest, Tip } from '../protocol/kernel/ids.js';
import { parseVersion } from '../protocol/kernel/ids.js';
import { limits } from '../protocol/kernel/limits.js';

/**
 * Deltas as they go over a stream, one after another: the length of the head (32 bits, big-endian), the head (msgpack:
 * from, to, digest, length of the bytes), the bytes. A tip is `[epoch number, claimant, version, chain id]` or null.
 */
const headLengthBytes = 4;
const maxHeadBytes = 1024;
/** Small deltas travel together: one write to the socket for each would be slow. */
const chunkBytes = 64 * 1024;

const packr = new Packr({ useRecords: false });

type PackedTip = readonly [number, string, number, string] | null;

function packTip(tip: Tip | null): PackedTip {
  return tip === null ? null : [tip.epoch.number, tip.epoch.claimant, tip.version, tip.chain];
}

function encodeHead(delta: Delta): Uint8Array {
  const head = packr.pack([packTip(delta.from), packTip(delta.to), delta.digest, delta.bytes.byteLength]);
  const framed = Buffer.allocUnsafe(headLengthBytes + head.byteLength);
  framed.writeUInt32BE(head.byteLength, 0);
  framed.set(head, headLengthBytes);
  return framed;
}

/** The stream that `DeltaStreamDecoder` reads. */
export function* encodeDeltaStream(deltas: Iterable<Delta>): Iterable<Uint8Array> {
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (const delta of deltas) {
    const head = encodeHead(delta);
    parts.push(head, delta.bytes);
    bytes += head.byteLength + delta.bytes.byteLength;
    if (bytes < chunkBytes) continue;
    yield Buffer.concat(parts, bytes);
    parts = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(parts, bytes);
}

export type DeltaStreamResult =
  { readonly ok: true; readonly deltas: readonly Delta[] } | { readonly ok: false; readonly reason: string };

/** Takes a stream apart as it comes, in whatever chunks. A peer's bytes never throw; each delta's digest is checked (G11). */
export class DeltaStreamDecoder {
  #parts: Uint8Array[] = [];
  #buffered = 0;
  #head: { readonly from: Tip | null; readonly to: Tip; readonly digest: Digest; readonly length: number } | null =
    null;

  /** After `ok: false` the stream is worthless. */
  push(chunk: Uint8Array): DeltaStreamResult {
    this.#parts.push(chunk);
    this.#buffered += chunk.byteLength;
    const deltas: Delta[] = [];
    for (;;) {
      if (this.#head === null) {
        const failure = this.#takeHead();
        if (failure !== null) return { ok: false, reason: failure };
      }
      if (this.#head === null || this.#buffered < this.#head.length) return { ok: true, deltas };
      const { length, ...names } = this.#head;
      const delta: Delta = { ...names, bytes: this.#take(length) };
      this.#head = null;
      if (!isIntact(delta)) return { ok: false, reason: 'a delta does not match its digest' };
      deltas.push(delta);
    }
  }

  /** True when the stream ended at the end of a delta. */
  get complete(): boolean {
    return this.#head === null && this.#buffered === 0;
  }

  /** Null: went well, or more bytes are needed. */
  #takeHead(): string | null {
    if (this.#buffered < headLengthBytes) return null;
    const joined = this.#join();
    const length = joined.readUInt32BE(0);
    if (length > maxHeadBytes) return 'a head is too long';
    if (joined.byteLength < headLengthBytes + length) return null;
    const head = parseHead(joined.subarray(headLengthBytes, headLengthBytes + length));
    if (head === null) return 'a head is malformed';
    this.#take(headLengthBytes + length);
    this.#head = head;
    return null;
  }

  #join(): Buffer {
    const [only] = this.#parts;
    const joined =
      this.#parts.length === 1 && only !== undefined
        ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
        : Buffer.concat(this.#parts, this.#buffered);
    this.#parts = [joined];
    return joined;
  }

  #take(length: number): Uint8Array {
    const joined = this.#join();
    const rest = joined.subarray(length);
    this.#parts = rest.byteLength === 0 ? [] : [rest];
    this.#buffered = rest.byteLength;
    return joined.subarray(0, length);
  }
}

function parseHead(bytes: Uint8Array): { from: Tip | null; to: Tip; digest: Digest; length: number } | null {
  const head = unpack(bytes);
  if (!Array.isArray(head) || head.length !== 4) return null;
  const [from, to, digest, length] = head as unknown[];
  const parsedTo = parseTip(to);
  const parsedFrom = from === null ? null : parseTip(from);
  if (parsedTo === null || (from !== null && parsedFrom === null) || !isHex128(digest)) return null;
  if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0 || length > limits.maxChangeBytes)
    return null;
  return { from: parsedFrom, to: parsedTo, digest: digest as Digest, length };
}

function unpack(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch {
    return null;
  }
}

function parseTip(value: unknown): Tip | null {
  if (!Array.isArray(value) || value.length !== 4) return null;
  const [number, claimant, version, chain] = value as unknown[];
  const parsedVersion = parseVersion(version);
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 1) return null;
  if (!isHex128(claimant) || parsedVersion === null || !isHex128(chain)) return null;
  return { epoch: { number, claimant }, version: parsedVersion, chain: chain as ChainId };
}

function isHex128(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}
