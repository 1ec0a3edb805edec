import { crc32 } from 'node:zlib';
import { Packr } from 'msgpackr';
import { errorText } from '../protocol/kernel/errors.js';

/** What a transaction does to one record of the store, in bytes. */
export interface PackedOperation {
  readonly key: Uint8Array;
  /** Null: removed. */
  readonly packed: Uint8Array | null;
}

/** One write to the journal: whole, or as if it had never been. */
export interface JournalRecord {
  /** Counts the turns of the journal's two files, from 1; never used again for other contents. */
  readonly generation: number;
  /** One more than that of the write before, in whichever file that is. */
  readonly sequence: number;
  readonly operations: readonly PackedOperation[];
}

/**
 * A record in a journal's file: a head, then the packed operations, then zeros up to the next multiple of `alignment`.
 *
 * | at | bytes | what |
 * |---|---|---|
 * | 0 | 4 | `magic` |
 * | 4 | 4 | CRC-32 of the rest of the head, of the place in the file, and of the operations |
 * | 8 | 8 | sequence, a double |
 * | 16 | 4 | generation |
 * | 20 | 4 | bytes of the operations |
 *
 * The checksum covers the place, and the head the generation: what a file holds from an earlier turn is never taken for
 * what was written in this one. Numbers are little-endian.
 */
const magic = 0x314a_534c;
const headAt = { magic: 0, crc: 4, sequence: 8, generation: 16, bytes: 20 } as const;
const headBytes = 24;
const alignment = 16;

const packr = new Packr({ useRecords: false, moreTypes: false });

/** The parts of one record as they go to the file one after another, at `offset`. */
export function encodeRecord(record: JournalRecord, offset: number): readonly Uint8Array[] {
  const body = packr.pack(record.operations.map(({ key, packed }) => [key, packed]));
  const head = Buffer.allocUnsafe(headBytes);
  head.writeUInt32LE(magic, headAt.magic);
  head.writeDoubleLE(record.sequence, headAt.sequence);
  head.writeUInt32LE(record.generation, headAt.generation);
  head.writeUInt32LE(body.byteLength, headAt.bytes);
  head.writeUInt32LE(checksum(head, offset, body), headAt.crc);
  const padding = aligned(headBytes + body.byteLength) - headBytes - body.byteLength;
  return padding === 0 ? [head, body] : [head, body, Buffer.alloc(padding)];
}

export interface ReadJournal {
  readonly records: readonly JournalRecord[];
  /** Why the file can't be trusted; null when all that was ever completed is in `records`. */
  readonly damage: string | null;
}

/**
 * The records of one file that are younger than `after`, up to the first place where none is whole: there a write was under
 * way when the process or the machine died, or what follows is of an earlier turn. A write begins after the one before it
 * is on disk, so a whole record behind a broken one means that the file was damaged later. Any bytes will do; it never throws.
 */
export function readRecords(file: Buffer, after: number): ReadJournal {
  const records: JournalRecord[] = [];
  let offset = 0;
  for (;;) {
    const found = recordAt(file, offset, after);
    if (typeof found === 'string') return { records, damage: found };
    if (found === null) break;
    const before = records.at(-1);
    if (before !== undefined && before.generation !== found.record.generation) break;
    records.push(found.record);
    offset += found.bytes;
  }
  for (let later = offset + alignment; later + headBytes <= file.byteLength; later += alignment) {
    const found = recordAt(file, later, after);
    if (found === null) continue;
    return { records, damage: `the bytes from ${offset} to ${later} are damaged, and what follows is whole` };
  }
  return { records, damage: null };
}

/** Null when there is no whole record; a text when there is one that can't be read all the same. */
function recordAt(
  file: Buffer,
  offset: number,
  after: number,
): { readonly record: JournalRecord; readonly bytes: number } | string | null {
  if (offset + headBytes > file.byteLength || file.readUInt32LE(offset + headAt.magic) !== magic) return null;
  const head = file.subarray(offset, offset + headBytes);
  const generation = head.readUInt32LE(headAt.generation);
  const end = offset + headBytes + head.readUInt32LE(headAt.bytes);
  if (generation <= after || end > file.byteLength) return null;
  const body = file.subarray(offset + headBytes, end);
  if (checksum(head, offset, body) !== head.readUInt32LE(headAt.crc)) return null;
  try {
    // A copy: what is unpacked would be views of the whole file.
    const pairs = packr.unpack(Uint8Array.from(body)) as readonly (readonly [Uint8Array, Uint8Array | null])[];
    const operations = pairs.map(([key, packed]) => ({ key, packed }));
    const record = { generation, sequence: head.readDoubleLE(headAt.sequence), operations };
    return { record, bytes: aligned(end - offset) };
  } catch (error) {
    return `the record at ${offset} can't be read: ${errorText(error)}`;
  }
}

function checksum(head: Buffer, offset: number, body: Uint8Array): number {
  const place = Buffer.allocUnsafe(8);
  place.writeDoubleLE(offset);
  return crc32(body, crc32(place, crc32(head.subarray(headAt.sequence))));
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}
