import { describe, expect, it } from 'vitest';
import { turn } from '../../tests/support/fake-master-data-set.js';
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
