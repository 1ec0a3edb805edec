import { describe, expect, test } from 'vitest';
import { CounterMaster, CounterSlave } from './counter-layer.js';
import type { Observation } from './observation.js';
import { Workload, drawMix } from './workload.js';
import { World } from './world.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';

function makeWorld(seed: number): {
  readonly world: World;
  readonly seen: (Observation & { readonly node: string })[];
} {
  const world = new World({
    seed,
    slaves: 2,
    masterLayer: ({ dataSet, store }) => new CounterMaster({ dataSet, store, storing: 'own', maxOpenRounds: 1 }),
    slaveLayer: (context) => new CounterSlave({ ...context, storing: 'own', slowness: null }),
  });
  const seen: (Observation & { readonly node: string })[] = [];
  world.startAll();
  return { world, seen };
}

/** What a dead process must not do. Its disk may show what was on its way there. */
const deeds: readonly Observation['kind'][] = ['sent', 'datagram', 'writing', 'called', 'voted', 'decided'];

describe('a process that ends between two of its effects', () => {
  test.each(['sent', 'datagram', 'durable', 'called', 'voted', 'exposed'] as const)(
    'does nothing after a %s, and its next process heals',
    async (kind) => {
      const { world, seen } = makeWorld(7);
      const random = seededRandom(7);
      const workload = new Workload({ world, random, mix: { ...drawMix(random, 2), twoPhase: 1, veto: 0 } });
      expect(await world.runUntil(() => world.leader !== null, 20_000)).toBe(true);
      workload.start();
      let died = false;
      world.onEffect = (observation) => {
        if (died && observation.node === 's1') seen.push(observation);
        if (died || observation.node !== 's1' || observation.kind !== kind) return;
        died = true;
        world.crash('s1');
      };
      expect(await world.runUntil(() => died, 20_000)).toBe(true);
      await world.run(500);
      expect(seen.filter((observation) => deeds.includes(observation.kind))).toEqual([]);
      world.onEffect = null;
      workload.stop();
      world.slave('s1').start();
      expect(await world.runUntil(() => world.converged, 45_000)).toBe(true);
      expect(world.oracle.failures).toEqual([]);
    },
  );
});
