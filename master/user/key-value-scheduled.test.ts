import { describe, expect, it } from 'vitest';
import { refusal, turn } from '../../tests/support/fake-master-data-set.js';
import { Fixture } from '../../tests/support/key-value-original.js';

const activateAt = 1_796_119_260_000;

describe('a scheduled change', () => {
  it('goes alone: it waits for what is in flight, and what comes later waits for its instant', async () => {
    const master = new Fixture();
    const before = master.put('a', 1);
    const scheduled = master.original.change([{ put: ['b', 2] }], { activateAt, timeoutMs: 5000 });
    await turn();
    expect(master.dataSet.asked, 'the one before isn’t decided').toHaveLength(1);
    await master.dataSet.commit();
    expect(await before).toMatchObject({ kind: 'committed' });
    expect(master.dataSet.asked[1]).toMatchObject({ version: 2, prior: 1, phases: 'two', activateAt });
    const after = master.put('c', 3, { timeoutMs: 60_000 });
    await master.dataSet.arm();
    expect(await scheduled).toMatchObject({
      kind: 'armed',
      operations: 1,
      activateAtMs: activateAt,
      arming: { armed: 2 },
    });
    expect(master.contents, 'not shown').toEqual({ a: 1 });
    expect(master.dataSet.asked).toHaveLength(2);
    await master.dataSet.activate();
    expect(master.contents).toEqual({ a: 1, b: 2 });
    expect(master.dataSet.asked[2]).toMatchObject({ version: 3, prior: 2 });
    await master.dataSet.commit();
    expect(await after).toMatchObject({ kind: 'committed' });
  });

  it('lets those behind it go when it was taken back, and shows nothing', async () => {
    const master = new Fixture();
    const scheduled = master.original.change([{ put: ['b', 2] }], { activateAt, idempotencyKey: 'k' });
    await master.dataSet.arm();
    expect(await scheduled).toMatchObject({ kind: 'armed' });
    expect(master.original.outcomeOf('k')).toMatchObject({ kind: 'armed' });
    const after = master.put('c', 3, { timeoutMs: 60_000 });
    await master.dataSet.withdraw();
    expect(master.original.outcomeOf('k')).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    await master.dataSet.commit();
    expect(await after).toMatchObject({ kind: 'committed', tip: { version: 2 } });
    expect(master.contents).toEqual({ c: 3 });
  });

  it('is remembered by its idempotency key as committed from its instant on, also after a restart', async () => {
    const master = new Fixture();
    const scheduled = master.original.change([{ put: ['b', 2] }], { activateAt, idempotencyKey: 'k' });
    await master.dataSet.arm();
    await scheduled;
    await master.dataSet.activate();
    expect(master.original.outcomeOf('k')).toMatchObject({ kind: 'committed', tip: { version: 1 } });
    expect(new Fixture(master.store).original.outcomeOf('k')).toMatchObject({ kind: 'committed' });
  });

  it('has those behind it end at their own deadline, which says what they waited for', async () => {
    const master = new Fixture();
    const scheduled = master.original.change([{ put: ['b', 2] }], { activateAt });
    await master.dataSet.arm();
    await scheduled;
    const behind = master.put('c', 3, { timeoutMs: 500 });
    master.clock.advance(501);
    expect(await behind).toMatchObject({ kind: 'aborted', reason: 'behind an armed change' });
    expect(master.dataSet.asked).toHaveLength(1);
  });

  it('shares a round only with those of the same instant', async () => {
    const master = new Fixture();
    const first = master.put('a', 1);
    for (const [key, at] of [
      ['b', activateAt],
      ['c', activateAt],
      ['d', activateAt + 1],
    ] as const)
      void master.original.change([{ put: [key, 1] }], { activateAt: at, timeoutMs: 60_000 });
    await master.dataSet.commit();
    await first;
    expect(master.dataSet.asked.map(({ operations, activateAt: at }) => [operations, at])).toEqual([
      [1, undefined],
      [2, activateAt],
    ]);
  });

  it('in one phase is refused', async () => {
    const master = new Fixture();
    const change = master.original.change([{ put: ['a', 1] }], { activateAt, phases: 'one' });
    await expect(change).rejects.toMatchObject({ code: 'bad-option' });
  });
});

