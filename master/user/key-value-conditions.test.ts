import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { Delta, Version } from '../../shared/protocol/kernel/ids.js';
import type { NodeRefusal } from '../../shared/protocol/kernel/outcome.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { decodeChange, encodeSegment } from '../../shared/protocol/key-value/change-codec.js';
import { KeyValueState } from '../../shared/protocol/key-value/state.js';
import { epoch, refusal, turn } from '../../tests/support/fake-master-data-set.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { ChangeOutcome } from './key-value-types.js';

import { Fixture, settled } from '../../tests/support/key-value-original.js';

describe('a change that changes nothing', () => {
  it('takes no version and no round: it is committed where the data is already', async () => {
    const fixture = new Fixture();
    await fixture.seed({ a: 1, b: 2 });
    const { tip } = fixture.original;
    expect(await fixture.change([{ put: ['a', 1] }, { delete: 'missing' }])).toMatchObject({
      kind: 'committed',
      tip,
      operations: 2,
    });
    expect(fixture.dataSet.open).toEqual([]);
    const real = fixture.change([{ put: ['a', 1] }, { delete: 'b' }]);
    expect(fixture.dataSet.open).toHaveLength(1);
    await fixture.dataSet.commit();
    expect(await real).toMatchObject({ kind: 'committed' });
    expect(fixture.contents).toEqual({ a: 1 });
  });

  it('takes one while something is in flight, which may undo what is there', async () => {
    const fixture = new Fixture();
    await fixture.seed({ a: 1 });
    void fixture.put('a', 2);
    const back = fixture.put('a', 1);
    await fixture.dataSet.commit();
    await fixture.dataSet.commit();
    expect(await back).toMatchObject({ kind: 'committed' });
    expect(fixture.contents).toEqual({ a: 1 });
  });
});

describe('conditions', () => {
  it('are judged against the committed state, and nothing of a change applies when one fails', async () => {
    const master = new Fixture();
    await master.seed({ a: 1 });
    const failing = await master.change([
      { put: ['b', 1] },
      { put: ['a', 2], ifVersion: 7 },
      { put: ['a', 2], ifAbsent: true },
      { delete: 'none', ifVersion: 1 },
    ]);
    expect(failing).toMatchObject({
      kind: 'aborted',
      reason: 'condition failed',
      failures: [
        { operation: 1, key: 'a', actual: 1 },
        { operation: 2, key: 'a', actual: 1 },
        { operation: 3, key: 'none', actual: null },
      ],
    });
    const holding = master.change([
      { put: ['a', 2], ifVersion: 1 },
      { put: ['b', 1], ifAbsent: true },
    ]);
    await master.dataSet.commit();
    expect(await holding).toMatchObject({ kind: 'committed' });
    expect(master.contents).toEqual({ a: 2, b: 1 });
  });

  it('wait for what is in flight, and fail only when that is committed', async () => {
    const master = new Fixture();
    const first = master.put('a', 1);
    const second = settled(master.change([{ put: ['a', 2], ifAbsent: true }]));
    await turn();
    expect(second()).toBeUndefined();
    expect(master.dataSet.open).toHaveLength(1);
    await master.dataSet.commit();
    await first;
    await turn();
    expect(second()).toMatchObject({ reason: 'condition failed', failures: [{ key: 'a', actual: 1 }] });
  });

  it('hold after all when what stood against them aborts', async () => {
    const master = new Fixture();
    void master.put('a', -1);
    const second = master.change([{ put: ['a', 2], ifAbsent: true }]);
    await turn();
    master.dataSet.abort('refused', [refusal('s1', 'no', [0])]);
    await turn();
    await master.dataSet.commit();
    expect(await second).toMatchObject({ kind: 'committed' });
    expect(master.contents).toEqual({ a: 2 });
  });

  it('that stand on a change in flight fall with it and are judged again', async () => {
    const master = new Fixture();
    await master.seed({ a: 1 });
    void master.change([{ delete: 'a' }]);
    await turn();
    const onTop = master.change([{ put: ['a', 9], ifAbsent: true }]);
    await turn();
    expect(master.dataSet.open).toHaveLength(2);
    master.dataSet.abort('too few voters');
    expect(await onTop).toMatchObject({ reason: 'condition failed', failures: [{ key: 'a', actual: 1 }] });
    expect(master.contents).toEqual({ a: 1 });
  });

  it('let one of many that race win', async () => {
    const master = new Fixture();
    await master.seed({ a: 1 });
    const racing = Array.from({ length: 20 }, (_, value) => master.change([{ put: ['a', value], ifVersion: 1 }]));
    await master.dataSet.run(() => []);
    const ends = await Promise.all(racing);
    expect(ends.map((end) => end.kind)).toEqual(['committed', ...Array.from({ length: 19 }, () => 'aborted')]);
    expect(master.contents).toEqual({ a: 0 });
  });
});

