import { describe, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { Delta, Epoch, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import type { Durability } from '../../shared/protocol/kernel/outcome.js';
import { encodeSegment, joinSegments } from '../../shared/protocol/key-value/change-codec.js';
import { encodeSnapshot } from '../../shared/protocol/key-value/snapshot-codec.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { SlaveDataSet } from '../types.js';
import type { PrepareAnswer, SlaveUserLayer } from './contract.js';
import type { SlaveKeyValue, SlaveKeyValueOptions } from './key-value-types.js';
import { keyValue } from './key-value.js';

interface Price {
  readonly cents: number;
}

const epoch: Epoch = { number: 1, claimant: 'c'.repeat(32) };
const signal = new AbortController().signal;

/** `null` deletes. */
function change(from: Tip | null, version: number, rows: Readonly<Record<string, number | null>>): Delta {
  return changeOf(from, version, Object.entries(rows));
}

function changeOf(from: Tip | null, version: number, rows: readonly (readonly [string, number | null])[]): Delta {
  const segments = rows.map(([key, cents]) =>
    encodeSegment({ keys: [key], values: [cents === null ? null : { cents }], deletes: cents === null ? [0] : [] }),
  );
  return issueDelta(from, epoch, version as Version, joinSegments(segments));
}

class Fixture {
  readonly layer: SlaveUserLayer;
  readonly copy: SlaveKeyValue<Price>;
  readonly store: FakeStore;

  constructor(options: SlaveKeyValueOptions<Price> = {}, store = new FakeStore(), durability: Durability = 'disk') {
    this.store = store;
    const parts = keyValue<Price>(options).create({ node: 's1', dataSet: 'prices', durability, store });
    this.layer = parts.layer;
    // The reads under test never ask the service.
    this.copy = parts.handle({} as SlaveDataSet);
  }

  prepare(delta: Delta): PrepareAnswer {
    const answer = this.layer.prepare(delta, signal);
    if (answer instanceof Promise) throw new Error('prepare waits for nothing');
    return answer;
  }

  /** As the service commits: one transaction of the layer's entries and the service's own record. */
  async commit(delta: Delta): Promise<void> {
    const { shared } = this.layer;
    if (shared === undefined) throw new Error('the layer shares the store');
    await new Promise<void>((resolve, reject) => {
      this.store.write(
        (transaction) => {
          transaction.remove(['service', 'prices', 'slave', 'prepared']);
          shared.write(delta, transaction);
        },
        { durable: true },
        (error) => (error === null ? resolve() : reject(error)),
      );
    });
    shared.expose(delta);
  }

  get contents(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.copy.list().map((entry) => [entry.key, entry.value.cents]));
  }

  restarted(options: SlaveKeyValueOptions<Price> = {}): Fixture {
    return new Fixture(options, this.store);
  }
}

async function* pieces(parts: Iterable<Uint8Array>, failAfter = Infinity): AsyncGenerator<Uint8Array> {
  let given = 0;
  for (const part of parts) {
    if (given === failAfter) throw new Error('the connection was cut');
    given += 1;
    yield part;
  }
}

async function collected(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

const positive: SlaveKeyValueOptions<Price> = {
  validate: (operation) => ('put' in operation && operation.put[1].cents < 0 ? 'cents must be positive' : true),
};

describe('a key-value copy', () => {
  it('exposes nothing while it prepares, and everything at once when it commits', async () => {
    const slave = new Fixture();
    expect(await slave.layer.open()).toBeNull();
    const v1 = change(null, 1, { a: 1, b: 2 });
    expect(slave.prepare(v1)).toEqual({ ok: true });
    expect(slave.prepare(v1)).toEqual({ ok: true });
    expect(slave.copy.size).toBe(0);
    await slave.commit(v1);
    expect(slave.contents).toEqual({ a: 1, b: 2 });
    expect(slave.copy.tip).toEqual(v1.to);
    expect(slave.copy.get('a')).toEqual({ cents: 1 });
    expect(slave.copy.entry('b')).toEqual({ key: 'b', value: { cents: 2 }, version: 1 });
  });

  it('makes entries, tip and the record of the service durable in one transaction (G4)', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1, b: 2 });
    await slave.commit(v1);
    expect(slave.store.transactions).toHaveLength(1);
    const keys = slave.store.transactions[0]?.operations.map(
      (operation) => `${operation.kind} ${operation.key.join('/')}`,
    );
    expect(keys).toEqual([
      'remove service/prices/slave/prepared',
      'put data/prices/entry/a',
      'put data/prices/entry/b',
      'put data/prices/tip',
    ]);
  });

  it('shows nothing of a change whose transaction failed, here or after a restart (G4)', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1 });
    await slave.commit(v1);
    slave.store.failNext = new Error('no space left');
    await expect(slave.commit(change(v1.to, 2, { a: 9, b: 9 }))).rejects.toThrow('no space left');
    expect(slave.contents).toEqual({ a: 1 });
    const again = slave.restarted();
    expect(await again.layer.open()).toEqual(v1.to);
    expect(again.contents).toEqual({ a: 1 });
  });

  it('is read back after a restart, each entry with the version that last touched it', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1, b: 2, c: 3 });
    const v3 = change(v1.to, 3, { b: null, c: 4 });
    await slave.commit(v1);
    await slave.commit(v3);
    const again = slave.restarted();
    expect(await again.layer.open()).toEqual(v3.to);
    expect(again.copy.list()).toEqual([
      { key: 'a', value: { cents: 1 }, version: 1 },
      { key: 'c', value: { cents: 4 }, version: 3 },
    ]);
    expect(again.layer.stateDigest?.()).toBe(slave.layer.stateDigest?.());
  });

  it('leaves the store alone in memory, and starts empty', async () => {
    const slave = new Fixture({}, new FakeStore(), 'memory');
    const v1 = change(null, 1, { a: 1 });
    await slave.commit(v1);
    expect(slave.contents).toEqual({ a: 1 });
    expect(slave.store.transactions[0]?.operations).toEqual([
      { kind: 'remove', key: ['service', 'prices', 'slave', 'prepared'] },
    ]);
    expect(await new Fixture({}, slave.store, 'memory').layer.open()).toBeNull();
  });

  it('commits what it never prepared, and a change from nothing replaces everything', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1, b: 2 });
    await slave.commit(v1);
    const whole = change(null, 7, { b: 3, c: 4 });
    await slave.commit(whole);
    expect(slave.contents).toEqual({ b: 3, c: 4 });
    const again = slave.restarted();
    expect(await again.layer.open()).toEqual(whole.to);
    expect(again.contents).toEqual({ b: 3, c: 4 });
  });

  it('applies a compacted delta although another way to the same tip is staged (G8)', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1 });
    const v2 = change(v1.to, 2, { b: 2 });
    const v3 = change(v2.to, 3, { c: 3 });
    await slave.commit(v1);
    slave.prepare(v2);
    slave.prepare(v3);
    await slave.commit({ ...change(v1.to, 3, { b: 2, c: 3 }), to: v3.to });
    expect(slave.contents).toEqual({ a: 1, b: 2, c: 3 });
    expect(slave.copy.tip).toEqual(v3.to);
  });

  it('commits on its own too, idempotent by tip', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1 });
    await slave.layer.commit(v1);
    await slave.layer.commit(v1);
    expect(slave.store.transactions).toHaveLength(1);
    expect(await slave.restarted().layer.open()).toEqual(v1.to);
  });

  it('refuses bytes that are no change', () => {
    const slave = new Fixture();
    const answer = slave.prepare(issueDelta(null, epoch, 1 as Version, Buffer.from('garbage')));
    expect(answer).toMatchObject({ ok: false });
  });

  it('says so when the store holds something else', () => {
    const slave = new Fixture();
    slave.store.write(
      (transaction) => transaction.put(['data', 'prices', 'tip'], 'nonsense'),
      { durable: true },
      () => undefined,
    );
    return Promise.resolve().then(() => {
      expect(() => slave.restarted().layer.open()).toThrow(expect.objectContaining({ code: 'store-unusable' }));
    });
  });
});

