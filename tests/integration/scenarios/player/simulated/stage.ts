import { errorText, LockstepError } from '../../../../../shared/protocol/kernel/errors.js';
import { showTip, tipKey, versionOf } from '../../../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../../../shared/protocol/kernel/limits.js';
import type { Random } from '../../../../../shared/protocol/kernel/random.js';
import { seededRandom } from '../../../../../shared/protocol/kernel/random.js';
import type { Json } from '../../../../../shared/protocol/key-value/operations.js';
import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import { convergenceBoundMs } from '../../../sim/checkers/g9-convergence.js';
import { SimDisk } from '../../../sim/disk.js';
import type { Packet } from '../../../sim/network.js';
import type { Observation } from '../../../sim/observation.js';
import { SimSlave } from '../../../sim/sim-node.js';
import { World } from '../../../sim/world.js';
import { matches } from '../packets.js';
import type {
  CallbackName,
  ChangeEnd,
  ChangeRequest,
  CrashAt,
  Misbehaviour,
  Moment,
  PacketMatch,
  Scenario,
  Veto,
} from '../scenario.js';
import type { NodeAccount, NodeEvent, RunningChange, Stage } from '../stage.js';
import { CannotStage } from '../stage.js';
import { Cast, totalIn } from './cast.js';
import { Changes, endOf } from './changes.js';
import { Moments } from './moments.js';
import { Script } from './script.js';
import { Tally } from './tally.js';

/** Conditions are looked at this often, in virtual time. */
const lookEveryMs = 2;
/** What follows a commit on disk: the prepared record goes. */
const lastWritesMs = 2000;

/** A world that somebody looks into. */
class WatchedWorld extends World {
  watch?: (observation: Observation) => void;

  override observe(observation: Observation): void {
    super.observe(observation);
    this.watch?.(observation);
  }
}

interface Interception {
  readonly stop: () => void;
  readonly held: Packet[];
}

/** The services and cores of the product in virtual time, with a checker for each guarantee watching. */
export class SimulatedStage implements Stage {
  readonly #world: WatchedWorld;
  readonly #cast: Cast;
  readonly #script = new Script();
  readonly #changes: Changes;
  readonly #random: Random;
  readonly #tally = new Tally();
  readonly #moments: Moments;
  readonly #interceptions = new Map<string, Interception>();
  readonly #twins = new Map<string, SimSlave>();
  readonly #bugs: string[] = [];
  readonly #callbackMs: number;
  #concluded = false;

