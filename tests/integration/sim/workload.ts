import { invariant } from '../../../shared/protocol/kernel/invariant.js';
import type {
  ContentChoice,
  DeliveryMode,
  Outcome,
  ScheduledOutcome,
  VoterPolicy,
} from '../../../shared/protocol/kernel/outcome.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { seededRandom, type Random } from '../../../shared/protocol/kernel/random.js';
import type { MasterDataSet, ReplicateOptions } from '../../../master/types.js';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import type { SimProcess } from './clock.js';
import { CounterMaster } from './counter-layer.js';
import type { CounterOperation } from './counter-state.js';
import { isTypedError } from './sim-node.js';
import type { World } from './world.js';

/** How a host changes its original so that it is at `version`; undefined when the layer is to be asked for the delta. */
export type MakeChange = (change: {
  readonly layer: MasterUserLayer;
  readonly version: number;
  readonly random: Random;
}) => Uint8Array | undefined;

/** What a seed's replications are like; drawn once per run. */
export interface WorkloadMix {
  readonly meanGapMs: number;
  readonly twoPhase: number;
  readonly veto: number;
  readonly rollBack: number;
  readonly giveDelta: number;
  /** Changes that name no prior version: they are to go on top of whatever is newest. */
  readonly openPrior: number;
  readonly waitExposed: number;
  readonly largeChange: number;
  readonly maxPaddingBytes: number;
  readonly voters: readonly VoterPolicy[];
  readonly contents: readonly ContentChoice[];
  readonly commitBy: readonly DeliveryMode[];
  readonly abortBy: readonly DeliveryMode[];
  readonly timeoutsMs: readonly number[];
  /** Changes that show at an instant some seconds ahead; what comes after them waits. */
  readonly schedule: number;
  /** Of those, which are taken back again, or tried to be. */
  readonly cancel: number;
  readonly scheduleSeed: number;
}

export function drawMix(random: Random, slaves: number): WorkloadMix {
  const some = <Value>(values: readonly Value[]): readonly Value[] => {
    const drawn = values.filter(() => random.chance(0.5));
    return drawn.length === 0 ? values : drawn;
  };
  return {
    meanGapMs: Math.max(20 + random.next() * random.next() * 800, slaves * gapForEachSlaveMs),
    twoPhase: random.chance(0.2) ? 1 : random.next(),
    veto: random.chance(0.5) ? 0 : random.next() * 0.3,
    rollBack: random.chance(0.6) ? 0 : random.next() * 0.2,
    giveDelta: random.next(),
    openPrior: random.chance(0.5) ? 0 : random.next(),
    waitExposed: random.chance(0.5) ? 0 : random.next(),
    largeChange: random.chance(0.5) ? 0 : random.next() * 0.2,
    maxPaddingBytes: random.chance(0.3) ? 60_000 : 6000,
    voters: some<VoterPolicy>(['all', 'live', Math.max(1, Math.ceil(slaves / 2))]),
    contents: some(['auto', 'version', 'state', 'change', 'chain']),
    commitBy: some(['multicast', 'unicast', 'heartbeat']),
    abortBy: some(['multicast', 'unicast', 'heartbeat']),
    timeoutsMs: some([200, 700, 2000, 5000]),
    schedule: random.chance(0.3) ? 0 : 0.05 + random.next() * 0.4,
    cancel: random.chance(0.5) ? 0 : random.next() * 0.5,
    scheduleSeed: random.below(0x7fff_ffff),
  };
}

/** Replicates through whichever master leads, and tells what became of it. */
export class Workload {
  readonly #world: World;
  readonly #random: Random;
  readonly #mix: WorkloadMix;
  readonly #makeChange: MakeChange;
  readonly outcomes = { committed: 0, armed: 0, aborted: 0, unknown: 0, refused: 0 };
  readonly bugs: string[] = [];
  #version = 0;
  #open = 0;
  #running = false;
  #vetoes = true;
  /** Of its own, so that what isn't scheduled is drawn as it was before there was any. */
  readonly #scheduling: Random;

  constructor(options: {
    readonly world: World;
    readonly random: Random;
    readonly mix: WorkloadMix;
    readonly makeChange?: MakeChange;
  }) {
    this.#world = options.world;
    this.#random = options.random;
    this.#mix = options.mix;
    this.#scheduling = seededRandom(options.mix.scheduleSeed);
    this.#makeChange = options.makeChange ?? this.#counterChange;
  }

  start(): void {
    this.#running = true;
    this.#next();
  }

  stop(): void {
    this.#running = false;
  }

