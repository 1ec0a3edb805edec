import { describe, expect, test } from 'vitest';
import type { NodeId, Peer } from '../../../shared/protocol/kernel/ids.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import { KeyedSeal } from '../../../shared/protocol/secure/keyed-seal.js';
import type { GroupKeys } from '../../../shared/protocol/secure/keys.js';
import type { EndpointCounters } from '../../../shared/protocol/stream/endpoint.js';
import { Packer } from '../../../shared/protocol/stream/packer.js';
import { encodeBody } from '../../../shared/protocol/wire/codec.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import { messageOrdinals } from '../../../shared/protocol/wire/registry.js';
import { samples } from '../vectors/samples.js';
import { CounterMaster, CounterSlave } from './counter-layer.js';
import { testKeys } from './keys.js';
import type { Packet } from './network.js';
import { drawMix, Workload } from './workload.js';
import { World } from './world.js';

function worldOf(seed: number): { readonly world: World; readonly workload: Workload } {
  const slowness = { chance: 0, maxMs: 0 };
  const world = new World({
    seed,
    slaves: 3,
    keys: true,
    masterLayer: ({ dataSet, store }) => new CounterMaster({ dataSet, store, storing: 'own', maxOpenRounds: 1 }),
    slaveLayer: ({ node, dataSet, store, clock, random }) =>
      new CounterSlave({ node, dataSet, store, clock, random, storing: 'own', slowness }),
  });
  const random = seededRandom(seed);
  return { world, workload: new Workload({ world, random, mix: drawMix(random.fork(), 3) }) };
}

/** Waits, in virtual time, for one change that every member votes for. */
async function change(world: World, workload: Workload): Promise<string> {
  let ended = '';
  void workload.replicateForAll().then((outcome) => {
    ended =
      outcome === null ? 'refused' : `${outcome.kind} ${outcome.kind === 'committed' ? '' : outcome.reason}`.trim();
  });
  await world.runUntil(() => ended !== '', 5000);
  return ended;
}

async function started(seed: number): Promise<{ readonly world: World; readonly workload: Workload }> {
  const { world, workload } = worldOf(seed);
  world.startAll();
  expect(await world.runUntil(() => world.converged, 30_000)).toBe(true);
  return { world, workload };
}

function rejectedAt(world: World, node: string): EndpointCounters['rejected'] {
  return (world.node(node).counters as EndpointCounters).rejected;
}

/** Sent by somebody who knows the code and holds these keys, in the name of the leading master's very process. */
function forged(world: World, messages: readonly Message[], keys: GroupKeys): readonly Buffer[] {
  const view = world.leader?.service?.view();
  const tip = view?.tip ?? null;
  if (view === undefined || tip === null) throw new Error('nobody leads');
  const storeId = world.master.disk.durable.get(['meta', 'identity']) as {
    readonly storeId: string;
    readonly start: number;
  };
  const self: Peer = { node: 'master' as NodeId, incarnation: { storeId: storeId.storeId, start: storeId.start } };
  const seal = new KeyedSeal({ self, keys, startedMs: Number.MAX_SAFE_INTEGER, salt: 'feedfeedfeedfeed' });
  const packer = new Packer(seal, 1432);
  const context = packer.context(world.dataSet, view.epoch);
  return messages.flatMap((message) => {
    const signed = seal.sign(message, context, encodeBody(message));
    const body = signed ?? { body: encodeBody(message), isSigned: false };
    return packer.pack([{ id: 0, ordinal: messageOrdinals[message.kind], context, ...body, fragmentCount: 1 }]);
  });
}

const mastersWords = Object.values(samples).filter(({ kind }) =>
  [
    'claim',
    'heartbeat',
    'prepare',
    'announce',
    'commit',
    'abort',
    'welcome',
    'refusal',
    'leave',
    'deltas',
    'too-old',
    'bulk-offer',
    'resolution',
  ].includes(kind),
);