describe('the validator', () => {
  it('names the refused operations, each with its reason', async () => {
    const slave = new Fixture(positive);
    expect(slave.prepare(change(null, 1, { a: 1, b: -1, c: 2, d: -5 }))).toEqual({
      ok: false,
      reason: 'put b: cents must be positive\nput d: cents must be positive',
      refused: [1, 3],
    });
    expect(slave.prepare(change(null, 2, { a: 1 }))).toEqual({ ok: true });
  });

  it('refuses by throwing, and by answering nonsense', () => {
    const throwing = new Fixture({
      validate: () => {
        throw new Error('it broke');
      },
    });
    expect(throwing.prepare(change(null, 1, { a: 1 }))).toMatchObject({
      ok: false,
      reason: 'put a: the validator failed: it broke',
      refused: [0],
    });
    const silent = new Fixture({ validate: () => undefined as unknown as string });
    expect(silent.prepare(change(null, 1, { a: null }))).toMatchObject({
      ok: false,
      reason: 'delete a: refused without a reason',
    });
  });

  it('names only as many as a vote holds, each on one short line', () => {
    const slave = new Fixture({ validate: () => `no\n${'x'.repeat(500)}` });
    const rows = Object.fromEntries(Array.from({ length: 500 }, (_, place) => [`key-${place}`, 1]));
    const answer = slave.prepare(change(null, 1, rows));
    if (answer.ok) throw new Error('accepted');
    expect(answer.refused).toHaveLength(128);
    const lines = answer.reason.split('\n');
    expect(lines).toHaveLength(8);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(120);
  });

  it('sees each key as the committed state, prepared changes and earlier operations leave it', async () => {
    const seen: string[] = [];
    const slave = new Fixture({
      validate: (operation, { current }) => {
        const key = 'put' in operation ? operation.put[0] : operation.delete;
        seen.push(`${key}=${current?.cents ?? 'none'}`);
        return true;
      },
    });
    const v1 = change(null, 1, { a: 1, b: 2, c: 3 });
    await slave.commit(v1);
    const v2 = changeOf(v1.to, 2, [
      ['a', 10],
      ['a', 11],
      ['b', null],
    ]);
    expect(slave.prepare(v2)).toEqual({ ok: true });
    const v3 = change(v2.to, 3, { a: 20, b: 21, c: 22 });
    expect(slave.prepare(v3)).toEqual({ ok: true });
    expect(seen.splice(0)).toEqual(['a=1', 'a=10', 'b=2', 'a=11', 'b=none', 'c=3']);
    // v3 goes, and what is prepared instead of it doesn't see it.
    await slave.layer.abort(v3.to, 'aborted');
    expect(slave.prepare(change(v2.to, 4, { a: 30, c: 31 }))).toEqual({ ok: true });
    expect(seen.splice(0)).toEqual(['a=11', 'c=3']);
    await slave.layer.abort(v2.to, 'aborted');
    expect(slave.prepare(change(v1.to, 5, { a: 40 }))).toEqual({ ok: true });
    expect(seen.splice(0)).toEqual(['a=1']);
    // A whole state stands on nothing.
    expect(slave.prepare(change(null, 6, { a: 50 }))).toEqual({ ok: true });
    expect(seen.splice(0)).toEqual(['a=none']);
  });

  it('is not asked about a change that starts elsewhere', async () => {
    const slave = new Fixture(positive);
    const v1 = change(null, 1, { a: 1 });
    const v2 = change(v1.to, 2, { a: 2 });
    expect(slave.prepare(change(v2.to, 3, { a: 3 }))).toEqual({
      ok: false,
      reason: 'the change starts at e1 v2, and this copy is at nothing',
    });
  });

  it('never hears of a snapshot or of catching up', async () => {
    const slave = new Fixture(positive);
    await slave.commit(change(null, 1, { a: -1 }));
    expect(slave.contents).toEqual({ a: -1 });
  });
});

