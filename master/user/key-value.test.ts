import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { Delta, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import type { Durability, NodeRefusal } from '../../shared/protocol/kernel/outcome.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { decodeChange, encodeSegment } from '../../shared/protocol/key-value/change-codec.js';
import type { Operation } from '../../shared/protocol/key-value/operations.js';
import { KeyValueState } from '../../shared/protocol/key-value/state.js';
import { FakeClock } from '../../tests/support/fake-clock.js';
import { epoch, FakeMasterDataSet, refusal, turn } from '../../tests/support/fake-master-data-set.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { MasterUserLayer } from './contract.js';
import type { ChangeOptions, ChangeOutcome, MasterKeyValue } from './key-value-types.js';
import { keyValue } from './key-value.js';

class Fixture {
  readonly store: FakeStore;
  readonly clock = new FakeClock();
  readonly layer: MasterUserLayer;
  readonly dataSet: FakeMasterDataSet;
  readonly original: MasterKeyValue<number>;
  readonly outcomes: ChangeOutcome[] = [];

  constructor(store = new FakeStore(), durability: Durability = 'disk') {
    this.store = store;
    const parts = keyValue<number>().create({ dataSet: 'prices', durability, store, defaults: {}, clock: this.clock });
    this.layer = parts.layer;
    this.dataSet = new FakeMasterDataSet({ layer: parts.layer, store });
    this.original = parts.handle(this.dataSet);
    this.dataSet.tip = parts.layer.open() as Tip | null;
  }

  change(operations: readonly Operation<number>[], options?: ChangeOptions): Promise<ChangeOutcome> {
    return this.original.change(operations, options);
  }

  put(key: string, value: number, options?: ChangeOptions): Promise<ChangeOutcome> {
    return this.change([{ put: [key, value] }], options);
  }

  /** Commits what is there at the start of a test. */
  async seed(rows: Readonly<Record<string, number>>): Promise<void> {
    const done = this.change(Object.entries(rows).map((row) => ({ put: row })));
    await this.dataSet.commit();
    await done;
  }

  /** Fills the pipeline, so that what comes next waits. */
  async fill(): Promise<{ readonly outcomes: readonly Promise<ChangeOutcome>[] }> {
    const filling: Promise<ChangeOutcome>[] = [];
    for (let round = 0; round < bounds.maxOpenRounds; round += 1) {
      filling.push(this.put(`filler-${round}`, round));
      await turn();
    }
    expect(this.dataSet.open).toHaveLength(bounds.maxOpenRounds);
    return { outcomes: filling };
  }

  get contents(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.original.list().map((entry) => [entry.key, entry.value]));
  }
}

function keysOf(delta: Delta | undefined): readonly string[] {
  const decoded = decodeChange(delta?.bytes ?? new Uint8Array());
  return decoded.ok ? decoded.columns.keys : [];
}

function settled(outcome: Promise<ChangeOutcome>): () => ChangeOutcome | undefined {
  let found: ChangeOutcome | undefined;
  void outcome.then((end) => (found = end));
  return () => found;
}

