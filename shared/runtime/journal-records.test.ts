import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeRecord, readRecords, type JournalRecord } from './journal-records.js';

function record(sequence: number, generation = 2, bytes = 10): JournalRecord {
  const key = Uint8Array.of(1, sequence);
  return {
    generation,
    sequence,
    operations: [
      { key, packed: new Uint8Array(bytes).fill(sequence) },
      { key, packed: null },
    ],
  };
}

/** A file that holds these records, and what an earlier turn left behind them. */
function fileOf(records: readonly JournalRecord[], behind: Buffer = Buffer.alloc(64)): Buffer {
  let file = Buffer.alloc(0);
  for (const each of records) file = Buffer.concat([file, ...encodeRecord(each, file.byteLength)]);
  return Buffer.concat([file, behind]);
}

function sequencesIn(file: Buffer, after = 1): readonly number[] {
  return readRecords(file, after).records.map(({ sequence }) => sequence);
}

describe('records of a journal', () => {
  test('read back as they were written, one after another', () => {
    const records = [record(1), record(2, 2, 0), record(3, 2, 5000)];
    const read = readRecords(fileOf(records), 1);
    expect(read.damage).toBeNull();
    expect(read.records.map((each) => plain(each))).toEqual(records.map((each) => plain(each)));
  });

  test('of a generation that the database has are none', () => {
    expect(readRecords(fileOf([record(1), record(2)]), 2)).toEqual({ records: [], damage: null });
  });

  test('end where a write was under way when the machine died, wherever that was', () => {
    const whole = fileOf([record(1), record(2, 2, 300)], Buffer.alloc(0));
    const first = fileOf([record(1)], Buffer.alloc(0)).byteLength;
    const lastByte = whole.findLastIndex((byte) => byte !== 0);
    for (let end = first; end <= lastByte; end += 1) {
      const torn = Buffer.concat([whole.subarray(0, end), Buffer.alloc(whole.byteLength - end)]);
      expect(readRecords(torn, 1).damage).toBeNull();
      expect(sequencesIn(torn)).toEqual([1]);
    }
    expect(sequencesIn(whole)).toEqual([1, 2]);
  });

  test('of an earlier turn are not taken for what was written in this one', () => {
    const earlier = fileOf([record(7, 1), record(8, 1), record(9, 1), record(10, 1)], Buffer.alloc(0));
    const begun = fileOf([record(11, 3)], Buffer.alloc(0));
    const file = Buffer.concat([begun, earlier.subarray(begun.byteLength)]);
    expect(readRecords(file, 2)).toMatchObject({ damage: null });
    expect(sequencesIn(file, 2)).toEqual([11]);
    // Not even when their generation counts: their place doesn't fit.
    const moved = Buffer.concat([begun, fileOf([record(12, 3)], Buffer.alloc(0))]);
    expect(sequencesIn(moved, 2)).toEqual([11]);
  });

  test('that were damaged later are told from a write that was under way: what follows them is whole', () => {
    const file = fileOf([record(1), record(2), record(3)]);
    const second = fileOf([record(1)], Buffer.alloc(0)).byteLength;
    file[second + 30] = (file[second + 30] ?? 0) ^ 1;
    expect(readRecords(file, 1).damage).toMatch(/damaged/);
    file.fill(0, 0, second);
    expect(readRecords(file, 1).damage).toMatch(/from 0 to/);
  });

  test('any bytes are read without a throw, and a changed one is never read as another record', () => {
    const file = fileOf([record(1), record(2, 2, 100), record(3)]);
    const written = readRecords(file, 1).records.map((each) => plain(each));
    fc.assert(
      fc.property(fc.nat(file.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(file);
        changed[at] = (changed[at] ?? 0) ^ change;
        const { records } = readRecords(changed, 1);
        expect(records.map((each) => plain(each))).toEqual(written.slice(0, records.length));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(readRecords(Buffer.from(bytes), 0).records).toEqual([]);
      }),
    );
  });
});

function plain({ generation, sequence, operations }: JournalRecord): object {
  const shown = operations.map(({ key, packed }) => [
    Buffer.from(key).toString('hex'),
    packed === null ? null : Buffer.from(packed).toString('hex'),
  ]);
  return { generation, sequence, operations: shown };
}