describe('an idempotency key', () => {
  it('settles again with the same outcome and changes nothing', async () => {
    const master = new Fixture();
    const first = master.put('a', 1, { idempotencyKey: 'k' });
    const joined = master.put('a', 2, { idempotencyKey: 'k' });
    expect(master.original.outcomeOf('k')).toBe('pending');
    await master.dataSet.commit();
    const outcome = await first;
    expect(await joined).toBe(outcome);
    expect(await master.put('a', 3, { idempotencyKey: 'k' })).toBe(outcome);
    expect(master.original.outcomeOf('k')).toBe(outcome);
    expect(master.original.outcomeOf('other')).toBeUndefined();
    expect(master.contents).toEqual({ a: 1 });
    expect(master.dataSet.asked).toHaveLength(1);
  });

  it('of a committed change survives a restart, in the transaction of the decision (G14)', async () => {
    const master = new Fixture();
    const done = master.change([{ put: ['a', 1] }, { put: ['b', 1] }], { idempotencyKey: 'k' });
    await master.dataSet.commit();
    await done;
    expect(master.store.transactions).toHaveLength(1);
    const again = new Fixture(master.store);
    const outcome = again.original.outcomeOf('k');
    expect(outcome).toMatchObject({ kind: 'committed', tip: master.original.tip, operations: 2, durable: true });
    expect(await again.put('a', 9, { idempotencyKey: 'k' })).toBe(outcome);
    expect(again.contents).toEqual({ a: 1, b: 1 });
  });

  it('of an aborted change is remembered in this process; one refused at once is free again', async () => {
    const master = new Fixture();
    const aborted = master.put('a', -1, { idempotencyKey: 'k' });
    master.dataSet.abort('refused', [refusal('s1', 'no', [0])]);
    expect(await aborted).toMatchObject({ kind: 'aborted' });
    expect(await master.put('a', 1, { idempotencyKey: 'k' })).toMatchObject({ kind: 'aborted', reason: 'refused' });
    const rejected = master.put('a', 1, { idempotencyKey: 'r' });
    const joined = master.put('a', 1, { idempotencyKey: 'r' });
    master.dataSet.open.shift()?.fail(new Error('not leading'));
    await expect(rejected).rejects.toThrow('not leading');
    await expect(joined).rejects.toThrow('not leading');
    expect(master.original.outcomeOf('r')).toBeUndefined();
  });

  it('answers for an unknown outcome once it is decided after all', async () => {
    const master = new Fixture();
    const change = master.put('a', 1, { idempotencyKey: 'k' });
    const [round] = master.dataSet.open;
    // The caller is cut off between the write of the decision and its end.
    const { shared } = master.layer;
    if (shared === undefined || round === undefined) throw new Error('no round');
    shared.write(round.delta, { put: () => undefined, remove: () => undefined });
    round.settle({ kind: 'unknown', reason: 'cut', durationMs: 0 });
    expect(await change).toMatchObject({ kind: 'unknown' });
    expect(master.original.outcomeOf('k')).toMatchObject({ kind: 'unknown' });
    shared.expose(round.delta);
    expect(master.original.outcomeOf('k')).toMatchObject({ kind: 'committed', tip: round.delta.to, operations: 1 });
  });

  it('is forgotten when ten thousand others came after it, on disk too (G10)', async () => {
    const master = new Fixture();
    const total = bounds.rememberedOutcomes + 5;
    const put = (place: number): Promise<ChangeOutcome> =>
      master.put('a', place, { idempotencyKey: `k${place}`, timeoutMs: 1e6 });
    for (let place = 0; place < total; place += 100) {
      const batch = Array.from({ length: Math.min(100, total - place) }, (_, offset) => put(place + offset));
      await master.dataSet.run(() => []);
      await Promise.all(batch);
    }
    expect(master.original.outcomeOf('k4')).toBeUndefined();
    expect(master.original.outcomeOf('k5')).toMatchObject({ kind: 'committed' });
    const last = master.put('a', 1);
    await master.dataSet.run(() => []);
    await last;
    const keyed = (): number => [...master.store.range(['data', 'prices', 'key'])].length;
    expect(keyed()).toBeLessThanOrEqual(bounds.rememberedOutcomes + 100);
    const again = new Fixture(master.store);
    expect(again.original.outcomeOf('k4')).toBeUndefined();
    expect(again.original.outcomeOf(`k${total - 1}`)).toMatchObject({ kind: 'committed' });
  }, 60_000);
});

