import { sameTip, showTip } from '../../../shared/protocol/kernel/ids.js';
import type { Durability, Outcome } from '../../../shared/protocol/kernel/outcome.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import type { SlaveUserLayer } from '../../../slave/user/contract.js';
import type { GuaranteeId } from './checkers/checker.js';
import { convergenceBoundMs } from './checkers/g9-convergence.js';
import { CounterMaster, CounterSlave } from './counter-layer.js';
import type { CoveredCells } from './coverage.js';
import type { FaultKind } from './faults.js';
import { defaultFaults, drawEvenly, drawSwarm } from './faults.js';
import { Nemesis } from './nemesis.js';
import type { LayerContext } from './sim-node.js';
import type { MakeChange } from './workload.js';
import { drawMix, Workload } from './workload.js';
import type { WorldStats } from './world.js';
import { World } from './world.js';

/** The world of one seed. What is absent, the seed draws. */
export interface SimOptions {
  /** Default: drawn by the seed, 1 to 5. */
  readonly slaves?: number;
  /** The kinds that a seed draws its own few from. `all`: all but a master that takes over. Default `all`. */
  readonly faults?: 'all' | 'none' | readonly FaultKind[];
  /** Each seed has its own kinds at rates of its own, instead of all that it has at one. Default: true with `all`. */
  readonly swarm?: boolean;
  /** Default: counters, whose changes can't be applied twice or out of order unseen. Called at every start of a node. */
  readonly master?: (context: LayerContext) => MasterUserLayer;
  /** As `master`, for each slave. */
  readonly slave?: (context: LayerContext) => SlaveUserLayer;
  /** Makes a change in a master's layer of the host's own. Absent: `replicate` is called and asks the layer's `delta`. */
  readonly change?: MakeChange;
  /** How long faults last, virtual milliseconds. Default: drawn by the seed, 10 to 35 seconds. */
  readonly faultsMs?: number;
  /** Datagrams are encrypted and signed. Default: in every fifth seed. */
  readonly keys?: boolean;
  readonly keepTrace?: boolean;
}

/** A guarantee that didn't hold, and when in virtual time. */
export interface SeedFailure {
  /** `bug`: an exception, an unknown error, or a node that was taken for another. */
  readonly guarantee: GuaranteeId | 'bug';
  readonly atMs: number;
  readonly text: string;
}

/** What became of one seed. */
export interface SeedResult {
  readonly seed: number;
  readonly ok: boolean;
  readonly failures: readonly SeedFailure[];
  /** The same seed and options give the same digest, on every machine. */
  readonly digest: string;
  readonly stats: WorldStats & Workload['outcomes'] & { readonly convergedInMs: number | null };
  readonly faults: readonly FaultKind[];
  /** Which guarantees were judged after which faults had struck. */
  readonly covered: CoveredCells;
  readonly trace: readonly string[];
}

const keyedEvery = 5;

/** After the group is healed it is watched in quiet for this long: nobody may go on asking. */
const quietMs = 3000;

/** The last round needs everybody: nobody may be locked, fenced or behind. */
const lastRoundMs = 5000;
/** A node is back on multicast after a few heartbeats. */
const backOnMulticastMs = 5000;

/** Ends well after the slowest write and callback of a healed group. */
const lastWritesMs = 2000;

/** One run: faults and changes, then the healing, then a quiet time, then one round that everybody must vote for. */
export async function runSeed(seed: number, options: SimOptions = {}): Promise<SeedResult> {
  const random = seededRandom(seed ^ 0x5eed);
  const slaves = options.slaves ?? 1 + random.below(5);
  const durability: Durability = random.chance(0.1) ? 'memory' : 'disk';
  const maxOpenRounds = random.chance(0.5) ? 1 : 1 + random.below(8);
  const layers = layersOf(options, random.fork(), maxOpenRounds);
  const kinds = faultsOf(options.faults ?? 'all', durability);
  const world = new World({
    seed,
    slaves,
    durability,
    masterLayer: layers.master,
    slaveLayer: layers.slave,
    maxOpenRounds: options.master === undefined ? maxOpenRounds : maxRoundsOfHosts,
    maxDatagramBytes: random.chance(0.5) ? 1432 : 8192,
    takeOver: kinds.includes('take-over'),
    keys: options.keys ?? seed % keyedEvery === 0,
    callbackMs: random.chance(0.8) ? 10_000 : 400,
    keepTrace: options.keepTrace ?? false,
  });
  const mix = drawMix(random.fork(), slaves);
  const workload = new Workload({
    world,
    random: random.fork(),
    mix,
    ...(options.change === undefined ? {} : { makeChange: options.change }),
  });
  const isSwarm = options.swarm ?? (options.faults ?? 'all') === 'all';
  const drawn = random.fork();
  const swarm = isSwarm ? drawSwarm(drawn, kinds) : drawEvenly(drawn, kinds);
  const nemesis = new Nemesis({ world, random: drawn, swarm });
  const bugs: SeedFailure[] = [];
  const bug = (text: string): void => {
    bugs.push({ guarantee: 'bug', atMs: world.nowMs, text });
  };
  world.onEvent((node, event) => {
    const code = event.fields['code'];
    const isContested = String(code) === 'name-taken' && world.contested.has(node);
    if (event.name === 'halted' && wrongHalts.includes(String(code)) && !isContested)
      bug(`${node} gave up although it is the only one of its name: ${String(code)}`);
    if (event.name === 'invariant') bug(`${node}: ${JSON.stringify(event.fields)}`);
  });
  let convergedInMs: number | null = null;
  const faultsMs = options.faultsMs ?? 10_000 + random.next() * 25_000;
  // What a node's turn throws out of a promise would end a real process; here it ends the run, blamed on its seed.
  const onRejection = (reason: unknown): void => {
    bug(stackOf(reason));
  };
  process.on('unhandledRejection', onRejection);
  try {
    world.startAll();
    workload.start();
    nemesis.start();
    await world.run(faultsMs);
    workload.stop();
    nemesis.stop();
    layers.calm();
    convergedInMs = await converge(world);
    await lastRound(world, workload, { bug, attempts: options.change === undefined ? 1 : lastRoundsOfHosts });
    // What follows a decision on disk: the prepared record goes.
    await world.run(lastWritesMs);
    world.sampleViews();
    world.oracle.finish();
  } catch (error) {
    bug(stackOf(error));
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  for (const text of workload.bugs) bug(text);
  for (const node of world.nodes) node.crash();
  const failures: readonly SeedFailure[] = [...world.oracle.failures, ...bugs];
  return {
    seed,
    ok: failures.length === 0,
    failures,
    digest: world.trace.digest(),
    stats: { ...world.stats, ...workload.outcomes, convergedInMs },
    faults: nemesis.kinds,
    covered: world.oracle.coverage.cells,
    trace: world.trace.lines,
  };
}

/** Layers of the host's own say themselves how many rounds they allow; the core's bound holds in any case. */
const maxRoundsOfHosts = 64;

/** A host's slaves may veto what the host itself changes, so that one refusal shows nothing. */
const lastRoundsOfHosts = 10;

/** What only a confusion of names or stores would bring about; no fault of the nemesis does. */
const wrongHalts: readonly string[] = ['name-taken', 'cloned-store', 'forgotten', 'group-full'];

/** The error and where it comes from, without this machine's folders. */
function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [, ...frames] = (error.stack ?? '').split('\n');
  const places = frames.slice(0, 6).map((frame) => frame.replaceAll(`${process.cwd()}/`, '').trim());
  return `${error.name}: ${error.message} ${places.join(' ')}`;
}