describe('an idempotency key of a scheduled change, over a restart before its instant', () => {
  const options = { activateAt, idempotencyKey: 'k' } as const;

  /** Another process on the same disk, with what the service had on it. */
  function restarted(master: Fixture): Fixture {
    const next = new Fixture(master.store);
    next.dataSet.open.push(...master.dataSet.open);
    next.dataSet.armed = master.dataSet.armed;
    return next;
  }

  function scheduledRecords(master: Fixture): number {
    return [...master.store.range(['data', 'prices', 'scheduled'])].length;
  }

  it('is on disk before the decision can be, and answers as before: armed, then committed', async () => {
    const first = new Fixture();
    void first.original.change([{ put: ['b', 2] }], options);
    await turn();
    expect(first.store.transactions.at(-1)).toMatchObject({ durable: true, operations: [{ kind: 'put' }] });
    await first.dataSet.arm();
    const next = restarted(first);
    expect(next.original.outcomeOf('k')).toMatchObject({ kind: 'armed', tip: { version: 1 }, operations: 1 });
    const again = await next.original.change([{ put: ['b', 2] }], options);
    expect(again).toMatchObject({ kind: 'armed', activateAtMs: activateAt, arming: { armed: 2, of: 2 } });
    expect(next.dataSet.asked, 'nothing was scheduled again').toEqual([]);
    await next.dataSet.activate();
    expect(next.original.outcomeOf('k')).toMatchObject({ kind: 'committed', tip: { version: 1 }, operations: 1 });
    expect(new Fixture(first.store).original.outcomeOf('k')).toMatchObject({ kind: 'committed' });
    expect(scheduledRecords(first)).toBe(0);
  });

  it('is told when the change is cancelled after it', async () => {
    const first = new Fixture();
    void first.original.change([{ put: ['b', 2] }], options);
    await turn();
    await first.dataSet.arm();
    const next = restarted(first);
    await next.dataSet.withdraw();
    expect(next.original.outcomeOf('k')).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    expect(scheduledRecords(first)).toBe(0);
  });

  it('is free when nothing was decided, and the next scheduled change of that version is not taken for it', async () => {
    const first = new Fixture();
    void first.original.change([{ put: ['b', 2] }], options);
    await turn();
    const next = new Fixture(first.store);
    expect(next.original.outcomeOf('k')).toBeUndefined();
    void next.original.change([{ put: ['c', 3] }], { activateAt });
    await turn();
    await next.dataSet.arm();
    expect(next.dataSet.armed).toMatchObject({ version: 1 });
    expect([next.original.outcomeOf('k'), scheduledRecords(first)]).toEqual([undefined, 0]);
    const third = restarted(next);
    expect(third.original.outcomeOf('k')).toBeUndefined();
    await third.dataSet.activate();
    expect(third.original.outcomeOf('k')).toBeUndefined();
  });

  it('leaves nothing behind when the round is aborted or refused', async () => {
    const master = new Fixture();
    const aborted = master.original.change([{ put: ['b', 2] }], options);
    await turn();
    expect(scheduledRecords(master)).toBe(1);
    master.dataSet.abort('refused', [refusal('a', 'no')]);
    expect(await aborted).toMatchObject({ kind: 'aborted' });
    await turn();
    expect(scheduledRecords(master)).toBe(0);
    const refused = master.original.change([{ put: ['b', 2] }], { ...options, idempotencyKey: 'l' });
    await turn();
    master.dataSet.open.shift()?.fail(new Error('too early'));
    await expect(refused).rejects.toThrow('too early');
    await turn();
    expect(scheduledRecords(master)).toBe(0);
  });
});