describe('the original', () => {
  it('is read back after a restart, with data and tip of one transaction (G4)', async () => {
    const master = new Fixture();
    await master.seed({ a: 1, b: 2 });
    void master.change([{ delete: 'a' }, { put: ['c', 3] }]);
    await master.dataSet.commit();
    for (const { operations } of master.store.transactions) {
      expect(operations.some((operation) => operation.key.join('/') === 'data/prices/tip')).toBe(true);
    }
    const again = new Fixture(master.store);
    expect(again.contents).toEqual({ b: 2, c: 3 });
    expect(again.original.tip).toEqual(master.original.tip);
    expect(again.original.entry('c')?.version).toBe(2);
    expect(again.original.stateDigest()).toBe(master.original.stateDigest());
    void again.put('d', 4);
    expect(again.dataSet.asked[0]).toMatchObject({ version: 3, prior: 2 });
  });

  it('stays off the disk in memory', async () => {
    const master = new Fixture(new FakeStore(), 'memory');
    const done = master.put('a', 1, { idempotencyKey: 'k' });
    await master.dataSet.commit();
    await done;
    expect(master.store.transactions.flatMap(({ operations }) => operations)).toEqual([]);
  });

  it('recovers forward from the steps of the service, or throws', async () => {
    const from = new Fixture();
    await from.seed({ a: 1 });
    const [v1] = from.dataSet.committed;
    const master = new Fixture(new FakeStore());
    void from.put('b', 2);
    await from.dataSet.commit();
    const v2 = from.dataSet.committed[1];
    if (v1 === undefined || v2 === undefined) throw new Error('nothing was committed');
    await master.layer.recover(v2.to, [v1, v2]);
    expect(master.contents).toEqual({ a: 1, b: 2 });
    expect(new Fixture(master.store).contents).toEqual({ a: 1, b: 2 });
    await master.layer.recover(v2.to, []);
    await expect(master.layer.recover(v1.to, [])).rejects.toMatchObject({ code: 'user-layer-failed' });
    await expect(new Fixture().layer.recover(v2.to, [v2])).rejects.toMatchObject({ code: 'user-layer-failed' });
    await expect(new Fixture().layer.recover(null, [])).resolves.toBeUndefined();
  });

  it('gives the bytes of rounds in flight, and nothing of which it keeps no history', async () => {
    const master = new Fixture();
    await master.seed({ a: 1 });
    const tip = master.original.tip;
    void master.put('b', 2);
    expect(await master.layer.delta(tip, { version: 2 })).toEqual(
      encodeSegment({ keys: ['b'], values: [2], deletes: [] }),
    );
    expect(await master.layer.delta(null, { version: 2 })).toBeNull();
    expect(await master.layer.delta(null, { version: 1 })).toBeNull();
  });

  it('gives snapshots that show no later commit, and takes a slave’s copy over', async () => {
    const master = new Fixture();
    await master.seed({ a: 1, b: 2 });
    const { tip } = master.original;
    if (tip === null) throw new Error('nothing committed');
    const digest = master.original.stateDigest();
    const chunks = master.layer.snapshot(tip);
    void master.change([{ put: ['a', 9] }, { delete: 'b' }]);
    await master.dataSet.commit();
    const adopting = new Fixture();
    await adopting.seed({ old: 1 });
    await adopting.layer.install?.(tip, chunks);
    expect(adopting.original.stateDigest()).toBe(digest);
    expect(adopting.original.tip).toEqual(tip);
    expect(new Fixture(adopting.store).contents).toEqual({ a: 1, b: 2 });
    expect(() => master.layer.snapshot(tip)).toThrow(expect.objectContaining({ code: 'not-current' }));
  });

  it('applies a step that it never asked for', () => {
    const master = new Fixture();
    const delta = issueDelta(null, epoch, 5 as Version, encodeSegment({ keys: ['a'], values: [1], deletes: [] }));
    master.layer.shared?.write(delta, { put: () => undefined, remove: () => undefined });
    master.layer.shared?.expose(delta);
    expect(master.contents).toEqual({ a: 1 });
  });
});

