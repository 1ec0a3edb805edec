import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChainId, Tip, Version } from '../kernel/ids.js';
import type { Columns } from './change-codec.js';
import { KeyValueState } from './state.js';

function tip(version: number): Tip {
  return {
    epoch: { number: 1, claimant: 'c'.repeat(32) },
    version: version as Version,
    chain: `chain-${version}` as ChainId,
  };
}

/** `undefined` deletes. */
function columns(rows: readonly (readonly [key: string, value: unknown])[]): Columns {
  return {
    keys: rows.map(([key]) => key),
    values: rows.map(([, value]) => value ?? null),
    deletes: rows.flatMap(([, value], position) => (value === undefined ? [position] : [])),
  };
}

const keys = fc.constantFrom('a', 'ab', 'abc', 'b', 'ba', 'c', 'ca', 'z');
const change = fc.array(fc.tuple(keys, fc.oneof(fc.nat(5), fc.constant(undefined))), { minLength: 1, maxLength: 6 });

describe('the state of a key-value data set', () => {
  it('applies operations in order, the last one of a key wins', () => {
    const state = new KeyValueState<number>();
    state.apply(
      columns([
        ['a', 1],
        ['b', 2],
        ['a', undefined],
        ['c', 3],
        ['c', 4],
      ]),
      tip(1),
      true,
    );
    expect(state.list()).toEqual([
      { key: 'b', value: 2, version: 1 },
      { key: 'c', value: 4, version: 1 },
    ]);
    state.apply(columns([['b', 9]]), tip(2), false);
    expect(state.entry('b')).toEqual({ key: 'b', value: 9, version: 2 });
    expect(state.tip).toEqual(tip(2));
    state.apply(columns([['d', 1]]), tip(3), true);
    expect(state.list().map((entry) => entry.key)).toEqual(['d']);
  });

  it('lists in key order like a sorted map, whatever happened between listings', () => {
    const page = fc.record({
      prefix: fc.constantFrom('', 'a', 'ab', 'x'),
      after: fc.option(keys, { nil: undefined }),
      limit: fc.nat(4),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(change, page), { maxLength: 12 }), (steps) => {
        const state = new KeyValueState<number>();
        const model = new Map<string, number>();
        steps.forEach(([rows, { prefix, after, limit }], step) => {
          state.apply(columns(rows), tip(step + 1), false);
          for (const [key, value] of rows) {
            if (value === undefined) model.delete(key);
            else model.set(key, value);
          }
          const expected = [...model].filter(([key]) => key.startsWith(prefix) && (after === undefined || key > after));
          const listed = state.list({ prefix, limit, ...(after === undefined ? {} : { after }) });
          const sorted = expected.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit);
          expect(listed.map((entry) => [entry.key, entry.value])).toEqual(sorted);
        });
      }),
      { numRuns: 100 },
    );
  });

  it('keeps its order through many new keys', () => {
    const state = new KeyValueState<number>();
    state.apply(columns([['m', 0]]), tip(1), true);
    expect(state.list()).toHaveLength(1);
    for (let step = 0; step < 30; step += 1) {
      state.apply(
        columns(Array.from({ length: 100 }, (_, key) => [`k${(key * 37 + step) % 1000}`, key] as const)),
        tip(step + 2),
        false,
      );
      if (step % 7 === 0) {
        const listed = state.list().map((entry) => entry.key);
        expect(listed).toEqual([...listed].sort());
        expect(listed).toHaveLength(state.size);
      }
    }
  });

  it('pins its entries: what is applied later does not show in them', () => {
    const state = new KeyValueState<number>();
    state.apply(
      columns([
        ['a', 1],
        ['b', 2],
      ]),
      tip(1),
      true,
    );
    const pinned = state.pinned();
    state.apply(
      columns([
        ['a', 9],
        ['b', undefined],
        ['c', 3],
      ]),
      tip(2),
      false,
    );
    expect([...pinned]).toEqual([
      { key: 'a', value: 1, version: 1 },
      { key: 'b', value: 2, version: 1 },
    ]);
  });

  it('has a digest of its contents that does not know the path (G8)', () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const stepwise = new KeyValueState<number>();
        changes.forEach((rows, step) => {
          stepwise.apply(columns(rows), tip(step + 1), false);
          stepwise.digest();
        });
        const whole = new KeyValueState<number>();
        const rows = stepwise.list().map((entry) => [entry.key, entry.value] as const);
        whole.apply(columns(rows.reverse()), tip(99), true);
        expect(whole.digest()).toBe(stepwise.digest());
        expect(whole.digest()).toMatch(/^[0-9a-f]{32}$/);
        whole.apply(columns([['one more', 1]]), tip(100), false);
        expect(whole.digest()).not.toBe(stepwise.digest());
      }),
      { numRuns: 50 },
    );
  });

  it('tells a value from another by the digest, and a key', () => {
    const digest = (key: string, value: unknown): string => {
      const state = new KeyValueState<unknown>();
      state.apply(columns([[key, value]]), tip(1), true);
      return state.digest();
    };
    const digests = [
      digest('a', 1),
      digest('b', 1),
      digest('a', '1'),
      digest('a', [1]),
      digest('a', { a: 1 }),
      digest('a', null),
    ];
    expect(new Set(digests).size).toBe(digests.length);
  });

  it('refuses a limit that is none', () => {
    expect(() => new KeyValueState<number>().list({ limit: -1 })).toThrow(
      expect.objectContaining({ code: 'bad-option' }),
    );
    expect(() => new KeyValueState<number>().list({ limit: Number.NaN })).toThrow(
      expect.objectContaining({ code: 'bad-option' }),
    );
  });
});
