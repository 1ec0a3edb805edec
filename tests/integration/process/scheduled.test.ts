import { expect, it } from 'vitest';
import { keyValue as original } from '../../../master/index.js';
import { keyValue as copy } from '../../../slave/index.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { Loopback, until } from './loopback.js';

it('three real slaves show a scheduled change at the same instant, and nothing of it before', async () => {
  await using group = await Loopback.start();
  const master = await group.master({ leaseMs: 1000 });
  const prices = await master.register('prices', original<number>());
  const names = ['a', 'b', 'c'];
  const shownMs = new Map<string, number>();
  const copies = await Promise.all(
    names.map(async (name) => {
      const slave = await group.slave(name);
      for (const event of ['activated', 'activated late'] as const)
        slave.on(event, () => shownMs.set(name, performance.now()));
      return slave.register('prices', copy<number>());
    }),
  );
  const all = (state: string): boolean => copies.every((each) => each.state === state);
  await until(() => all('current') && prices.dataSet.members().length === names.length, 'three current slaves', 30_000);
  expect((await prices.change([{ put: ['tea', 1] }], { voters: 'all', timeoutMs: 20_000 })).kind).toBe('committed');
  await until(() => copies.every((each) => each.get('tea') === 1), 'version 1 everywhere', 20_000);

  const tooSoon = prices.change([{ put: ['tea', 2] }], { activateAt: { inMs: 500 } });
  await expect(tooSoon).rejects.toMatchObject({
    code: 'instant-too-early',
    earliestAtMs: expect.any(Number) as number,
  });
  const inMs = 6000;
  const instantMs = performance.now() + inMs;
  const armed = await prices.change([{ put: ['tea', 2] }], { activateAt: { inMs }, voters: 'all', timeoutMs: 4000 });
  expect(armed).toMatchObject({ kind: 'armed', arming: { armed: 3, of: 3, missing: [] }, operations: 1 });
  expect(prices.dataSet.armed).toMatchObject({ armed: 3, of: 3, phase: 'armed' });
  expect(prices.get('tea'), 'the original keeps it to itself as well').toBe(1);
  const behind = prices.change([{ put: ['milk', 3] }], { timeoutMs: 30_000 });

  await until(() => shownMs.size > 0 || performance.now() > instantMs - 100, 'the instant is near', inMs);
  expect(copies.map((each) => each.get('tea'))).toEqual([1, 1, 1]);
  await until(() => shownMs.size === names.length, 'the switch', 20_000);
  expect(copies.map((each) => each.get('tea'))).toEqual([2, 2, 2]);
  expect((await behind).kind, 'what queued behind it').toBe('committed');

  await until(() => prices.dataSet.view().activation?.exposed === names.length, 'three reports', 20_000);
  const activation = prices.dataSet.view().activation;
  const times = [...shownMs.values()];
  const spreadMs = Math.max(...times) - Math.min(...times);
  const text = `${spreadMs.toFixed(3)} ms by this clock; reported ${JSON.stringify(activation)}`;
  // One process, one clock: what the nodes reported of themselves is held against it.
  expect(Math.min(...times), text).toBeGreaterThan(instantMs - limits.maxClockErrorMs);
  expect(activation?.spreadMs, text).not.toBeNull();
  expect(activation?.boundMs ?? 0, text).toBeGreaterThanOrEqual(activation?.spreadMs ?? Infinity);
  expect(spreadMs, text).toBeLessThanOrEqual((activation?.boundMs ?? 0) + handlingMs);
  console.log(`spread of three slaves on loopback: ${text}`);
});

/** From the exposure to the listener of its event, in the same turn of the same process. */
const handlingMs = 20;

it('a scheduled change that was cancelled is shown by nobody', async () => {
  await using group = await Loopback.start();
  const master = await group.master({ leaseMs: 1000 });
  const prices = await master.register('prices', original<number>());
  const held = await (await group.slave('a')).register('prices', copy<number>());
  await until(() => held.state === 'current', 'a is current', 30_000);
  const change = { activateAt: { inMs: 6000 }, voters: 'all', timeoutMs: 4000, idempotencyKey: 'once' } as const;
  expect((await prices.change([{ put: ['tea', 1] }], change)).kind).toBe('armed');
  expect(await prices.dataSet.cancelActivation(1, { timeoutMs: 4000 })).toMatchObject({
    kind: 'cancelled',
    version: 1,
  });
  expect(prices.outcomeOf('once')).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
  expect((await prices.change([{ put: ['milk', 2] }], { timeoutMs: 20_000 })).kind).toBe('committed');
  await until(() => held.get('milk') === 2, 'what came after', 20_000);
  expect([held.get('tea'), prices.get('tea')]).toEqual([undefined, undefined]);
  await expect(prices.dataSet.cancelActivation(1)).rejects.toMatchObject({ code: 'round-unknown' });
});

it('a master that starts again before the instant knows the change by its idempotency key, and schedules it once', async () => {
  await using group = await Loopback.start();
  const first = await group.master({ leaseMs: 1000 });
  const before = await first.register('prices', original<number>());
  const held = await (await group.slave('a')).register('prices', copy<number>());
  await until(() => held.state === 'current', 'a is current', 30_000);
  const change = { activateAt: { inMs: 9000 }, voters: 'all', timeoutMs: 4000, idempotencyKey: 'once' } as const;
  const told = await before.change([{ put: ['tea', 1] }], change);
  expect(told.kind).toBe('armed');
  await first.close();
  const prices = await (await group.master({ leaseMs: 1000 })).register('prices', original<number>());
  await prices.dataSet.leading();
  expect(prices.outcomeOf('once')).toMatchObject({ kind: 'armed', tip: { version: 1 }, operations: 1 });
  const again = await prices.change([{ put: ['tea', 1] }], change);
  expect(again).toMatchObject({ kind: 'armed', activateAtMs: 'activateAtMs' in told ? told.activateAtMs : NaN });
  await until(() => held.get('tea') === 1 && prices.get('tea') === 1, 'the switch', 30_000);
  await until(() => prices.dataSet.armed === null, 'its commit', 8000);
  expect(prices.outcomeOf('once')).toMatchObject({ kind: 'committed', tip: { version: 1 }, operations: 1 });
  expect(prices.tip?.version).toBe(1);
});