async function converge(world: World): Promise<number | null> {
  world.observe({ kind: 'healed' });
  const healedMs = world.nowMs;
  const converged = await world.runUntil(() => world.converged, convergenceBoundMs);
  // G10 counts what is said in quiet, and a hundred slaves that still get copies by unicast aren't there yet. Copies to where
  // nobody is any more go on for longer, until the address is forgotten: few, and so not waited for.
  if (converged) await world.runUntil(() => world.reachesAll, backOnMulticastMs);
  world.sampleViews();
  if (!converged) return null;
  const tookMs = world.nowMs - healedMs;
  world.observe({ kind: 'converged' });
  await world.run(quietMs);
  if (!world.converged) {
    const told = [...world.tips].map(([node, tip]) => `${node} ${showTip(tip)}`).join(', ');
    throw new Error(`the group converged, and fell apart again in quiet: ${told}`);
  }
  return Math.round(tookMs);
}

async function lastRound(
  world: World,
  workload: Workload,
  { bug, attempts }: { readonly bug: (text: string) => void; readonly attempts: number },
): Promise<void> {
  if (!world.converged) return;
  const results: (Outcome | null)[] = [];
  void workload.replicateForAll().then((outcome) => {
    results.push(outcome);
  });
  await world.runUntil(() => results.length > 0, lastRoundMs);
  const outcome = results[0] ?? null;
  if (outcome?.kind === 'aborted' && outcome.reason === 'refused' && attempts > 1) {
    await lastRound(world, workload, { bug, attempts: attempts - 1 });
    return;
  }
  if (outcome?.kind !== 'committed') {
    bug(
      `all are healed, and a round that needs them all ends as ${outcome === null ? 'nothing' : JSON.stringify(outcome)}`,
    );
    return;
  }
  const exposed = await world.runUntil(
    () => world.slaves.every((slave) => sameTip(slave.service?.view().tip ?? null, outcome.tip)),
    lastRoundMs,
  );
  if (!exposed) bug(`${showTip(outcome.tip)} committed with everybody's vote, and not everybody exposes it`);
}

/** In memory a master that crashes loses decisions, and rightly refuses to lead its slaves: only an operator helps. */
function faultsOf(faults: NonNullable<SimOptions['faults']>, durability: Durability): readonly FaultKind[] {
  const kinds = faults === 'all' ? defaultFaults : faults === 'none' ? [] : faults;
  return durability === 'disk' ? kinds : kinds.filter((kind) => !endsMasters.includes(kind));
}

const endsMasters: readonly FaultKind[] = [
  'crash-master',
  'crash-all',
  'failing-disk',
  'stale-master',
  'take-over',
  'crash-at-effect',
  'lost-writes',
  'torn-flush',
  'full-disk',
  'second-master',
  'empty-master',
  'old-master',
];

function layersOf(
  options: SimOptions,
  random: Random,
  maxOpenRounds: number,
): {
  readonly master: (context: LayerContext) => MasterUserLayer;
  readonly slave: (context: LayerContext) => SlaveUserLayer;
  /** Callbacks that are slow belong to the faults. */
  readonly calm: () => void;
} {
  const masterStoring = random.chance(0.5) ? 'own' : 'shared';
  const slaveStoring = random.chance(0.5) ? 'own' : 'shared';
  const slowness = { chance: random.chance(0.5) ? 0 : random.next() * 0.3, maxMs: random.chance(0.8) ? 30 : 900 };
  return {
    calm: () => {
      slowness.chance = 0;
    },
    master:
      options.master ??
      (({ dataSet, store }) => new CounterMaster({ dataSet, store, storing: masterStoring, maxOpenRounds })),
    slave:
      options.slave ??
      (({ node, dataSet, store, clock, random: drawn }) =>
        new CounterSlave({ node, dataSet, store, clock, random: drawn, storing: slaveStoring, slowness })),
  };
}
