import { seededRandom } from '../../shared/protocol/kernel/random.js';
import { CounterMaster, CounterSlave } from '../../tests/integration/sim/counter-layer.js';
import { drawMix, Workload } from '../../tests/integration/sim/workload.js';
import { World } from '../../tests/integration/sim/world.js';
import { spreadOf, type Figure } from './measure.js';

/** Ordinals of the wire. */
const joinKind = 20;
const voteKind = 50;
/** The name of the sender stands before the first frame, whose first byte is its kind. */
const nameLengthAt = 56;

/** What a simulated group of this size does when it starts all at once, and in one round. No processor limits anybody. */
export interface MassStart {
  readonly slaves: number;
  /** Joins that arrived at anybody, all nodes together. */
  readonly joins: number;
  readonly votes: number;
  readonly spanMs: number;
  /** Votes that arrived at the master within the worst millisecond. */
  readonly mostInOneMs: number;
}

export async function measureMassStart(slaves: number): Promise<MassStart> {
  const world = new World({
    seed: 1,
    slaves,
    masterLayer: ({ dataSet, store }) => new CounterMaster({ dataSet, store, storing: 'own', maxOpenRounds: 1 }),
    slaveLayer: (context) => new CounterSlave({ ...context, storing: 'own', slowness: null }),
  });
  let joins = 0;
  const votesAtMs: number[] = [];
  for (const node of world.nodes) {
    const handling = node.handling.bind(node);
    node.handling = (packet) => {
      const kind = packet === null ? null : firstKind(packet.bytes);
      if (kind === joinKind) joins += 1;
      if (kind === voteKind && node === world.master) votesAtMs.push(world.nowMs);
      handling(packet);
    };
  }
  world.startAll();
  if (!(await world.runUntil(() => world.converged, 60_000))) throw new Error(`${slaves} slaves don't come together`);
  const random = seededRandom(1);
  const workload = new Workload({ world, random, mix: { ...drawMix(random, 2), veto: 0, rollBack: 0 } });
  const outcome = workload.replicateForAll();
  await world.run(1000);
  if ((await outcome)?.kind !== 'committed') throw new Error(`${slaves} slaves don't commit`);
  return { slaves, joins, votes: votesAtMs.length, spanMs: spanOf(votesAtMs), mostInOneMs: mostWithin(votesAtMs, 1) };
}

export function massStartFigures(results: readonly MassStart[]): readonly Figure[] {
  return results.flatMap(({ slaves, joins, votes, spanMs, mostInOneMs }): readonly Figure[] => [
    {
      name: `${slaves} simulated slaves start at once: joins that arrive, at each node`,
      unit: 'packets',
      spread: spreadOf([joins / (slaves + 1)]),
      ...(slaves > 200 ? { note: 'as with --peers: only the master hears them' } : {}),
    },
    { name: '… votes of one round at the master', unit: 'packets', spread: spreadOf([votes]) },
    { name: '… from the first to the last', unit: 'ms', spread: spreadOf([spanMs]) },
    { name: '… in the worst millisecond', unit: 'packets', spread: spreadOf([mostInOneMs]) },
  ]);
}

function firstKind(bytes: Uint8Array): number | null {
  return bytes[nameLengthAt + 1 + (bytes[nameLengthAt] ?? 0)] ?? null;
}

function spanOf(times: readonly number[]): number {
  return (times.at(-1) ?? 0) - (times[0] ?? 0);
}

/** The most that arrived within any span of so many milliseconds. */
function mostWithin(times: readonly number[], spanMs: number): number {
  let most = 0;
  let first = 0;
  times.forEach((time, index) => {
    while (time - (times[first] ?? 0) > spanMs) first += 1;
    most = Math.max(most, index - first + 1);
  });
  return most;
}