  /** One replication; null when it was refused, or cut. */
  async replicate(options: Partial<ReplicateOptions>): Promise<ScheduledOutcome | null> {
    const { leader } = this.#world;
    const service = leader?.service ?? null;
    const layer = leader?.layer ?? null;
    if (leader === null || service === null || layer === null) return null;
    this.#version = Math.max(this.#version, service.view().tip?.version ?? 0) + 1 + this.#random.below(3);
    const version = this.#version;
    const base = layer instanceof CounterMaster ? this.#baseOf(layer) : {};
    const delta = this.#makeChange({ layer, version, random: this.#random });
    const isGiven = delta !== undefined && this.#random.chance(this.#mix.giveDelta);
    const given = { ...base, ...(isGiven ? { delta } : {}) };
    const { process } = leader;
    this.#open += 1;
    this.#world.observe({ kind: 'replicating', node: leader.name, version, voters: options.voters ?? 'live' });
    try {
      const outcome = await untilEnd(process, this.#watched(service, { ...options, ...given, version }));
      if (outcome === null || process?.alive !== true) return null;
      if (outcome.kind === 'aborted' || outcome.kind === 'unknown')
        if (layer instanceof CounterMaster) layer.unstage(version);
      this.outcomes[outcome.kind] += 1;
      this.#world.observe({ kind: 'settled', node: leader.name, version, outcome });
      return outcome;
    } catch (error) {
      if (process?.alive !== true) return null;
      if (layer instanceof CounterMaster) layer.unstage(version);
      this.outcomes.refused += 1;
      this.#world.trace.line(this.#world.nowMs, leader.name, `refused ${version}: ${String(error)}`);
      if (!isTypedError(error)) this.bugs.push(`replicate of version ${version} throws ${String(error)}`);
      return null;
    } finally {
      this.#open -= 1;
    }
  }

  /** A change that nobody vetoes, in two phases, with the vote of every member. */
  async replicateForAll(): Promise<Outcome | null> {
    this.#vetoes = false;
    const outcome = await this.replicate({ phases: 'two', voters: 'all', timeoutMs: 3000 });
    invariant(outcome?.kind !== 'armed', 'it has no instant');
    return outcome;
  }

  /** Counters can be added to whatever state: a caller may leave the prior open, to go on top of whatever is newest. */
  #baseOf(layer: CounterMaster): { readonly prior?: number } {
    if (this.#random.chance(this.#mix.openPrior)) return {};
    return layer.newest === 0 ? {} : { prior: layer.newest };
  }

  #watched(service: MasterDataSet, options: ReplicateOptions): Promise<ScheduledOutcome> {
    if (this.#vetoes && this.#random.chance(this.#mix.rollBack)) {
      this.#world.timeline.after(this.#random.next() * 20, () => {
        // Decided already, or cut by a crash: both are fine, and told by the outcome.
        service.rollBack(options.version).catch(() => undefined);
      });
    }
    if (options.activateAt !== undefined && this.#scheduling.chance(this.#mix.cancel)) {
      this.#world.timeline.after(this.#scheduling.next() * 4000, () => {
        // Not armed yet, or too late: both are fine. What counts is who shows it.
        service.cancelActivation(options.version, { timeoutMs: 500 }).catch(() => undefined);
      });
    }
    return service.replicate(options);
  }

  #next(): void {
    if (!this.#running) return;
    this.#world.timeline.after(this.#random.next() * 2 * this.#mix.meanGapMs, () => {
      if (this.#running && this.#open < maxOpenReplications) {
        void this.replicate({ ...this.#drawOptions(), ...this.#drawInstant() });
      }
      this.#next();
    });
  }

  /** Soon enough for the run to see it, some of them too soon to be armed. */
  #drawInstant(): Partial<ReplicateOptions> {
    if (!this.#scheduling.chance(this.#mix.schedule)) return {};
    const inMs = limits.leaseMs + 200 + this.#scheduling.next() * 3000;
    return { phases: 'two', activateAt: { inMs } };
  }

  #drawOptions(): Partial<ReplicateOptions> {
    const random = this.#random;
    const mix = this.#mix;
    const one = <Value>(values: readonly Value[], otherwise: Value): Value =>
      values[random.below(values.length)] ?? otherwise;
    return {
      phases: random.chance(mix.twoPhase) ? 'two' : 'one',
      voters: one(mix.voters, 'live'),
      content: one(mix.contents, 'auto'),
      commitBy: one(mix.commitBy, 'multicast'),
      abortBy: one(mix.abortBy, 'multicast'),
      timeoutMs: one(mix.timeoutsMs, 2000),
      wait: random.chance(mix.waitExposed) ? 'exposed' : 'decided',
    };
  }

  readonly #counterChange: MakeChange = ({ layer, version, random }) => {
    if (!(layer instanceof CounterMaster)) return undefined;
    const operations: CounterOperation[] = [];
    const count = 1 + random.below(3);
    for (let index = 0; index < count; index += 1) {
      const large = random.chance(this.#mix.largeChange);
      const padding = new Uint8Array(random.below(large ? this.#mix.maxPaddingBytes : 64));
      padding.fill(random.below(256));
      const vetoer = this.#world.slaves[random.below(this.#world.slaves.length)]?.name;
      const vetoedBy = vetoer !== undefined && this.#vetoes && random.chance(this.#mix.veto) ? [vetoer] : [];
      operations.push({ id: `${version}.${index}`, add: random.below(1000), vetoedBy, padding });
    }
    return layer.stage(version, operations);
  };
}

/** The caller lives in the master's process: when that ends, nobody waits any more. */
function untilEnd(process: SimProcess | null, outcome: Promise<ScheduledOutcome>): Promise<ScheduledOutcome | null> {
  return new Promise((resolve, reject) => {
    process?.onEnd(() => {
      resolve(null);
    });
    outcome.then(resolve, reject);
  });
}

/** A change is four packets at each slave or more: a thousand slaves get changes more seldom, as they would elsewhere. */
const gapForEachSlaveMs = 0.5;

/** Callers that wait at once; more only make a queue. */
const maxOpenReplications = 12;