describe('many callers', () => {
  it('each get the outcome of their own change, and the copies hold exactly what committed (G1, G8)', async () => {
    const operation = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: -2, max: 9 }), fc.boolean());
    const callers = fc.array(fc.tuple(fc.array(operation, { minLength: 1, maxLength: 3 }), fc.nat(2)), {
      minLength: 1,
      maxLength: 25,
    });
    await fc.assert(
      fc.asyncProperty(callers, fc.boolean(), async (changes, named) => {
        const master = new Fixture();
        const copy = new KeyValueState<number>();
        // A slave that refuses negative values, with names or without.
        const judge = (delta: Delta): readonly NodeRefusal[] => {
          const decoded = decodeChange(delta.bytes);
          if (!decoded.ok) throw new Error(decoded.reason);
          const refused = decoded.columns.values.flatMap((value, place) =>
            typeof value === 'number' && value < 0 ? [place] : [],
          );
          return refused.length === 0 ? [] : [named ? refusal('s1', 'negative', refused) : refusal('s1', 'negative')];
        };
        const outcomes: Promise<ChangeOutcome>[] = [];
        for (const [rows, turns] of changes) {
          outcomes.push(
            master.change(rows.map(([key, value, isDelete]) => (isDelete ? { delete: key } : { put: [key, value] }))),
          );
          for (let count = 0; count < turns; count += 1) await turn();
        }
        await master.dataSet.run(judge);
        const ends = await Promise.all(outcomes);
        ends.forEach((end, place) => {
          const isBad = changes[place]?.[0].some(([, value, isDelete]) => !isDelete && value < 0) === true;
          expect(end.kind, `change ${place}`).toBe(isBad ? 'aborted' : 'committed');
        });
        for (const delta of master.dataSet.committed) {
          const decoded = decodeChange(delta.bytes);
          if (decoded.ok) copy.apply(decoded.columns, delta.to, delta.from === null);
        }
        expect(copy.list()).toEqual(master.original.list());
        expect(copy.digest()).toBe(master.original.stateDigest());
        const versions = master.dataSet.asked.map(({ version }) => version);
        expect(new Set(versions).size).toBe(versions.length);
      }),
      { numRuns: 60 },
    );
  });
});
