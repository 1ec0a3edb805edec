import type { DataSetId, NodeId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { parseDataSetId, parseNodeId, sameTip } from '../../../shared/protocol/kernel/ids.js';
import { invariant } from '../../../shared/protocol/kernel/invariant.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Durability } from '../../../shared/protocol/kernel/outcome.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { PathOptions } from '../../../shared/protocol/stream/paths.js';
import type { Address, EventRecord } from '../../../shared/runtime/ports.js';
import type { DataSetDefaults } from '../../../master/types.js';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import type { SlaveUserLayer } from '../../../slave/user/contract.js';
import { SimBulkNetwork } from './bulk.js';
import type { ClockFault } from './clock.js';
import { settlePromises, Timeline } from './clock.js';
import { describeObservation } from './describe.js';
import { SimDisk } from './disk.js';
import type { FaultKind } from './faults.js';
import { WorldKeys } from './keys.js';
import { SimNetwork } from './network.js';
import type { Observation } from './observation.js';
import { Oracle } from './oracle.js';
import { Mood } from './spoiled-layer.js';
import type { LayerContext, SimNodeParts } from './sim-node.js';
import { SimMaster, SimSlave } from './sim-node.js';
import { Trace } from './trace.js';

/** Who is in a world, and what its network and disks do. */
export interface WorldOptions {
  readonly seed: number;
  readonly slaves: number;
  readonly masterLayer: (context: LayerContext) => MasterUserLayer;
  readonly slaveLayer: (context: LayerContext) => SlaveUserLayer;
  readonly durability?: Durability;
  readonly defaults?: DataSetDefaults;
  readonly maxDatagramBytes?: number;
  readonly maxOpenRounds?: number;
  /** There is a second master, to be started by name (`second`): it takes over, with the copy of the slave s1. */
  readonly takeOver?: boolean;
  /** Datagrams are encrypted and signed, as on a real network. Default false. */
  readonly keys?: boolean;
  /** Clocks run at different rates, within the error that the protocol allows. Default true. */
  readonly clockErrors?: boolean;
  /** Masters keep their address, and slaves know it, as with --port and --peers. Default false. */
  readonly peers?: boolean;
  /** A slave's callbacks may take this long. */
  readonly callbackMs?: number;
  readonly keepTrace?: boolean;
}

/** What a process does to the world, one at a time: where it may die. */
const effectKinds: ReadonlySet<Observation['kind']> = new Set([
  'sent',
  'datagram',
  'writing',
  'durable',
  'called',
  'voted',
  'exposed',
  'decided',
]);

/** How often checkers look at what nodes say of themselves. */
const viewEveryMs = 30;

/** Above this, looking at everybody all the time is what costs. */
const largeGroup = 50;
/** Above this, slaves reach masters only: by unicast, without a multicast group. */
const starGroup = 200;
const largeViewEveryMs = 300;
const askEveryMs = 50;
/** Nobody set these machines' times of day: no two agree, by hours. */
const wallSpreadMs = 24 * 60 * 60 * 1000;

/** What happened in a world, counted. */
export interface WorldStats {
  readonly events: number;
  readonly virtualMs: number;
  readonly commits: number;
  readonly datagrams: number;
  readonly crashes: number;
}

/**
 * A group in virtual time: one master, or two, and slaves; their disks, their network, and the oracle that watches. The
 * services and cores in it are the ones that run in production.
 */
export class World {
  readonly timeline = new Timeline();
  readonly random: Random;
  readonly network: SimNetwork;
  readonly bulk: SimBulkNetwork;
  readonly oracle: Oracle;
  readonly trace: Trace;
  readonly dataSet: DataSetId;
  readonly masters: readonly SimMaster[];
  readonly slaves: SimSlave[];
  /** Machines that don't belong: a second master, a second slave of a name. They are gone when the faults end. */
  readonly intruders = new Set<SimMaster | SimSlave>();
  /** Nodes whose name another disk has had meanwhile: such a one may be refused for it. */
  readonly contested = new Set<string>();
  /** Hears of each effect of a node right after it happened: the node may be ended there. */
  onEffect: ((observation: Observation & { readonly node: string }) => void) | null = null;
  readonly #options: WorldOptions;
  readonly #keys: WorldKeys | null;
  readonly #nodes = new Map<string, SimMaster | SimSlave>();
  readonly #listeners = new Set<(node: string, event: EventRecord) => void>();
  readonly #masterAddresses: readonly Address[] = [];
  #datagrams = 0;
  #crashes = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#keys = options.keys === true ? new WorldKeys() : null;
    this.random = seededRandom(options.seed);
    this.trace = new Trace({ keep: options.keepTrace ?? false });
    this.dataSet = dataSetNamed('counter');
    this.network = new SimNetwork({
      timeline: this.timeline,
      random: this.random.fork(),
      maxDatagramBytes: options.maxDatagramBytes ?? 1432,
      // As with --peers: a thousand slaves that all hear each other's joins would be a million packets.
      isStar: options.slaves > starGroup,
      isMaster: (node) => this.#nodes.get(node)?.role === 'master',
    });
    this.bulk = new SimBulkNetwork({ timeline: this.timeline, network: this.network });
    this.oracle = new Oracle({
      dataSet: this.dataSet,
      durability: options.durability ?? 'disk',
      leaseMs: limits.leaseMs,
      takeOver: options.takeOver ?? false,
      maxOpenRounds: options.maxOpenRounds ?? 1,
      nowMs: () => this.timeline.nowMs,
      clockOf: (node) => this.#nodes.get(node)?.process ?? null,
      durable: (node) => this.#nodes.get(node)?.disk.durable ?? null,
    });
    this.#watchNetwork();
    const masterNames = options.takeOver === true ? ['master', 'second'] : ['master'];
    this.masters = masterNames.map((name, index) => this.#addMaster(name, index > 0));
    if (options.peers === true) this.#masterAddresses = masterNames.map((name) => this.network.fixAddress(name));
    this.slaves = Array.from({ length: options.slaves }, (_, index) => this.#addSlave(`s${index + 1}`));
    this.#sampleViews();
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  /** The first master: the only one unless a take-over is on. */
  get master(): SimMaster {
    const [master] = this.masters;
    invariant(master !== undefined, 'a world has a master');
    return master;
  }

  get nodes(): readonly (SimMaster | SimSlave)[] {
    return [...this.#nodes.values()];
  }

  /** The slave of this name; throws when there is none. */
  slave(name: string): SimSlave {
    const slave = this.slaves.find((candidate) => candidate.name === name);
    invariant(slave !== undefined, `there is no slave ${name}`);
    return slave;
  }

  /** The node of this name; throws when there is none. */
  node(name: string): SimMaster | SimSlave {
    const node = this.#nodes.get(name);
    invariant(node !== undefined, `there is no node ${name}`);
    return node;
  }

  /** A slave that was no member so far. */
  addSlave(): SimSlave {
    const slave = this.#addSlave(`s${this.slaves.length + 1}`);
    this.slaves.push(slave);
    return slave;
  }

  /** Another machine that calls itself by a slave's name, with a disk of its own. */
  addTwin(of: string): SimSlave {
    const twin = this.#addSlave(`${of}-twin-${this.intruders.size + 1}`, of);
    this.intruders.add(twin);
    return twin;
  }

  /** A second master with an empty disk, that nobody told to take over. */
  addSecondMaster(): SimMaster {
    const second = this.#addMaster(`second-${this.intruders.size + 1}`, false);
    this.intruders.add(second);
    return second;
  }

  /** The machine is thrown away. */
  remove(intruder: SimMaster | SimSlave): void {
    intruder.crash();
    this.observe({ kind: 'diskLost', node: intruder.name });
    this.intruders.delete(intruder);
    this.#nodes.delete(intruder.name);
  }

  /** All but the masters that wait for a take-over. */
  startAll(): void {
    this.master.start();
    for (const slave of this.slaves) slave.start();
  }

  /** Ends a node as a loss of power does: what wasn't synced may be gone. */
  crash(name: string): void {
    const node = this.node(name);
    if (!node.alive) return;
    this.#crashes += 1;
    node.crash();
  }

  /** Starts a crashed node again, with what its disk kept. */
  restart(name: string): void {
    this.crash(name);
    this.node(name).start();
  }

  /** Hears every event record of every node. */
  onEvent(listener: (node: string, event: EventRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Lets virtual time pass. */
  async run(forMs: number): Promise<void> {
    await this.timeline.runUntil(this.nowMs + forMs);
  }

  /** Runs until the condition holds; false when it doesn't within the time. */
  async runUntil(condition: () => boolean, withinMs: number): Promise<boolean> {
    await settlePromises();
    if (condition()) return true;
    await this.timeline.runUntil(this.nowMs + withinMs, this.#nowAndThen(condition));
    return condition();
  }

  /** The master that leads, null when none does. */
  get leader(): SimMaster | null {
    return this.masters.find((master) => !master.paused && master.service?.view().phase === 'leading') ?? null;
  }

  /** Faults end: the network is whole, disks work, nobody is paused. Who is down stays down. */
  heal(): void {
    this.network.heal();
    this.bulk.heal();
    for (const node of this.nodes) {
      node.disk.heal();
      node.process?.resume();
    }
  }

  /** True when every slave is current, at the master's tip, with nothing open or in doubt anywhere. */
  get converged(): boolean {
    const view = this.leader?.service?.view();
    if (this.#isBeingTakenOver) return false;
    if (view === undefined || !view.mayCommit || view.openRounds.length > 0 || view.queued > 0) return false;
    if (view.armed !== null) return false;
    return this.slaves.every((slave) => {
      const copy = slave.service?.view();
      return copy !== undefined && copy.state === 'current' && copy.inDoubt.length === 0 && sameTip(copy.tip, view.tip);
    });
  }

  /** Somebody is about to lead in the place of the one who still does: the group is at no rest. */
  get #isBeingTakenOver(): boolean {
    return this.masters.some((master) => {
      const phase = master.service?.view().phase;
      return phase === 'claiming' || (phase === 'surveying' && master.takesOver);
    });
  }

  /** Nobody is reached by unicast in the place of multicast. Comes some heartbeats after the network is whole again. */
  get reachesAll(): boolean {
    return this.masters.every((master) => master.unreached.length === 0);
  }

  get tips(): ReadonlyMap<string, Tip | null> {
    return new Map(this.nodes.map((node) => [node.name, node.service?.view().tip ?? null]));
  }

  observe(observation: Observation): void {
    const text = describeObservation(observation);
    if (text !== null) this.trace.line(this.nowMs, 'node' in observation ? observation.node : 'world', text);
    this.oracle.observe(observation);
    if (this.onEffect !== null && 'node' in observation && effectKinds.has(observation.kind))
      this.onEffect(observation);
  }

  /** A fault of this kind really did something: what is judged from now on, was judged under it. */
  struck(kind: FaultKind): void {
    this.oracle.coverage.struck(kind);
  }

  get stats(): WorldStats {
    return {
      events: this.timeline.ran,
      virtualMs: Math.round(this.nowMs),
      commits: this.oracle.truth.commits,
      datagrams: this.#datagrams,
      crashes: this.#crashes,
    };
  }

  /** What nodes say of themselves, told to the checkers now. */
  sampleViews(): void {
    for (const master of this.#nodes.values()) {
      if (master.role !== 'master') continue;
      const view = master.paused ? undefined : master.service?.view();
      if (view !== undefined) this.observe({ kind: 'master', node: master.name, view });
    }
    for (const slave of this.#nodes.values()) {
      if (slave.role !== 'slave') continue;
      const view = slave.paused ? undefined : slave.service?.view();
      if (view !== undefined)
        this.observe({
          kind: 'slave',
          node: slave.name,
          view,
          backlogBytes: slave.backlogBytes,
          hasSlept: (slave.process?.sleptMs ?? 0) > 0,
        });
    }
  }

  #sampleViews(): void {
    this.timeline.after(this.#isLarge ? largeViewEveryMs : viewEveryMs, () => {
      this.sampleViews();
      this.#sampleViews();
    });
  }

  get #isLarge(): boolean {
    return this.#options.slaves > largeGroup;
  }

  /** Asking hundreds of nodes after each event would cost more than what they do. */
  #nowAndThen(condition: () => boolean): () => boolean {
    if (!this.#isLarge) return condition;
    let askedMs = -Infinity;
    return () => {
      if (this.nowMs - askedMs < askEveryMs) return false;
      askedMs = this.nowMs;
      return condition();
    };
  }

  #addMaster(name: string, takeOver: boolean): SimMaster {
    const { masterLayer, defaults } = this.#options;
    const parts = this.#parts(name);
    const adoptFrom = takeOver ? nodeNamed('s1') : null;
    const master = new SimMaster(parts, {
      makeLayer: masterLayer,
      defaults: defaults ?? {},
      takeOver,
      adoptFrom,
      leaseMs: limits.leaseMs,
    });
    this.#nodes.set(name, master);
    return master;
  }

  #addSlave(name: string, nodeId = name): SimSlave {
    const { slaveLayer, callbackMs } = this.#options;
    // A stream of its own, so that a world without such faults draws what it always drew.
    const mood = new Mood(seededRandom(this.#options.seed ^ (0xca11 * (this.#nodes.size + 1))), (kind) => {
      this.struck(kind);
    });
    const slave = new SimSlave(this.#parts(name, nodeId), {
      mood,
      makeLayer: slaveLayer,
      callbackMs: callbackMs ?? limits.callbackMs,
    });
    this.#nodes.set(name, slave);
    return slave;
  }

  #parts(name: string, nodeId = name): SimNodeParts {
    const random = this.random.fork();
    const disk = new SimDisk(name, { timeline: this.timeline, random: random.fork() });
    disk.observe({
      writing: (node) => {
        this.observe({ kind: 'writing', node });
      },
      durable: (node, operations) => {
        this.observe({ kind: 'durable', node, operations });
      },
      failed: (node) => {
        this.observe({ kind: 'diskFailed', node });
      },
      struck: (kind) => {
        this.struck(kind);
      },
    });
    return {
      name: nodeNamed(name),
      nodeId: nodeNamed(nodeId),
      disk,
      random,
      paths: this.#paths(),
      clockFault: this.#clockFault(random),
      timeline: this.timeline,
      network: this.network,
      bulk: this.bulk,
      dataSet: this.dataSet,
      durability: this.#options.durability ?? 'disk',
      keys: this.#keys,
      observe: (observation) => {
        this.observe(observation);
      },
      event: (node, event) => {
        this.trace.line(this.nowMs, node, `event ${event.name} ${JSON.stringify(event.fields)}`);
        for (const listener of this.#listeners) listener(node, event);
      },
    };
  }

  /** Masters come first, so that slaves know where they are. */
  #paths(): PathOptions {
    if (this.#options.slaves > starGroup) return { mode: 'unicast' };
    return { mode: 'auto', peers: this.#masterAddresses };
  }

  #clockFault(random: Random): ClockFault {
    const rateError = (random.next() * 2 - 1) * limits.clockRateError;
    return {
      offsetMs: random.next() * 1e6,
      wallOffsetMs: 1.7e12 + random.next() * wallSpreadMs,
      rate: this.#options.clockErrors === false ? 1 : 1 + rateError,
    };
  }

  #watchNetwork(): void {
    this.network.observe({
      sent: (node, bytes) => {
        this.#datagrams += 1;
        this.observe({ kind: 'datagram', node, bytes: bytes.byteLength });
      },
      delivering: (packet) => {
        this.#nodes.get(packet.toNode)?.handling(packet);
      },
      delivered: (packet) => {
        const node = this.#nodes.get(packet.toNode);
        if (node === undefined) return;
        node.handling(null);
        this.observe({ kind: 'received', node: node.name, role: node.role, corrupt: packet.corrupt });
      },
      struck: (kind) => {
        this.struck(kind);
      },
      dropped: (packet, why) => {
        this.trace.line(
          this.nowMs,
          packet.toNode,
          `x ${packet.bytes.byteLength} bytes from ${packet.fromNode}: ${why}`,
        );
      },
    });
  }
}

function nodeNamed(name: string): NodeId {
  const node = parseNodeId(name);
  invariant(node !== null, `${name} is no node's name`);
  return node;
}

function dataSetNamed(name: string): DataSetId {
  const dataSet = parseDataSetId(name);
  invariant(dataSet !== null, `${name} is no data set's name`);
  return dataSet;
}
