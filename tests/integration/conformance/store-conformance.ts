import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StoreKey, StoreTransaction } from '../../../shared/protocol/kernel/store.js';
import type { Store } from '../../../shared/runtime/ports.js';
import { settled, type ConformanceTime } from './harness.js';

export interface StoreHarness {
  readonly time: ConformanceTime;
  /** The store of one process. Opened again after `close` or `crash`, it is the same store. */
  open(): Promise<Store>;
  close(): Promise<void>;
}

export interface CrashingStoreHarness extends StoreHarness {
  /** Ends the process that has it open, as `kill -9` would. */
  crash(): Promise<void>;
}

const durable = { durable: true } as const;
const volatile = { durable: false } as const;

/** What every store keeps. */
export function storeConformance(name: string, makeHarness: () => Promise<StoreHarness>): void {
  describe(`${name}: store`, () => {
    let harness: StoreHarness;
    beforeEach(async () => {
      harness = await makeHarness();
    });
    afterEach(async () => {
      await harness.close();
    });

    /** Writes and waits until it is done; rejects with the error of `done`. */
    async function write(
      store: Store,
      change: (transaction: StoreTransaction) => void,
      options = durable as { durable: boolean },
    ): Promise<void> {
      const done = new Promise<void>((resolve, reject) => {
        store.write(change, options, (error) => {
          if (error === null) resolve();
          else reject(error);
        });
      });
      await settled(harness.time, done, 'the write');
    }

    function keysUnder(store: Store, prefix: StoreKey): StoreKey[] {
      return [...store.range(prefix)].map(({ key }) => key);
    }

    for (const [options, kind] of [
      [durable, 'durable'],
      [volatile, 'not durable'],
    ] as const) {
      test(`values read back as they were (${kind})`, async () => {
        const store = await harness.open();
        const values: readonly unknown[] = [
          null,
          true,
          0,
          -1,
          1.5,
          2 ** 31,
          2 ** 40 + 1,
          Number.MAX_SAFE_INTEGER,
          -Number.MAX_SAFE_INTEGER,
          '',
          'text',
          'ü𝄞\u0000',
          [],
          [1, ['a', null]],
          {},
          { a: { b: [Uint8Array.of(1, 2, 3)] }, key: 'value' },
          new Uint8Array(0),
          Uint8Array.of(0, 255),
          Uint8Array.from({ length: 300_000 }, (_, index) => index % 251),
        ];
        await write(
          store,
          (transaction) => {
            for (const [index, value] of values.entries()) transaction.put(['value', index], value);
          },
          options,
        );
        for (const [index, value] of values.entries()) {
          expect(plain(store.get(['value', index]))).toEqual(plain(value));
        }
        expect([...store.range(['value'])].map(({ value }) => plain(value))).toEqual(values.map(plain));
        expect(store.get(['value', values.length])).toBeUndefined();
      });

      test(`ranges are in key order, numbers before texts, and hold what is longer than their prefix (${kind})`, async () => {
        const store = await harness.open();
        const ordered: StoreKey[] = [
          ['p', -1.5],
          ['p', 0],
          ['p', 2],
          ['p', 10],
          ['p', 10, 'x'],
          ['p', 2 ** 40],
          ['p', ''],
          ['p', '\u0000'],
          ['p', '\u0001'],
          ['p', '10'],
          ['p', 'a'],
          ['p', 'a', 1],
          ['p', 'a', 'z'],
          ['p', 'a\u0000'],
          ['p', 'a\u0001'],
          ['p', 'aa'],
          ['p', 'b'],
          ['p', 'z'.repeat(100)],
          ['p', `${'z'.repeat(100)}\u0000`],
          ['p', `${'z'.repeat(100)}\u0000`, 1],
          ['p', 'ü'],
          ['p', '\uffee'],
          ['p', '𝄞'],
        ];
        const others: StoreKey[] = [['p'], ['o', 1], ['q'], ['pp', 1], ['p\u0000', 1], [7, 'p']];
        await write(
          store,
          (transaction) => {
            for (const key of [...ordered, ...others].sort(() => 0).reverse())
              transaction.put(key, JSON.stringify(key));
          },
          options,
        );
        expect(keysUnder(store, ['p'])).toEqual(ordered);
        expect(keysUnder(store, ['p', 'a'])).toEqual([
          ['p', 'a', 1],
          ['p', 'a', 'z'],
        ]);
        expect(keysUnder(store, ['p', 10])).toEqual([['p', 10, 'x']]);
        expect(keysUnder(store, ['p', 'zz'])).toEqual([]);
        expect(keysUnder(store, [7])).toEqual([[7, 'p']]);
        for (const { key, value } of store.range(['p'])) expect(value).toBe(JSON.stringify(key));
      });
    }

    test('done is called once, later, never from inside write; the write is visible then', async () => {
      const store = await harness.open();
      for (const options of [durable, volatile]) {
        const calls: unknown[] = [];
        let isInside = true;
        store.write(
          (transaction) => {
            transaction.put(['k', String(options.durable)], 1);
          },
          options,
          (error) => {
            calls.push([
              isInside,
              error,
              store.get(['k', String(options.durable)]),
              keysUnder(store, ['k', String(options.durable)]).length,
            ]);
          },
        );
        isInside = false;
        await harness.time.until(() => calls.length > 0, 'done');
        await harness.time.pass(5);
        expect(calls).toEqual([[false, null, 1, 0]]);
      }
    });

    test('writes take effect in the order of their calls, and are done in that order, whatever their kind', async () => {
      const store = await harness.open();
      const done: number[] = [];
      const seen: unknown[] = [];
      for (let index = 0; index < 60; index += 1) {
        store.write(
          (transaction) => {
            if (index % 7 === 6) transaction.remove(['shared']);
            else transaction.put(['shared'], index);
            transaction.put(['own', index], index);
          },
          { durable: index % 3 === 0 },
          (error) => {
            expect(error).toBeNull();
            done.push(index);
            seen.push(store.get(['own', index]));
          },
        );
      }
      await harness.time.until(() => done.length === 60, 'all writes');
      expect(done).toEqual(done.map((_, index) => index));
      expect(seen).toEqual(done);
      expect(store.get(['shared'])).toBe(59);
      await write(
        store,
        (transaction) => {
          transaction.remove(['shared']);
        },
        volatile,
      );
      expect(store.get(['shared'])).toBeUndefined();
      await write(store, (transaction) => {
        transaction.put(['shared'], 'durable');
      });
      expect(store.get(['shared'])).toBe('durable');
      await write(
        store,
        (transaction) => {
          transaction.put(['shared'], 'volatile');
        },
        volatile,
      );
      await write(store, (transaction) => {
        transaction.remove(['shared']);
      });
      expect(store.get(['shared'])).toBeUndefined();
    });

    test('ranges merge what is durable and what is not', async () => {
      const store = await harness.open();
      await write(store, (transaction) => {
        for (const key of [1, 3, 5, 7]) transaction.put(['m', key], `disk ${key}`);
      });
      await write(
        store,
        (transaction) => {
          for (const key of [0, 4, 5, 9]) transaction.put(['m', key], `memory ${key}`);
          transaction.remove(['m', 3]);
        },
        volatile,
      );
      expect([...store.range(['m'])].map(({ value }) => value)).toEqual([
        'memory 0',
        'disk 1',
        'memory 4',
        'memory 5',
        'disk 7',
        'memory 9',
      ]);
      await write(store, (transaction) => {
        transaction.put(['m', 5], 'later');
      });
      expect(store.get(['m', 5])).toBe('later');
    });

    test('a range is what was there when it began', async () => {
      const store = await harness.open();
      await write(store, (transaction) => {
        for (let key = 0; key < 20; key += 1) transaction.put(['r', key], key);
      });
      const range = store.range(['r'])[Symbol.iterator]();
      const got = [range.next().value];
      await write(store, (transaction) => {
        for (let key = 10; key < 30; key += 1) transaction.put(['r', key], 'new');
      });
      for (let next = range.next(); next.done !== true; next = range.next()) got.push(next.value);
      expect(got.map((record) => (record as { readonly value: unknown }).value)).toEqual(
        Array.from({ length: 20 }, (_, key) => key),
      );
    });

    test("what is put is copied, and what is got is the reader's own", async () => {
      const store = await harness.open();
      for (const options of [durable, volatile]) {
        const bytes = Uint8Array.of(1, 2, 3);
        const written = write(
          store,
          (transaction) => {
            transaction.put(['copy'], { bytes });
          },
          options,
        );
        await written;
        bytes[0] = 99;
        const got = store.get(['copy']) as { readonly bytes: Uint8Array };
        const held = [...store.range([])].find(({ key }) => key[0] === 'copy')?.value as { readonly bytes: Uint8Array };
        got.bytes[1] = 88;
        await write(
          store,
          (transaction) => {
            transaction.put(['other'], new Uint8Array(5000).fill(7));
          },
          options,
        );
        store.get(['other']);
        expect([...got.bytes]).toEqual([1, 88, 3]);
        expect([...held.bytes]).toEqual([1, 2, 3]);
        expect([...(store.get(['copy']) as { readonly bytes: Uint8Array }).bytes]).toEqual([1, 2, 3]);
      }
    });

    test('a change that throws writes nothing of its own; the store goes on', async () => {
      const store = await harness.open();
      await expect(
        write(store, (transaction) => {
          transaction.put(['half'], 1);
          throw new Error('a bug');
        }),
      ).rejects.toThrow('a bug');
      await write(store, (transaction) => {
        transaction.put(['whole'], 1);
      });
      expect(store.get(['half'])).toBeUndefined();
      expect(store.get(['whole'])).toBe(1);
    });

    test('after close durable writes are there for the next process, and writing is an error', async () => {
      const store = await harness.open();
      const done: unknown[] = [];
      store.write(
        (transaction) => {
          transaction.put(['kept'], Uint8Array.of(4));
        },
        durable,
        (error) => done.push(error),
      );
      await settled(harness.time, store.close(), 'the close');
      expect(done).toEqual([null]);
      await expect(
        write(store, (transaction) => {
          transaction.put(['late'], 1);
        }),
      ).rejects.toThrow();
      const next = await harness.open();
      expect(plain(next.get(['kept']))).toEqual(plain(Uint8Array.of(4)));
      expect(next.get(['late'])).toBeUndefined();
    });
  });
}