describe('a keyed group (G11)', () => {
  test("a slave's key poses as no master: claims, heartbeats, prepares, announces, commits come to nothing", async () => {
    const { world, workload } = await started(1);
    expect(await change(world, workload)).toBe('committed');
    await world.run(1000);
    const tips = [...world.tips];
    for (const datagram of forged(world, mastersWords, testKeys('slave')))
      for (const node of ['s1', 's2', 's3']) world.network.inject(node, datagram, '10.0.0.66:6');
    await world.run(2000);
    // The oracle takes any message out of an injected datagram for a breach.
    expect(world.oracle.failures).toEqual([]);
    for (const node of ['s1', 's2', 's3']) expect(rejectedAt(world, node).unsigned).toBe(mastersWords.length);
    expect([...world.tips]).toEqual(tips);
    expect(world.converged).toBe(true);
    expect(await change(world, workload)).toBe('committed');
  });

  test("the same words with the masters' key are heard, so it is the signature that keeps the others out", async () => {
    const { world, workload } = await started(1);
    await change(world, workload);
    const heartbeat = samples['heartbeat'];
    if (heartbeat === undefined) throw new Error('no sample');
    for (const datagram of forged(world, [heartbeat], testKeys('master')))
      world.network.inject('s1', datagram, '10.0.0.66:6');
    await world.run(100);
    expect(rejectedAt(world, 's1').unsigned).toBe(0);
    expect(world.oracle.failures.map(({ guarantee }) => guarantee)).toContain('G11');
  });

  test('everything that was ever sent, sent again, changes nothing', async () => {
    const { world, workload } = worldOf(2);
    const recorded: Packet[] = [];
    world.network.dropWhen((packet) => {
      recorded.push(packet);
      return false;
    });
    world.startAll();
    await world.runUntil(() => world.converged, 30_000);
    for (let count = 0; count < 5; count += 1) expect(await change(world, workload)).toBe('committed');
    world.restart('s1');
    await world.runUntil(() => world.converged, 30_000);
    const tips = [...world.tips];
    const before = recorded.splice(0);
    await world.run(100); // what was under way has come: a recording that came before it would be the first to be heard
    const toOthers = before.filter(({ toNode }) => toNode !== 's1');
    expect(toOthers.length).toBeGreaterThan(100);
    for (const { toNode, bytes } of toOthers) world.network.inject(toNode, bytes, '10.0.0.66:6');
    await world.run(3000);
    expect(world.oracle.failures).toEqual([]);
    const refused = ['master', 's2', 's3'].map(
      (node) => rejectedAt(world, node).replayed + rejectedAt(world, node)['old-incarnation'],
    );
    expect(refused.reduce((sum, count) => sum + count, 0)).toBe(toOthers.length);
    expect([...world.tips]).toEqual(tips);
    expect(world.converged).toBe(true);
  });

  test('keys are replaced node by node while changes go on: none aborts, none is lost', async () => {
    const { world, workload } = await started(3);
    const steps = [{ ids: [1, 2] }, { ids: [1, 2], current: 2 }, { ids: [2] }];
    let changes = 0;
    for (const step of steps) {
      for (const name of ['s2', 'master', 's1', 's3']) {
        const node = world.node(name);
        node.replaceKeys(testKeys(node.role, step));
        // As long as it may take until the next node has its file.
        for (let count = 0; count < 3; count += 1, changes += 1)
          expect(await change(world, workload)).toBe('committed');
      }
    }
    await world.runUntil(() => world.converged, 5000);
    expect(world.oracle.truth.commits).toBe(changes);
    expect(world.oracle.failures).toEqual([]);
    expect(world.converged).toBe(true);
    // The old key opens nothing any more, and a node that restarts has the new one.
    world.restart('s3');
    expect(await world.runUntil(() => world.converged, 30_000)).toBe(true);
  });

  test('a node with the keys of another group is a stranger', async () => {
    const { world } = worldOf(4);
    world.slave('s3').replaceKeys(testKeys('slave', { word: 'other' }));
    world.startAll();
    await world.run(20_000);
    expect(world.converged).toBe(false);
    expect(world.slave('s3').service?.view()).toMatchObject({ tip: null, master: null });
    expect(rejectedAt(world, 's3').unauthenticated).toBeGreaterThan(0);
    expect(world.oracle.failures).toEqual([]);
    world.slave('s3').replaceKeys(testKeys('slave'));
    expect(await world.runUntil(() => world.converged, 30_000)).toBe(true);
  });
});
