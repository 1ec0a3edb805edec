import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StoreKey } from '../protocol/kernel/store.js';
import { decodeKey, encodeKey, maxKeyBytes, rangeUnder } from './store-keys.js';

const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('\0', '\u0001', '\u0010', 'a', 'ÿ', '𝄞') }),
  fc.string({ minLength: 60, maxLength: 90 }),
);
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1, -1),
);
const key = fc.array(fc.oneof(text, number), { minLength: 1, maxLength: 4 });

function compareParts(a: string | number, b: string | number): number {
  if (typeof a === 'number') return typeof b === 'number' ? a - b : -1;
  return typeof b === 'number' ? 1 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function compareKeys(a: StoreKey, b: StoreKey): number {
  for (const [index, part] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const order = compareParts(part, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

describe('keys as bytes', () => {
  test('read back as they were', () => {
    fc.assert(
      fc.property(key, (one) => {
        expect(decodeKey(encodeKey(one))).toEqual(one.map((part) => (part === 0 ? 0 : part)));
      }),
    );
  });

  test('sort as the keys do', () => {
    fc.assert(
      fc.property(key, key, (one, other) => {
        expect(Math.sign(Buffer.compare(encodeKey(one), encodeKey(other)))).toBe(Math.sign(compareKeys(one, other)));
      }),
    );
  });

  test('a range holds exactly the keys that are longer than its prefix and begin with it', () => {
    fc.assert(
      fc.property(key, key, fc.boolean(), (prefix, rest, isUnder) => {
        const other = isUnder ? [...prefix, ...rest] : rest;
        const { start, end } = rangeUnder(prefix);
        const bytes = encodeKey(other);
        const expected = other.length > prefix.length && compareKeys(other.slice(0, prefix.length), prefix) === 0;
        expect(Buffer.compare(bytes, start) >= 0 && Buffer.compare(bytes, end) < 0).toBe(expected);
      }),
    );
  });

  test('what is no key is refused: too long, not finite, half a character', () => {
    const bad: StoreKey[] = [
      ['x'.repeat(maxKeyBytes)],
      ['x'.repeat(10_000_000)],
      ['\0'.repeat(1500)],
      [NaN],
      [Infinity],
      ['a\ud800'],
      [...new Array<number>(500).fill(1)],
    ];
    for (const one of bad) expect(() => encodeKey(one)).toThrow(expect.objectContaining({ code: 'bad-input' }));
    expect(encodeKey(['x'.repeat(maxKeyBytes - 2)]).byteLength).toBe(maxKeyBytes);
  });
});
