import { Packr } from 'msgpackr';
import { errorText } from '../kernel/errors.js';

/**
 * The bytes of a change: one or more segments, each a msgpack array, one behind the other.
 *
 *     change  := segment+
 *     segment := [ 1, keys: [text…], values: [any…], deletes: [position…] ]
 *
 * `keys` and `values` are as long as each other; a position in `deletes` (ascending, counted within the segment) marks
 * an operation that removes its key, and its value is null. Operations apply in order, the last one of a key wins.
 *
 * Columns, since a decoder then makes two arrays and not one per operation. Segments, since each caller's change is
 * encoded once, when it is accepted: changes that share a round are put together by copying bytes, and put together
 * anew after a veto the same way. Conditions are judged at the master and don't travel.
 */
const format = 1;

/** Plain msgpack: no records, so that a reader in another language needs nothing else. */
const packr = new Packr({ useRecords: false });

export interface Columns {
  readonly keys: readonly string[];
  readonly values: readonly unknown[];
  /** Positions of the operations that remove their key, ascending. */
  readonly deletes: readonly number[];
}

export type DecodedChange =
  { readonly ok: true; readonly columns: Columns } | { readonly ok: false; readonly reason: string };

/** One segment. The same columns, the same bytes. */
export function encodeSegment(columns: Columns): Uint8Array {
  return packr.pack([format, columns.keys, columns.values, columns.deletes]);
}

/** A change made of segments, in this order. A single one is not copied. */
export function joinSegments(segments: readonly Uint8Array[]): Uint8Array {
  const [only] = segments;
  return segments.length === 1 && only !== undefined ? only : Buffer.concat(segments);
}

/** Never throws: what isn't a change comes back as the reason why. */
export function decodeChange(bytes: Uint8Array): DecodedChange {
  const segments: Columns[] = [];
  const wrong: string[] = [];
  try {
    packr.unpackMultiple(bytes, (segment: unknown) => {
      const columns = asColumns(segment);
      if (typeof columns === 'string') wrong.push(columns);
      else segments.push(columns);
      return typeof columns !== 'string';
    });
  } catch (error) {
    return { ok: false, reason: `not a key-value change: ${errorText(error)}` };
  }
  if (wrong.length > 0) return { ok: false, reason: `not a key-value change: ${wrong.join(', ')}` };
  if (segments.length === 0) return { ok: false, reason: 'not a key-value change: it is empty' };
  return { ok: true, columns: joinColumns(segments) };
}

function asColumns(segment: unknown): Columns | string {
  if (!Array.isArray(segment)) return 'a segment is no array';
  const [number, keys, values, deletes] = segment as readonly unknown[];
  if (number !== format) return `format ${String(number)}, and this version reads format ${format}`;
  if (!Array.isArray(keys) || !Array.isArray(values) || !Array.isArray(deletes)) return 'a column is missing';
  if (keys.length !== values.length) return `${keys.length} keys and ${values.length} values`;
  for (const key of keys) if (typeof key !== 'string' || key === '') return 'a key is no text';
  let last = -1;
  for (const position of deletes as unknown[]) {
    if (typeof position !== 'number' || !Number.isInteger(position) || position <= last || position >= keys.length) {
      return 'the positions of deletes are out of order';
    }
    last = position;
  }
  return { keys: keys as string[], values, deletes: deletes as number[] };
}

/** What decoding the joined segments would give. A single one is not copied. */
export function joinColumns(segments: readonly Columns[]): Columns {
  const [only] = segments;
  if (segments.length === 1 && only !== undefined) return only;
  const keys: string[] = [];
  const values: unknown[] = [];
  const deletes: number[] = [];
  for (const segment of segments) {
    for (const position of segment.deletes) deletes.push(keys.length + position);
    for (const key of segment.keys) keys.push(key);
    for (const value of segment.values) values.push(value);
  }
  return { keys, values, deletes };
}
