import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Packr } from 'msgpackr';
import { decodeChange, encodeSegment, joinSegments, type Columns } from './change-codec.js';

/** What a master accepts: the decoder renames a property `__proto__`, so such a value is refused before it is encoded. */
const value = fc.jsonValue().filter((json) => !JSON.stringify(json).includes('"__proto__"'));

const columns: fc.Arbitrary<Columns> = fc
  .array(fc.tuple(fc.string({ minLength: 1, unit: 'grapheme' }), value, fc.boolean()), { minLength: 1 })
  .map((rows) => ({
    keys: rows.map(([key]) => key),
    values: rows.map(([, value, isDelete]) => (isDelete ? null : value)),
    deletes: rows.flatMap(([, , isDelete], position) => (isDelete ? [position] : [])),
  }));

describe('the bytes of a change', () => {
  it('decode to what was encoded, also when several segments are joined', () => {
    fc.assert(
      fc.property(fc.array(columns, { minLength: 1, maxLength: 4 }), (segments) => {
        const decoded = decodeChange(joinSegments(segments.map(encodeSegment)));
        if (!decoded.ok) throw new Error(decoded.reason);
        let first = 0;
        const expected = { keys: [] as string[], values: [] as unknown[], deletes: [] as number[] };
        for (const segment of segments) {
          expected.keys.push(...segment.keys);
          expected.values.push(...segment.values);
          for (const position of segment.deletes) expected.deletes.push(first + position);
          first += segment.keys.length;
        }
        expect(JSON.stringify(decoded.columns)).toBe(JSON.stringify(expected));
      }),
      { numRuns: 50 },
    );
  });

  it('are the same for the same change, as another language would write them', () => {
    const bytes = encodeSegment({ keys: ['a', 'b'], values: [{ cents: 999 }, null], deletes: [1] });
    expect(Buffer.from(bytes).toString('hex')).toBe('9401' + '92a161a162' + '92de0001a563656e7473cd03e7c0' + '9101');
  });

  it('are not copied for a single segment', () => {
    const segment = encodeSegment({ keys: ['a'], values: [1], deletes: [] });
    expect(joinSegments([segment])).toBe(segment);
  });

  it('never throw: what is no change is a reason', () => {
    const packr = new Packr({ useRecords: false });
    const wrong: readonly unknown[] = [
      7,
      'text',
      [],
      [2, ['a'], [1], []],
      [1, ['a'], [], []],
      [1, ['a', ''], [1, 2], []],
      [1, [5], [1], []],
      [1, ['a'], [1], [1]],
      [1, ['a', 'b'], [1, 2], [1, 0]],
      [1, ['a'], [1]],
    ];
    for (const value of wrong) expect(decodeChange(packr.pack(value))).toMatchObject({ ok: false });
    expect(decodeChange(new Uint8Array())).toMatchObject({ ok: false });
    const nested = Buffer.concat([Buffer.alloc(200_000, 0x91), Buffer.from([0xc0])]);
    expect(decodeChange(nested)).toMatchObject({ ok: false });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => typeof decodeChange(bytes).ok === 'boolean'));
  });

  it('are refused when cut anywhere', () => {
    const bytes = encodeSegment({ keys: ['a', 'b'], values: [{ cents: 1 }, 'text'], deletes: [] });
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeChange(bytes.subarray(0, length)), `${length} of ${bytes.length} bytes`).toMatchObject({
        ok: false,
      });
    }
  });
});