  readonly #onRejection = (reason: unknown): void => {
    this.#bugs.push(`a promise of a node was rejected, and nobody heard it: ${errorText(reason)}`);
  };

  constructor(scenario: Scenario, options: { readonly seed: number; readonly keepTrace?: boolean }) {
    const defaults = scenario.historyBytes === null ? {} : { historyBytes: scenario.historyBytes };
    this.#cast = new Cast({ data: scenario.data, defaults, script: this.#script });
    this.#changes = new Changes(this.#cast);
    this.#random = seededRandom(options.seed ^ 0x5ce4e);
    this.#callbackMs = scenario.callbackMs ?? limits.callbackMs;
    this.#world = new WatchedWorld({
      seed: options.seed,
      slaves: scenario.slaves,
      masterLayer: (context) => this.#cast.master(context),
      slaveLayer: (context) => this.#cast.slave(context),
      defaults,
      callbackMs: this.#callbackMs,
      maxOpenRounds: limits.maxOpenRounds,
      keepTrace: options.keepTrace ?? false,
    });
    this.#moments = new Moments({
      dataSet: this.#world.dataSet,
      random: this.#random.fork(),
      crash: (node) => {
        this.#world.crash(node);
      },
      after: (delayMs, action) => {
        this.#world.timeline.after(delayMs, action);
      },
      isDeciding: (node) =>
        node === 'master' &&
        (this.#world.master.service?.view().openRounds ?? []).some(({ phase }) => phase === 'deciding'),
    });
    this.#world.watch = (observation) => {
      if ('node' in observation) this.#tally.observe(observation.node, observation);
      this.#moments.observe(observation);
    };
    this.#world.onEvent((node, { name, fields }) => {
      this.#tally.event(node, { name, fields });
      if (name === 'invariant' || name === 'node-failed') this.#bugs.push(`${node}: ${JSON.stringify(fields)}`);
    });
    process.on('unhandledRejection', this.#onRejection);
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  get trace(): readonly string[] {
    return this.#world.trace.lines;
  }

  async start(node: string, crashAt: CrashAt | null): Promise<void> {
    const twin = this.#twins.get(node);
    if (crashAt !== null) this.#moments.arm(node, crashAt.name, crashAt.occurrence);
    if (twin === undefined) this.#world.node(node).start();
    else twin.start();
  }

  async kill(node: string): Promise<void> {
    const twin = this.#twins.get(node);
    if (twin === undefined) this.#world.crash(node);
    else twin.crash();
  }

  async twin(of: string, as: string): Promise<void> {
    const original = this.#world.slave(of);
    const { timeline, network, bulk, dataSet } = this.#world;
    const twin = new SimSlave(
      {
        name: original.name,
        nodeId: original.name,
        timeline,
        network,
        bulk,
        dataSet,
        durability: 'disk',
        keys: null,
        disk: new SimDisk(as, { timeline, random: this.#random.fork() }),
        random: this.#random.fork(),
        clockFault: { offsetMs: 0, wallOffsetMs: 0, rate: 1 },
        paths: { mode: 'auto' },
        // Not to the world's checkers: to them one name is one node.
        observe: (observation) => {
          this.#tally.observe(as, observation);
        },
        event: (_node, { name, fields }) => {
          this.#tally.event(as, { name, fields });
        },
      },
      { makeLayer: (context) => this.#cast.slave(context, as), callbackMs: this.#callbackMs, mood: original.mood },
    );
    this.#twins.set(as, twin);
    twin.start();
  }

  async change(request: ChangeRequest): Promise<RunningChange> {
    const running: { end: ChangeEnd | null } = { end: null };
    const { process, service } = this.#world.master;
    if (process === null || service === null) {
      running.end = { kind: 'rejected', code: 'unreachable', text: 'the master is down' };
      return running;
    }
    process.onEnd(() => {
      running.end ??= { kind: 'unknown', reason: 'the master ended' };
    });
    this.#changes.submit(request, service).then(
      (outcome) => {
        running.end ??= endOf(outcome);
      },
      (error: unknown) => {
        if (error instanceof LockstepError) running.end ??= { kind: 'rejected', code: error.code, text: error.message };
        else this.#onRejection(error);
      },
    );
    return running;
  }

  async veto(veto: Veto): Promise<void> {
    this.#cast.veto(veto);
  }

  async accept(node: string): Promise<void> {
    this.#cast.accept(node);
  }

  async misbehave(misbehaviour: Misbehaviour): Promise<void> {
    this.#script.add(misbehaviour);
  }

  async intercept(name: string, what: 'drop' | 'hold', match: PacketMatch): Promise<void> {
    const held: Packet[] = [];
    const stop = this.#world.network.dropWhen((packet) => {
      const matched = matches(match, { bytes: packet.bytes, to: packet.toNode }, () => this.#random.next());
      if (matched && what === 'hold') held.push(packet);
      return matched;
    });
    this.#interceptions.set(name, { stop, held });
  }

  async release(name: string): Promise<void> {
    const interception = this.#interceptions.get(name);
    if (interception === undefined) throw new CannotStage(`nothing is dropped or held as '${name}'`);
    this.#interceptions.delete(name);
    interception.stop();
    for (const packet of interception.held) this.#world.network.deliver(packet);
  }

  async partition(one: readonly string[], other: readonly string[]): Promise<void> {
    this.#world.network.partition(one, other);
  }

  async heal(): Promise<void> {
    this.#world.network.heal();
    this.#world.bulk.heal();
  }

  async failDisk(node: string): Promise<void> {
    this.#world.node(node).disk.failNext();
  }

  async crashBefore(node: string, message: MessageKind): Promise<void> {
    this.#moments.armBefore(node, message);
  }

  async crashAt(node: string, moment: Moment): Promise<void> {
    this.#moments.arm(node, moment);
  }

  async pass(ms: number): Promise<void> {
    await this.#world.run(ms);
  }

  async until(condition: () => Promise<boolean>, withinMs: number): Promise<boolean> {
    const endMs = this.nowMs + withinMs;
    for (;;) {
      if (await condition()) return true;
      if (this.nowMs >= endMs) return false;
      await this.#world.run(Math.min(lookEveryMs, endMs - this.nowMs));
    }
  }

  async account(node: string): Promise<NodeAccount | null> {
    if (node === 'master') {
      const { service, layer } = this.#world.master;
      if (service === null || layer === null) return null;
      const { phase, tip, mayCommit } = service.view();
      const digest = layer.stateDigest?.() ?? null;
      return {
        state: phase,
        version: versionOf(tip),
        tip: tipKey(tip),
        digest,
        inDoubt: 0,
        snapshots: 0,
        ready: phase === 'leading' && mayCommit,
      };
    }
    const { service, layer } = this.#slave(node);
    if (service === null || layer === null) return null;
    const { state, tip, inDoubt, snapshots } = service.view();
    const digest = layer.stateDigest?.() ?? null;
    return {
      state,
      version: versionOf(tip),
      tip: tipKey(tip),
      digest,
      inDoubt: inDoubt.length,
      snapshots,
      ready: state === 'current',
    };
  }

  async valueOf(node: string, key: string): Promise<Json | undefined> {
    if (node === 'master') {
      const { service } = this.#world.master;
      return service === null ? undefined : this.#cast.original(node, service)?.get(key);
    }
    const { service } = this.#slave(node);
    return service === null ? undefined : this.#cast.copy(node, service)?.get(key);
  }

  async totalOf(node: string): Promise<number> {
    const { layer, service } = node === 'master' ? this.#world.master : this.#slave(node);
    const tip = service?.view().tip ?? null;
    const chunks = tip === null ? undefined : layer?.snapshot?.(tip);
    return chunks === undefined ? 0 : totalIn(chunks);
  }

  async sent(node: string): Promise<ReadonlyMap<MessageKind, number>> {
    return this.#tally.sent(node);
  }

  events(node: string): readonly NodeEvent[] {
    return this.#tally.events(node);
  }

  calls(node: string): ReadonlyMap<CallbackName, number> {
    return this.#tally.calls(node);
  }

  async mark(): Promise<void> {
    this.#tally.mark();
  }

  async converge(): Promise<string | null> {
    await this.heal();
    const world = this.#world;
    world.heal();
    world.observe({ kind: 'healed' });
    const converged = await world.runUntil(() => world.converged, convergenceBoundMs);
    world.sampleViews();
    if (!converged) return `${convergenceBoundMs} ms after the last fault: ${this.#whereabouts()}`;
    world.observe({ kind: 'converged' });
    await world.run(lastWritesMs);
    world.sampleViews();
    if (!world.converged) return `everybody had converged, and fell apart again: ${this.#whereabouts()}`;
    this.#concluded = true;
    return null;
  }

  findings(): readonly string[] {
    if (this.#concluded) this.#world.oracle.finish();
    const failures = this.#world.oracle.failures.map(
      ({ guarantee, atMs, text }) => `${guarantee} broken at ${atMs.toFixed(1)} ms: ${text}`,
    );
    return [...failures, ...this.#bugs];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of [...this.#world.nodes, ...this.#twins.values()]) node.crash();
    process.off('unhandledRejection', this.#onRejection);
  }

  #slave(node: string): SimSlave {
    return this.#twins.get(node) ?? this.#world.slave(node);
  }

  #whereabouts(): string {
    const { service } = this.#world.master;
    const view = service?.view();
    const slaves = this.#world.slaves.map((slave) => {
      const copy = slave.service?.view();
      if (copy === undefined) return `${slave.name} is down`;
      return `${slave.name} at ${showTip(copy.tip)} is ${copy.state}, in doubt about ${copy.inDoubt.length}`;
    });
    return [`the master at ${showTip(view?.tip ?? null)} is ${view?.phase ?? 'down'}`, ...slaves].join(', ');
  }
}
