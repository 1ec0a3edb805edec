import { describe, expect, test } from 'vitest';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { batchesOf, parseRecords, type RecordOptions } from './records.js';

const ndjson = (text: string, options: Partial<RecordOptions> = {}): unknown =>
  parseRecords(Buffer.from(text), { format: 'ndjson', ...options });
const csv = (text: string, options: Partial<RecordOptions> = {}): unknown =>
  parseRecords(Buffer.from(text), { format: 'csv', ...options });

function faultOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    expect(error).toBeInstanceOf(LockstepError);
    expect((error as LockstepError).code).toBe('bad-input');
    return (error as LockstepError).message;
  }
  throw new Error('nothing was refused');
}

describe('NDJSON', () => {
  test('a record keeps its fields; the key is key, id or sku', () => {
    expect(ndjson('{"sku":"a","cents":1}\r\n\n{"sku":"b","cents":2}')).toEqual([
      { key: 'a', value: { sku: 'a', cents: 1 }, line: 1 },
      { key: 'b', value: { sku: 'b', cents: 2 }, line: 3 },
    ]);
    expect(ndjson('{"id":7,"sku":"a"}')).toEqual([{ key: '7', value: { id: 7, sku: 'a' }, line: 1 }]);
  });

  test('{key, value} is taken apart, unless the key field was named', () => {
    expect(ndjson('{"key":"a","value":[1]}')).toEqual([{ key: 'a', value: [1], line: 1 }]);
    expect(ndjson('{"key":"a","value":"x"}', { keyField: 'value' })).toEqual([
      { key: 'x', value: { key: 'a', value: 'x' }, line: 1 },
    ]);
  });

  test('a byte order mark is no part of the first record', () => {
    expect(ndjson('\ufeff{"id":"a"}')).toEqual([{ key: 'a', value: { id: 'a' }, line: 1 }]);
  });

  test.each([
    ['{"id":"a"}\n{"id":', /^line 2: no JSON: .*nothing was applied$/],
    ['{"id":"a"}\n\n[1]', /^line 3: must be a JSON object/],
    ['{"name":"a"}', /^line 1: has none of the fields key, id, sku; name the field that is the key with --key/],
    ['{"id":"a"}\n{"sku":"b"}', /^line 2: has no field id/],
    ['{"id":true}', /^line 1: field id is the key, and must be a text or a number/],
    ['{"id":"a"}\n{"id":"b"}\n{"id":"a"}', /^line 3: key a is on line 1 already/],
    ['{"id":""}', /^line 1: the key is empty/],
    [`{"id":"${'x'.repeat(513)}"}`, /^line 1: .*longer than 512 bytes/],
    [`{"id":"a"}\n{"id":"b","text":"${'x'.repeat(1024 * 1024)}"}`, /^line 2: .*larger than 1048576 bytes/],
    ['{"id":"a","n":1e999}', /^line 1: .*JSON can't hold/],
  ])('%#: refused with its line', (text, message) => {
    expect(faultOf(() => ndjson(text))).toMatch(message);
  });

  test('bytes that are no UTF-8 are refused with their line', () => {
    const bytes = Buffer.concat([Buffer.from('{"id":"a"}\n{"id":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expect(faultOf(() => parseRecords(bytes, { format: 'ndjson' }))).toMatch(/^line 2: is no UTF-8 text/);
  });
});

describe('CSV', () => {
  test('the first column is the key, else key, id or sku; plain numbers become numbers', () => {
    expect(csv('code,cents,sale,zip\nx1,999,true,007\n"x,2",-1.5,no,1e3\n')).toEqual([
      { key: 'x1', value: { code: 'x1', cents: 999, sale: true, zip: '007' }, line: 2 },
      { key: 'x,2', value: { code: 'x,2', cents: -1.5, sale: 'no', zip: '1e3' }, line: 3 },
    ]);
    expect(csv('name,id\nn,7\n')).toEqual([{ key: '7', value: { name: 'n', id: 7 }, line: 2 }]);
    expect(csv('a,b\nn,7\n', { keyField: 'b', textOnly: true })).toEqual([
      { key: '7', value: { a: 'n', b: '7' }, line: 2 },
    ]);
  });

  test.each([
    ['a,b\n1,2\n3\n', /^line 3: /],
    ['a,b\n1,"2\n', /^line \d: .*nothing was applied$/],
    ['a,a\n1,2\n', /^line 1: column a comes twice/],
    ['a\n1\n1\n', /^line 3: key 1 is on line 2 already/],
    ['a,b\n,2\n', /^line 2: the key is empty/],
    ['a\0b\n1\n', /^line 1: holds a zero byte/],
  ])('%#: refused with its line', (text, message) => {
    expect(faultOf(() => csv(text))).toMatch(message);
  });

  test('a named key column must be there', () => {
    expect(faultOf(() => csv('a,b\n1,2\n', { keyField: 'sku' }))).toMatch(
      /^line 1: has no column sku; the columns are a, b/,
    );
  });
});

test('batches are bounded in records and in bytes', () => {
  const records = Array.from({ length: 5 }, (_, index) => ({
    key: `k${index}`,
    value: 'x'.repeat(100),
    line: index + 1,
  }));
  expect(batchesOf(records, { records: 2, bytes: 1_000_000 }).map((batch) => batch.length)).toEqual([2, 2, 1]);
  expect(batchesOf(records, { records: 1000, bytes: 250 }).map((batch) => batch.length)).toEqual([2, 2, 1]);
  expect(batchesOf(records, { records: 1000, bytes: 10 }).map((batch) => batch.length)).toEqual([1, 1, 1, 1, 1]);
});
