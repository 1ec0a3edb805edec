import { describe, expect, test } from 'vitest';
import type { ClockView } from '../../../slave/service/core/view.js';
import { CounterMaster, CounterSlave } from './counter-layer.js';
import type { FaultKind } from './faults.js';
import { describeFailures, runSeed } from './index.js';
import { World } from './world.js';

/** What is hard on clocks, and all of it in each seed. */
const faults: readonly FaultKind[] = [
  'clock-jump',
  'clock-back',
  'clock-drift',
  'suspend',
  'pause',
  'long-pause',
  'asymmetric-delay',
  'delay',
  'long-delay',
  'loss',
  'crash-master',
  'crash-slave',
];

describe('group time', () => {
  test.each([1, 2, 3, 5, 8, 13])(
    'seed %i: clocks that jump, drift and sleep never put the group time outside what slaves report',
    async (seed) => {
      const result = await runSeed(seed, { faults, swarm: false, faultsMs: 12_000, slaves: 3 });
      expect(describeFailures(result)).toBe('');
    },
  );

  test('is told to forty slaves in a group as quiet as any (G10); a hundred of them once asked in bursts that were not', async () => {
    const result = await runSeed(1, { faults: 'none', slaves: 40, faultsMs: 500 });
    expect(describeFailures(result)).toBe('');
  });

  test('is the master’s, also where nobody’s time of day is right, and goes on whoever sets it', async () => {
    const { world, clock, groupMs } = await scene(1);
    const walls = world.nodes.map(({ process }) => process?.wallMs() ?? 0);
    expect(Math.max(...walls) - Math.min(...walls), 'hours apart').toBeGreaterThan(3_600_000);
    await world.run(20_000);
    for (const name of ['s1', 's2']) {
      expect(Math.abs(clock(name).groupMs - groupMs())).toBeLessThan(clock(name).errorMs);
      expect(clock(name).errorMs).toBeLessThan(12);
    }
    const before = groupMs();
    const fromMs = world.nowMs;
    for (const { process } of world.nodes) process?.jumpWall(7_200_000);
    await world.run(20_000);
    expect(Math.abs(groupMs() - before - (world.nowMs - fromMs))).toBeLessThan(21);
    for (const name of ['s1', 's2'])
      expect(Math.abs(clock(name).groupMs - groupMs())).toBeLessThan(clock(name).errorMs);
    expect(world.oracle.failures).toEqual([]);
  });

  test('is measured anew after a sleep, the slave’s or the master’s, and stands still in the master’s', async () => {
    const { world, clock, groupMs } = await scene(2);
    await world.run(8000);
    world.slave('s1').process?.pause('suspend');
    await world.run(400);
    world.slave('s1').process?.resume();
    expect(clock('s1').errorMs, 'it may have slept so long').toBeGreaterThan(200);
    await world.run(500);
    expect(clock('s1').errorMs).toBeLessThan(12);
    const before = groupMs();
    world.master.process?.pause('suspend');
    await world.run(2000);
    world.master.process?.resume();
    expect(groupMs() - before).toBeLessThan(10);
    await world.run(8000);
    for (const name of ['s1', 's2']) {
      expect(clock(name).era).toBe(2);
      expect(Math.abs(clock(name).groupMs - groupMs())).toBeLessThan(clock(name).errorMs);
    }
    expect(world.oracle.failures).toEqual([]);
  });
});

interface Scene {
  readonly world: World;
  readonly clock: (slave: string) => ClockView;
  /** What the master would say now. */
  readonly groupMs: () => number;
}

/** Two slaves that know the group time of their master. */
async function scene(seed: number): Promise<Scene> {
  const world = new World({
    seed,
    slaves: 2,
    masterLayer: ({ dataSet, store }) => new CounterMaster({ dataSet, store, storing: 'own', maxOpenRounds: 1 }),
    slaveLayer: (context) => new CounterSlave({ ...context, storing: 'own', slowness: null }),
  });
  /** Group time less the master's monotonic clock. */
  let aheadMs = Number.NaN;
  world.onEffect = (observation) => {
    if (observation.kind !== 'sent' || observation.packet.message.kind !== 'clock') return;
    aheadMs = observation.packet.message.sentMs - (world.master.process?.monotonicMs() ?? Number.NaN);
  };
  const view = (name: string): ClockView | null => world.slave(name).service?.view().clock ?? null;
  world.startAll();
  expect(await world.runUntil(() => view('s1') !== null && view('s2') !== null, 20_000)).toBe(true);
  return {
    world,
    clock: (name) => {
      const clock = view(name);
      if (clock === null) throw new Error(`${name} does not know the group time`);
      return clock;
    },
    groupMs: () => (world.master.process?.monotonicMs() ?? Number.NaN) + aheadMs,
  };
}