describe('a change', () => {
  it('starts at once when nothing is in flight, and shows when it is decided', async () => {
    const master = new Fixture();
    const outcome = master.change([{ put: ['a', 1] }, { put: ['b', 2] }, { delete: 'c' }]);
    expect(master.dataSet.asked).toHaveLength(1);
    expect(master.dataSet.asked[0]).toMatchObject({ version: 1, prior: 0, timeoutMs: 2000, phases: 'two' });
    expect(master.original.size).toBe(0);
    master.clock.advance(7);
    await master.dataSet.commit();
    expect(await outcome).toMatchObject({ kind: 'committed', operations: 3, durationMs: 7, votes: { yes: 2 } });
    expect(master.contents).toEqual({ a: 1, b: 2 });
    expect(master.original.entry('a')).toEqual({ key: 'a', value: 1, version: 1 });
    expect(master.original.tip).toEqual(master.dataSet.tip);
  });

  it('takes a copy: what the caller does to its values later is nobody else’s', async () => {
    const store = new FakeStore();
    const clock = new FakeClock();
    const parts = keyValue<{ cents: number }>().create({
      dataSet: 'prices',
      durability: 'disk',
      store,
      defaults: {},
      clock,
    });
    const dataSet = new FakeMasterDataSet({ layer: parts.layer, store });
    const original = parts.handle(dataSet);
    const price = { cents: 1 };
    void original.change([{ put: ['a', price] }]);
    price.cents = 2;
    await dataSet.commit();
    price.cents = 3;
    expect(original.get('a')).toEqual({ cents: 1 });
  });

  it('is refused for misuse before anything starts', async () => {
    const master = new Fixture();
    await expect(master.change([])).rejects.toMatchObject({ code: 'bad-operation' });
    await expect(master.put('a', Number.NaN)).rejects.toMatchObject({ code: 'bad-operation' });
    await expect(master.put('a', 1, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'bad-option' });
    await expect(master.put('a', 1, { idempotencyKey: 'k'.repeat(201) })).rejects.toMatchObject({ code: 'bad-option' });
    expect(master.dataSet.asked).toHaveLength(0);
  });

  it('has a definite outcome that is passed on: timeout, too few voters, unknown, and a rejection', async () => {
    const master = new Fixture();
    const late = master.put('a', 1);
    master.clock.advance(2000);
    master.dataSet.abort('timeout', [refusal('s1', 'silent')]);
    expect(await late).toEqual({
      kind: 'aborted',
      reason: 'timeout',
      refusals: [{ node: 's1', reason: 'silent' }],
      durationMs: 2000,
    });
    const few = master.put('a', 1);
    master.dataSet.abort('too few voters');
    expect(await few).toMatchObject({ kind: 'aborted', reason: 'too few voters' });
    const unclear = master.put('a', 1);
    master.dataSet.open.shift()?.settle({ kind: 'unknown', reason: 'the write failed', durationMs: 0 });
    expect(await unclear).toMatchObject({ kind: 'unknown', reason: 'the write failed' });
    const failed = master.put('a', 1);
    master.dataSet.open.shift()?.fail(new Error('not leading'));
    await expect(failed).rejects.toThrow('not leading');
  });

  it('never gets a version that another one had', async () => {
    const master = new Fixture();
    void master.put('a', 1);
    master.dataSet.abort('too few voters');
    await turn();
    void master.put('a', 1);
    await master.dataSet.commit();
    void master.put('a', 2);
    expect(master.dataSet.asked.map(({ version, prior }) => [version, prior])).toEqual([
      [1, 0],
      [2, 0],
      [3, 2],
    ]);
  });
});

describe('group commit', () => {
  it('puts the changes of one tick together while a round is in flight', async () => {
    const master = new Fixture();
    const outcomes = ['a', 'b', 'c', 'd'].map((key, value) => master.put(key, value));
    await turn();
    expect(master.dataSet.open.map((round) => keysOf(round.delta))).toEqual([['a'], ['b', 'c', 'd']]);
    await master.dataSet.commit();
    await master.dataSet.commit();
    const ends = await Promise.all(outcomes);
    expect(ends.map((end) => (end.kind === 'committed' ? [end.tip.version, end.operations] : end))).toEqual([
      [1, 1],
      [2, 1],
      [2, 1],
      [2, 1],
    ]);
  });

  it('keeps at most eight rounds in flight, and puts what waits together in the next', async () => {
    const master = new Fixture();
    await master.fill();
    const waiting = [master.put('x', 1), master.put('y', 2), master.put('z', 3)];
    await turn();
    expect(master.dataSet.asked).toHaveLength(8);
    await master.dataSet.commit();
    expect(keysOf(master.dataSet.open.at(-1)?.delta)).toEqual(['x', 'y', 'z']);
    await master.dataSet.run(() => []);
    for (const end of await Promise.all(waiting)) expect(end).toMatchObject({ kind: 'committed', tip: { version: 9 } });
  });

  it('frees a place as soon as a round is decided, though its caller waits until it is exposed', async () => {
    const master = new Fixture();
    await master.fill();
    const next = master.put('next', 1);
    const decided = await master.dataSet.expose();
    await turn();
    expect(keysOf(master.dataSet.open.at(-1)?.delta)).toEqual(['next']);
    master.dataSet.settleCommitted(decided);
    await master.dataSet.run(() => []);
    expect(await next).toMatchObject({ kind: 'committed' });
  });

  it('never mixes options, phases or more than the bounds in one round', async () => {
    const master = new Fixture();
    void master.put('first', 1);
    void master.put('a', 1);
    void master.put('b', 1, { voters: 'all' });
    void master.put('c', 1, { voters: 'all' });
    void master.change(
      Array.from({ length: bounds.maxGroupOperations }, (_, key) => ({ put: [`${key}`, key] })),
      { voters: 'all' },
    );
    await turn();
    expect(master.dataSet.open.map((round) => keysOf(round.delta).length)).toEqual([
      1,
      1,
      2,
      bounds.maxGroupOperations,
    ]);
    void master.put('one', 1, { phases: 'one' });
    void master.put('two', 1, { phases: 'two' });
    await turn();
    // One phase waits until no two-phase round is open.
    expect(master.dataSet.open).toHaveLength(4);
    for (let round = 0; round < 4; round += 1) await master.dataSet.commit();
    expect(master.dataSet.open.map((round) => [round.options.phases, keysOf(round.delta)])).toEqual([['one', ['one']]]);
    await master.dataSet.commit();
    expect(master.dataSet.open.map((round) => [round.options.phases, keysOf(round.delta)])).toEqual([['two', ['two']]]);
  });

  it('bounds what waits (G10)', async () => {
    const master = new Fixture();
    await master.fill();
    const waiting = Array.from({ length: bounds.maxWaitingChanges }, () => master.put('x', 1));
    await expect(master.put('y', 1)).rejects.toMatchObject({ code: 'queue-full' });
    await master.original[Symbol.asyncDispose]();
    for (const end of await Promise.all(waiting))
      expect(end).toMatchObject({ kind: 'aborted', reason: 'unregistered' });
    await expect(master.put('y', 1)).rejects.toMatchObject({ code: 'closed' });
    expect(master.clock.timers).toBe(0);
  });
});

