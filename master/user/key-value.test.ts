import { describe, expect, it } from 'vitest';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { FakeClock } from '../../tests/support/fake-clock.js';
import { FakeMasterDataSet, refusal, turn } from '../../tests/support/fake-master-data-set.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { ChangeOutcome } from './key-value-types.js';
import { keyValue } from './key-value.js';

import { Fixture, keysOf, settled } from '../../tests/support/key-value-original.js';

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
