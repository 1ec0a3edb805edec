import { Packr } from 'msgpackr';
import { digestOf } from '../kernel/digest.js';
import { errorText, LockstepError } from '../kernel/errors.js';
import { keyValueBounds as bounds } from './bounds.js';
import type { Entry } from './operations.js';

/**
 * A whole state as a stream of bytes. However the transport cuts the stream, frames hold it together:
 *
 *     stream  := entries* end
 *     entries := 0x01, length: u32, ([key, version, value])*
 *     end     := 0x02, length: u32, [1, count of entries, digest]
 *
 * Lengths are big-endian and count the body only. The digest chains those of all bodies before, so that a stream that
 * was cut or damaged never becomes a copy (G11). Both ends hold one frame at a time.
 */
const format = 1;
const kindEntries = 1;
const kindEnd = 2;
const headerBytes = 5;

const packr = new Packr({ useRecords: false });

/** Frames of about 128 kB, made as they are asked for. */
export function* encodeSnapshot(entries: Iterable<Entry<unknown>>): Generator<Uint8Array, void, void> {
  let count = 0;
  let chain = '';
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const frame = (): Uint8Array => {
    const body = Buffer.concat(parts, bytes);
    chain = nextLink(chain, body);
    parts = [];
    bytes = 0;
    return framed(kindEntries, body);
  };
  for (const entry of entries) {
    const part = packr.pack([entry.key, entry.version, entry.value]);
    parts.push(part);
    bytes += part.length;
    count += 1;
    if (bytes >= bounds.frameBytes) yield frame();
  }
  if (bytes > 0) yield frame();
  yield framed(kindEnd, packr.pack([format, count, chain]));
}

/** Takes the stream in pieces of any size; throws `bad-input` at the first thing that is wrong with it. */
export class SnapshotReader<Value> {
  #pieces: Uint8Array[] = [];
  #held = 0;
  #count = 0;
  #chain = '';
  #ended = false;

  /** The entries that the piece completed. */
  push(piece: Uint8Array): Entry<Value>[] {
    const entries: Entry<Value>[] = [];
    if (piece.length === 0) return entries;
    this.#pieces.push(piece);
    this.#held += piece.length;
    while (this.#held >= headerBytes) {
      if (this.#ended) throw malformed('bytes behind its end');
      const header = this.#peek(headerBytes);
      const length = header.readUInt32BE(1);
      if (length > bounds.maxFrameBytes) throw malformed(`a frame of ${length} bytes`);
      if (this.#held < headerBytes + length) break;
      const body = this.#take(headerBytes + length).subarray(headerBytes);
      if (header[0] === kindEntries) this.#onEntries(body, entries);
      else if (header[0] === kindEnd) this.#onEnd(body);
      else throw malformed(`a frame of kind ${String(header[0])}`);
    }
    return entries;
  }

  /** To be called when the stream has ended: a stream without its end is no state. */
  finish(): void {
    if (!this.#ended || this.#held > 0) throw malformed('no end: the stream was cut');
  }

  #onEntries(body: Uint8Array, entries: Entry<Value>[]): void {
    const before = entries.length;
    for (const record of unpackAll(body)) {
      const [key, version, value] = Array.isArray(record) ? (record as readonly unknown[]) : [];
      if (typeof key !== 'string' || key === '' || typeof version !== 'number')
        throw malformed('an entry that is none');
      entries.push({ key, version, value: value as Value });
    }
    this.#count += entries.length - before;
    this.#chain = nextLink(this.#chain, body);
  }

  #onEnd(body: Uint8Array): void {
    const [record] = unpackAll(body);
    const [number, count, chain] = Array.isArray(record) ? (record as readonly unknown[]) : [];
    if (number !== format) throw malformed(`format ${String(number)}, and this version reads format ${format}`);
    if (count !== this.#count || chain !== this.#chain) throw malformed('other contents than its end names');
    this.#ended = true;
  }

  /** The first bytes held, without a copy when one piece has them all. */
  #peek(length: number): Buffer {
    const [first] = this.#pieces;
    if (first === undefined || first.length < length) return this.#joined().subarray(0, length);
    return asBuffer(first).subarray(0, length);
  }

  #take(length: number): Buffer {
    const [first] = this.#pieces;
    const all = first !== undefined && first.length >= length ? asBuffer(first) : this.#joined();
    const rest = all.subarray(length);
    if (rest.length > 0) this.#pieces[0] = rest;
    else this.#pieces.shift();
    this.#held -= length;
    return all.subarray(0, length);
  }

  /** Joins what is held: once for each frame that comes in several pieces. */
  #joined(): Buffer {
    const all = Buffer.concat(this.#pieces, this.#held);
    this.#pieces = [all];
    return all;
  }
}

function nextLink(chain: string, body: Uint8Array): string {
  return digestOf(Buffer.from(chain + digestOf(body)));
}

function framed(kind: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + body.length);
  frame.writeUInt8(kind, 0);
  frame.writeUInt32BE(body.length, 1);
  frame.set(body, headerBytes);
  return frame;
}

function unpackAll(body: Uint8Array): unknown[] {
  const records: unknown[] = [];
  if (body.length === 0) return records;
  try {
    packr.unpackMultiple(body, (record: unknown) => {
      records.push(record);
    });
  } catch (error) {
    throw malformed(errorText(error));
  }
  return records;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(what: string): LockstepError {
  return new LockstepError('bad-input', `the snapshot has ${what}; it is dropped, and asked for again`);
}