describe('a veto', () => {
  it('reaches the caller whose operations were refused, counted as it gave them; the others go again', async () => {
    const master = new Fixture();
    void master.put('first', 0);
    const fine = master.put('fine', 1);
    const bad = master.change([{ put: ['x', 1] }, { put: ['bad', -1] }, { put: ['worse', -2] }]);
    const alsoFine = master.put('also fine', 2);
    await turn();
    await master.dataSet.commit();
    master.dataSet.abort('refused', [
      refusal('s1', 'put bad: no\nput worse: never', [2, 3]),
      refusal('s2', 'not that one', [2]),
    ]);
    await turn();
    expect(await bad).toMatchObject({
      kind: 'aborted',
      reason: 'refused',
      refusals: [
        { node: 's1', reason: 'put bad: no\nput worse: never', operations: [1, 2] },
        { node: 's2', reason: 'not that one', operations: [1] },
      ],
    });
    expect(keysOf(master.dataSet.open[0]?.delta)).toEqual(['fine', 'also fine']);
    await master.dataSet.commit();
    expect(await fine).toMatchObject({ kind: 'committed', operations: 1 });
    expect(await alsoFine).toMatchObject({ kind: 'committed' });
    expect(master.contents).toEqual({ first: 0, fine: 1, 'also fine': 2 });
  });

  it('tells no caller about another caller’s operations', async () => {
    const master = new Fixture();
    void master.put('first', 0);
    const one = master.put('secret', -1);
    const two = master.put('other', -1);
    await turn();
    await master.dataSet.commit();
    master.dataSet.abort('refused', [refusal('s1', 'put secret: no\nput other: no', [0, 1])]);
    expect(await one).toMatchObject({ refusals: [{ reason: 'put secret: no', operations: [0] }] });
    expect(await two).toMatchObject({ refusals: [{ reason: 'put other: no', operations: [0] }] });
  });

  it('without names is found by halving', async () => {
    const master = new Fixture();
    void master.put('first', 0);
    const outcomes = Array.from({ length: 16 }, (_, key) => master.put(`key-${key}`, key));
    await master.dataSet.run((delta) =>
      keysOf(delta).includes('key-11') ? [refusal('s1', 'something is wrong')] : [],
    );
    const ends = await Promise.all(outcomes);
    expect(ends.map((end) => end.kind)).toEqual(
      Array.from({ length: 16 }, (_, key) => (key === 11 ? 'aborted' : 'committed')),
    );
    expect(ends[11]).toMatchObject({ reason: 'refused', refusals: [{ node: 's1', reason: 'something is wrong' }] });
    expect(master.original.size).toBe(16);
    expect(master.dataSet.asked.length).toBeLessThan(16);
  });

  it('takes names that no operation has for none', async () => {
    const master = new Fixture();
    const alone = master.put('a', 1);
    master.dataSet.abort('refused', [refusal('s1', 'odd', [7])]);
    expect(await alone).toMatchObject({
      kind: 'aborted',
      reason: 'refused',
      refusals: [{ node: 's1', reason: 'odd' }],
    });
  });

  it('aborts what stands on it, which goes again in its order', async () => {
    const master = new Fixture();
    const bad = master.put('a', -1);
    const outcomes: Promise<ChangeOutcome>[] = [];
    for (const value of [1, 2, 3]) {
      outcomes.push(master.put('a', value), master.put(`b${value}`, value));
      await turn();
    }
    expect(master.dataSet.open).toHaveLength(4);
    master.dataSet.abort('refused', [refusal('s1', 'no', [0])]);
    expect(await bad).toMatchObject({ kind: 'aborted', reason: 'refused' });
    await turn();
    expect(master.dataSet.open.flatMap((round) => keysOf(round.delta))).toEqual(['a', 'b1', 'a', 'b2', 'a', 'b3']);
    expect(master.dataSet.asked.at(-1)).toMatchObject({ prior: 0 });
    await master.dataSet.run(() => []);
    for (const end of await Promise.all(outcomes)) expect(end.kind).toBe('committed');
    expect(master.contents).toEqual({ a: 3, b1: 1, b2: 2, b3: 3 });
  });

  it('lets nothing start on what it dooms', async () => {
    const master = new Fixture();
    void master.put('a', 1);
    await turn();
    const onTop = master.put('b', 1);
    await turn();
    // The abort above is told first, and the one below a little later.
    const [below, above] = master.dataSet.open.splice(0);
    above?.settle({ kind: 'aborted', reason: 'prior aborted', refusals: [], durationMs: 0 });
    await turn();
    expect(master.dataSet.asked).toHaveLength(2);
    below?.settle({ kind: 'aborted', reason: 'rolled back', refusals: [], durationMs: 0 });
    await turn();
    expect(master.dataSet.asked.at(-1)).toMatchObject({ version: 3, prior: 0 });
    await master.dataSet.commit();
    expect(await onTop).toMatchObject({ kind: 'committed' });
  });

  it('ends within the deadline of each caller', async () => {
    const master = new Fixture();
    void master.put('a', 1, { timeoutMs: 100 });
    await turn();
    const onTop = master.put('b', 1, { timeoutMs: 100 });
    await turn();
    master.clock.advance(100);
    master.dataSet.abort('timeout');
    expect(await onTop).toMatchObject({ kind: 'aborted', reason: 'timeout', durationMs: 100 });
    expect(master.dataSet.open).toHaveLength(0);
  });
});

