import { parse as parseCsv } from 'csv-parse/sync';
import { errorText, LockstepError } from '../shared/protocol/kernel/errors.js';
import type { Json, Operation } from '../shared/protocol/key-value/operations.js';
import { checkOperations } from '../shared/protocol/key-value/validate.js';
import { cellValue, usualKeyFields } from './cells.js';

export interface LoadedRecord {
  readonly key: string;
  readonly value: Json;
  /** Where it stands in the file, from 1. */
  readonly line: number;
}

export type RecordFormat = 'ndjson' | 'csv';

export interface RecordOptions {
  readonly format: RecordFormat;
  /** The field that is the key. Default: `key`, `id` or `sku`, whichever the first record has; in CSV else the first column. */
  readonly keyField?: string;
  /** CSV: leave every cell a text. Default: plain numbers, `true` and `false` become what they look like. */
  readonly textOnly?: boolean;
}

/** Every record of a file, or `bad-input` with the line number: one wrong line and nothing of the file is taken. */
export function parseRecords(bytes: Uint8Array, options: RecordOptions): readonly LoadedRecord[] {
  const records = options.format === 'csv' ? csvRecords(bytes, options) : ndjsonRecords(bytes, options);
  const lines = new Map<string, number>();
  for (const record of records) {
    const { key, line } = record;
    checkRecord(record);
    const before = lines.get(key);
    if (before !== undefined) throw wrongLine(line, `key ${key} is on line ${before} already; each key may come once`);
    lines.set(key, line);
  }
  return records;
}

/** Groups of records that each go as one change, bounded in number and in bytes. */
export function batchesOf(
  records: readonly LoadedRecord[],
  bounds: { readonly records: number; readonly bytes: number },
): readonly (readonly LoadedRecord[])[] {
  const batches: LoadedRecord[][] = [];
  let batch: LoadedRecord[] = [];
  let batchBytes = 0;
  for (const record of records) {
    const bytes = recordBytes(record.value) + record.key.length;
    if (batch.length > 0 && (batch.length >= bounds.records || batchBytes + bytes > bounds.bytes)) {
      batches.push(batch);
      batch = [];
      batchBytes = 0;
    }
    batch.push(record);
    batchBytes += bytes;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

export function putOf(record: LoadedRecord): Operation<Json> {
  return { put: [record.key, record.value] };
}

function ndjsonRecords(bytes: Uint8Array, options: RecordOptions): readonly LoadedRecord[] {
  const records: LoadedRecord[] = [];
  let keyField = options.keyField;
  for (const { text, line } of linesOf(bytes)) {
    if (text.trim() === '') continue;
    let value: Json;
    try {
      value = JSON.parse(text) as Json;
    } catch (error) {
      throw wrongLine(line, `no JSON: ${errorText(error)}`);
    }
    if (!isRecord(value)) throw wrongLine(line, 'must be a JSON object');
    if (options.keyField === undefined && isKeyValue(value)) {
      records.push({ key: value.key, value: value.value, line });
      continue;
    }
    keyField ??= usualKeyFields.find((name) => name in value);
    if (keyField === undefined)
      throw wrongLine(
        line,
        `has none of the fields ${usualKeyFields.join(', ')}; name the field that is the key with --key FIELD`,
      );
    records.push({ key: keyOf(value, keyField, line), value, line });
  }
  return records;
}

function csvRecords(bytes: Uint8Array, options: RecordOptions): readonly LoadedRecord[] {
  let header: readonly string[] | null = null;
  let keyField = options.keyField;
  const records: LoadedRecord[] = [];
  for (const { record, line } of csvRows(bytes)) {
    if (header === null) {
      header = record;
      const twice = header.find((name, position) => header?.indexOf(name) !== position);
      if (twice !== undefined) throw wrongLine(line, `column ${twice} comes twice`);
      keyField ??= usualKeyFields.find((name) => header?.includes(name)) ?? header[0] ?? '';
      if (!header.includes(keyField))
        throw wrongLine(line, `has no column ${keyField}; the columns are ${header.join(', ')}`);
      continue;
    }
    const columns = header;
    const value = Object.fromEntries(
      record.map((cell, column) => [columns[column] ?? '', options.textOnly === true ? cell : cellValue(cell)]),
    );
    const key = record[columns.indexOf(keyField ?? '')] ?? '';
    records.push({ key, value, line });
  }
  return records;
}

/** Cells as texts; every row must have as many as the header. */
function csvRows(bytes: Uint8Array): readonly { readonly record: readonly string[]; readonly line: number }[] {
  for (const { text, line } of linesOf(bytes))
    if (text.includes('\0')) throw wrongLine(line, 'holds a zero byte: this is no CSV file');
  try {
    // The parser's types don't follow `info: true`.
    const rows = parseCsv(Buffer.from(bytes), {
      bom: true,
      info: true,
      skip_empty_lines: true,
    }) as unknown as readonly { record: readonly string[]; info: { lines: number } }[];
    return rows.map((row) => ({ record: row.record, line: row.info.lines }));
  } catch (error) {
    const line = error instanceof Error && 'lines' in error && typeof error.lines === 'number' ? error.lines : 1;
    throw wrongLine(line, errorText(error));
  }
}

function* linesOf(bytes: Uint8Array): Generator<{ readonly text: string; readonly line: number }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let start = 0, line = 1; start < bytes.length; line += 1) {
    const found = bytes.indexOf(0x0a, start);
    const end = found === -1 ? bytes.length : found;
    let text: string;
    try {
      text = decoder.decode(bytes.subarray(start, end));
    } catch {
      throw wrongLine(line, 'is no UTF-8 text');
    }
    yield { text: text.endsWith('\r') ? text.slice(0, -1) : text, line };
    start = end + 1;
  }
}

function keyOf(value: Readonly<Record<string, Json>>, field: string, line: number): string {
  const key = value[field];
  if (typeof key === 'string') return key;
  if (typeof key === 'number') return String(key);
  throw wrongLine(
    line,
    key === undefined
      ? `has no field ${field}, which is the key`
      : `field ${field} is the key, and must be a text or a number`,
  );
}

function isRecord(value: Json): value is Readonly<Record<string, Json>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isKeyValue(value: Readonly<Record<string, Json>>): value is { readonly key: string; readonly value: Json } {
  return Object.keys(value).length === 2 && typeof value['key'] === 'string' && 'value' in value;
}

/** By the rules of the master, so that it finds nothing wrong after half of the file. */
function checkRecord(record: LoadedRecord): void {
  try {
    checkOperations([putOf(record)]);
  } catch (error) {
    throw wrongLine(
      record.line,
      errorText(error)
        .replace(/^operation 0 ?/, '')
        .replace(/^: /, ''),
    );
  }
}

function recordBytes(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function wrongLine(line: number, message: string): LockstepError {
  return new LockstepError('bad-input', `line ${line}: ${message}; nothing was applied`);
}