/** What every store keeps when its process dies, for harnesses that can end one; a store on disk has `store-crash.test.ts`. */
export function storeCrashConformance(name: string, makeHarness: () => Promise<CrashingStoreHarness>): void {
  test(`${name}: a crash loses nothing that was done, and leaves each transaction whole or out, in order`, async () => {
    const harness = await makeHarness();
    const store = await harness.open();
    let done = 0;
    for (let index = 0; index < 200; index += 1) {
      const change = (transaction: StoreTransaction): void => {
        transaction.put(['left', index], index);
        transaction.put(['right', index], index);
        transaction.put(['last'], index);
      };
      store.write(change, durable, () => (done = index + 1));
      if (index % 20 === 0) await harness.time.until(() => done > index / 2, 'some of them');
    }
    expect(done).toBeGreaterThan(0);
    const promised = done;
    await harness.crash();
    expectPrefix(await harness.open(), promised);
    await harness.close();
  });
}

/** The records of the crash test: whole transactions, the first so many without a hole, at least `promised`. */
export function expectPrefix(store: Store, promised: number): void {
  const left = [...store.range(['left'])].map(({ value }) => value);
  const right = [...store.range(['right'])].map(({ value }) => value);
  expect(left).toEqual(right);
  expect(left).toEqual(left.map((_, index) => index));
  expect(left.length).toBeGreaterThanOrEqual(promised);
  expect(store.get(['last'])).toBe(left.length === 0 ? undefined : left.length - 1);
}

/** Byte arrays of whatever class as texts, to compare by content, and fast. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}