describe('a deadline', () => {
  it('ends a change that still waits', async () => {
    const master = new Fixture();
    await master.fill();
    const waiting = settled(master.put('x', 1, { timeoutMs: 50 }));
    const patient = settled(master.put('y', 1, { timeoutMs: 5000 }));
    await turn();
    master.clock.advance(49);
    await turn();
    expect(waiting()).toBeUndefined();
    master.clock.advance(1);
    await turn();
    expect(waiting()).toMatchObject({ kind: 'aborted', reason: 'timeout', durationMs: 50 });
    expect(patient()).toBeUndefined();
    await master.dataSet.run(() => []);
    expect(patient()).toMatchObject({ kind: 'committed' });
  });

  it('counts from the call: a round ends with the least time left, and a latecomer goes again', async () => {
    const master = new Fixture();
    const { outcomes } = await master.fill();
    const early = master.put('early', 1);
    master.clock.advance(1500);
    const late = master.put('late', 1);
    await master.dataSet.commit();
    expect(master.dataSet.asked.at(-1)).toMatchObject({ timeoutMs: 500 });
    expect(keysOf(master.dataSet.open.at(-1)?.delta)).toEqual(['early', 'late']);
    while (master.dataSet.open.length > 1) await master.dataSet.commit();
    await Promise.all(outcomes);
    master.clock.advance(500);
    master.dataSet.abort('timeout', [refusal('s1', 'silent')]);
    expect(await early).toMatchObject({
      kind: 'aborted',
      reason: 'timeout',
      refusals: [{ node: 's1', reason: 'silent' }],
    });
    await turn();
    expect(keysOf(master.dataSet.open[0]?.delta)).toEqual(['late']);
    await master.dataSet.commit();
    expect(await late).toMatchObject({ kind: 'committed' });
  });
});

describe('a signal', () => {
  it('takes a waiting change out', async () => {
    const master = new Fixture();
    await master.fill();
    const controller = new AbortController();
    const waiting = master.put('x', 1, { signal: controller.signal });
    controller.abort();
    expect(await waiting).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    await master.dataSet.run(() => []);
    expect(master.original.get('x')).toBeUndefined();
  });

  it('aborts a round of its own, and not one that is shared', async () => {
    const master = new Fixture();
    const controller = new AbortController();
    const alone = master.put('x', 1, { signal: controller.signal });
    const other = master.put('y', 1);
    const shared = master.put('z', 1, { signal: controller.signal });
    await turn();
    controller.abort();
    expect(await alone).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    // The abort dooms the shared round; who was cut doesn't go again.
    expect(await shared).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    await master.dataSet.run(() => []);
    expect(await other).toMatchObject({ kind: 'committed' });
    expect(master.contents).toEqual({ y: 1 });
    expect(await master.put('q', 1, { signal: controller.signal })).toMatchObject({
      kind: 'aborted',
      reason: 'cancelled',
    });
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