describe('a snapshot', () => {
  it('shows the state when it was asked for, and not what commits while it streams', async () => {
    const slave = new Fixture();
    const rows = Object.fromEntries(Array.from({ length: 2000 }, (_, place) => [`key-${place}`, place]));
    const v1 = change(null, 1, rows);
    await slave.commit(v1);
    const digest = slave.layer.stateDigest?.();
    const chunks = slave.layer.snapshot?.(v1.to);
    if (chunks === undefined) throw new Error('no snapshot');
    await slave.commit(change(v1.to, 2, { 'key-0': 777, 'key-1': null, fresh: 1 }));
    const other = new Fixture();
    await other.layer.install(v1.to, chunks);
    expect(other.copy.tip).toEqual(v1.to);
    expect(other.layer.stateDigest?.()).toBe(digest);
    expect(other.copy.list()).toHaveLength(2000);
  });

  it('is refused for another tip than the copy is at', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1 });
    await slave.commit(v1);
    await slave.commit(change(v1.to, 2, { a: 2 }));
    expect(() => slave.layer.snapshot?.(v1.to)).toThrow(expect.objectContaining({ code: 'not-current' }));
  });

  it('replaces data and tip in one transaction; entries that are gone go from the disk too (G4)', async () => {
    const slave = new Fixture();
    await slave.commit(change(null, 1, { a: 1, old: 2 }));
    const from = new Fixture();
    const v5 = change(null, 5, { a: 9, b: 8 });
    await from.commit(v5);
    await slave.layer.install(v5.to, pieces(await collected(from.layer.snapshot?.(v5.to) ?? pieces([]))));
    expect(slave.contents).toEqual({ a: 9, b: 8 });
    expect(slave.store.transactions).toHaveLength(2);
    const again = slave.restarted();
    expect(await again.layer.open()).toEqual(v5.to);
    expect(again.contents).toEqual({ a: 9, b: 8 });
  });

  it('that is cut, damaged or not durable leaves the old copy as it was (G4)', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1 });
    await slave.commit(v1);
    const v5 = change(null, 5, { a: 9 });
    const chunks = [...encodeSnapshot([{ key: 'a', value: { cents: 9 }, version: 5 }])];
    await expect(slave.layer.install(v5.to, pieces(chunks, 1))).rejects.toThrow('the connection was cut');
    await expect(slave.layer.install(v5.to, pieces(chunks.slice(0, 1)))).rejects.toThrow('the stream was cut');
    slave.store.failNext = new Error('no space left');
    await expect(slave.layer.install(v5.to, pieces(chunks))).rejects.toThrow('no space left');
    expect(slave.contents).toEqual({ a: 1 });
    expect(await slave.restarted().layer.open()).toEqual(v1.to);
  });
});

describe('prepared changes', () => {
  it('are bounded in memory; one that was forgotten still commits (G10)', async () => {
    const slave = new Fixture();
    const v1 = change(null, 1, { a: 1 });
    await slave.commit(v1);
    const deltas: Delta[] = [];
    for (let version = 2, from = v1.to; version < 200; version += 1) {
      const delta = change(from, version, { a: version });
      deltas.push(delta);
      from = delta.to;
      expect(slave.prepare(delta)).toEqual({ ok: true });
    }
    for (const delta of deltas) await slave.commit(delta);
    expect(slave.contents).toEqual({ a: 199 });
  });
});
