import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import type { DataSetId, NodeId, Peer } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Durability } from '../../../shared/protocol/kernel/outcome.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import { KeyedSeal } from '../../../shared/protocol/secure/keyed-seal.js';
import type { GroupKeys } from '../../../shared/protocol/secure/keys.js';
import type { PathOptions } from '../../../shared/protocol/stream/paths.js';
import { Endpoint } from '../../../shared/protocol/stream/endpoint.js';
import { ChecksumSeal } from '../../../shared/protocol/wire/seal.js';
import { groupOffsetOf } from '../../../shared/runtime/group-clock.js';
import type { NodePorts, PacketEndpoint } from '../../../shared/runtime/node.js';
import { Node } from '../../../shared/runtime/node.js';
import { raiseIncarnation } from '../../../shared/runtime/node-identity.js';
import type { Clock, EventRecord, Store } from '../../../shared/runtime/ports.js';
import { MasterCore } from '../../../master/service/core/master-core.js';
import { MasterService } from '../../../master/service/master-service.js';
import type { DataSetDefaults } from '../../../master/types.js';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import { SlaveCore } from '../../../slave/service/core/slave-core.js';
import { SlaveService } from '../../../slave/service/slave-service.js';
import type { SlaveUserLayer } from '../../../slave/user/contract.js';
import type { SimBulkNetwork } from './bulk.js';
import type { ClockFault, Timeline } from './clock.js';
import { SimClock, SimProcess } from './clock.js';
import type { SimDisk } from './disk.js';
import type { WorldKeys } from './keys.js';
import type { Packet, SimNetwork } from './network.js';
import type { Observation, Role } from './observation.js';
import { observeMasterLayer, observeSlaveLayer } from './observed-layers.js';
import type { Mood } from './spoiled-layer.js';
import { spoiledSlaveLayer } from './spoiled-layer.js';

/** What a factory of user layers gets: once for each start of the node. The store is what survives. */
export interface LayerContext {
  readonly node: string;
  readonly dataSet: string;
  readonly durability: Durability;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
}

export interface SimMasterOptions {
  readonly makeLayer: (context: LayerContext) => MasterUserLayer;
  readonly defaults: DataSetDefaults;
  readonly takeOver: boolean;
  /** At its first start the master takes this slave's copy as the original; null: it has one. */
  readonly adoptFrom: NodeId | null;
  readonly leaseMs: number;
}

export interface SimSlaveOptions {
  readonly makeLayer: (context: LayerContext) => SlaveUserLayer;
  readonly callbackMs: number;
  /** What the host app's callbacks are like. */
  readonly mood: Mood;
}

/** What all nodes of a world share. */
export interface NodeSurroundings {
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly bulk: SimBulkNetwork;
  readonly dataSet: DataSetId;
  readonly durability: Durability;
  /** Null: datagrams carry a checksum. */
  readonly keys: WorldKeys | null;
  readonly observe: (observation: Observation) => void;
  readonly event: (node: string, event: EventRecord) => void;
}

export interface SimNodeParts extends NodeSurroundings {
  /** Of the machine: unique in the world. */
  readonly name: NodeId;
  /** The name under which it takes part; another machine's when names are given twice. */
  readonly nodeId: NodeId;
  readonly disk: SimDisk;
  readonly random: Random;
  readonly clockFault: ClockFault;
  /** How it reaches all. */
  readonly paths: PathOptions;
}

/** One machine of the world, with at most one process on it, and a disk that outlives the process. */
abstract class SimNode<Service> {
  readonly name: NodeId;
  readonly disk: SimDisk;
  abstract readonly role: Role;
  protected readonly parts: SimNodeParts;
  #process: SimProcess | null = null;
  #endpoint: Endpoint | null = null;
  #node: Node | null = null;
  #service: Service | null = null;
  #starts = 0;
  #halted: string | null = null;
  #packet: Packet | null = null;
  #seal: KeyedSeal | null = null;

  constructor(parts: SimNodeParts) {
    this.name = parts.name;
    this.disk = parts.disk;
    this.parts = parts;
  }

  get process(): SimProcess | null {
    return this.#process;
  }

  get alive(): boolean {
    return this.#process !== null;
  }

  get paused(): boolean {
    return this.#process?.paused ?? false;
  }

  /** Null while the node is down, or starts. */
  /** Nodes that it sends to by unicast as well, since its multicast doesn't reach them. */
  get unreached(): readonly string[] {
    return this.#service === null ? [] : (this.#endpoint?.paths.unreached ?? []);
  }

  get service(): Service | null {
    return this.#service;
  }

  get starts(): number {
    return this.#starts;
  }

  /** Why the process gave up, as its binary would by exiting; null while it goes on. */
  get halted(): string | null {
    return this.#halted;
  }

  start(): void {
    if (this.#process !== null) return;
    this.#starts += 1;
    this.#halted = null;
    const { timeline, clockFault, observe } = this.parts;
    const process = new SimProcess(this.name, timeline, clockFault);
    this.#process = process;
    observe({ kind: 'started', node: this.name, role: this.role, process: this.#starts });
    const random = this.parts.random.fork();
    const store = this.disk.open(process);
    raiseIncarnation(store, { role: this.role, node: this.parts.nodeId, random }).then(
      (incarnation) => {
        process.run(() => {
          this.#compose({ process, store, random, self: { node: this.parts.nodeId, incarnation } });
        });
      },
      (error: unknown) => {
        if (this.#process === process) this.#halted = `identity: ${String(error)}`;
      },
    );
  }

  /** kill −9: nothing that was under way in it ever happens. */
  crash(): void {
    const process = this.#process;
    if (process === null) return;
    this.parts.observe({ kind: 'crashed', node: this.name, role: this.role, process: this.#starts });
    this.#process = null;
    this.#service = null;
    process.end();
    this.#node?.stop();
    this.#node = null;
  }

  /** From now on, and at later starts. Only in a world with keys. */
  replaceKeys(keys: GroupKeys): void {
    this.parts.keys?.put(this.name, keys);
    this.#seal?.replaceKeys(keys);
  }

  /** What this process sent, received and refused. */
  get counters(): object | null {
    return this.#node?.counters ?? null;
  }

  /** The datagram that is being handled now. */
  handling(packet: Packet | null): void {
    this.#packet = packet;
  }

  abstract makeService(node: Node, ports: NodePorts, observer: { readonly alive: () => boolean }): Service;

  #compose(made: {
    readonly process: SimProcess;
    readonly store: Store;
    readonly random: Random;
    readonly self: Peer;
  }): void {
    const { process, store, random, self } = made;
    const transport = this.parts.network.attach(process);
    const ports: NodePorts = {
      clock: new SimClock(process),
      transport,
      bulk: this.parts.bulk.attach(process),
      store,
      random,
      log: {
        record: (event) => {
          if (!process.alive) return;
          if (event.name === 'halted' || event.name === 'open-failed')
            this.#halted = `${event.name}: ${JSON.stringify(event.fields)}`;
          this.parts.event(this.name, event);
        },
      },
    };
    const { maxDatagramBytes, receiveBufferBytes } = transport;
    this.#seal = this.#keyedSeal(self, ports);
    const seal = this.#seal ?? new ChecksumSeal(self);
    const windowBytes = receiveBufferBytes;
    const endpoint = new Endpoint({ self, maxDatagramBytes, windowBytes, seal, paths: this.parts.paths });
    this.#endpoint = endpoint;
    const node = new Node(
      self,
      ports,
      this.#observed(endpoint, () => process.alive),
    );
    this.#node = node;
    const service = this.makeService(node, ports, { alive: () => process.alive });
    // It may have died while it opened its copy.
    if (process.alive) this.#service = service;
  }

  #keyedSeal(self: Peer, { clock, random }: NodePorts): KeyedSeal | null {
    const { keys } = this.parts;
    if (keys === null) return null;
    const salt = random.hex128().slice(0, 16);
    return new KeyedSeal({
      self,
      keys: keys.of(this.name, this.role),
      startedMs: clock.wallMs(),
      salt,
      verifySignature: keys.verifySignature,
    });
  }

  #observed(endpoint: PacketEndpoint, alive: () => boolean): PacketEndpoint {
    const { observe } = this.parts;
    const { name: node, role } = this;
    return {
      counters: endpoint.counters,
      send: (packet, nowMs) => {
        if (!alive()) return;
        observe({ kind: 'sent', node, role, packet });
        // The process may have ended with this very effect.
        if (alive()) endpoint.send(packet, nowMs);
      },
      takeDatagrams: (nowMs) => endpoint.takeDatagrams(nowMs),
      receive: (bytes, from, nowMs, byGroup) => {
        const envelopes = endpoint.receive(bytes, from, nowMs, byGroup);
        observe({ kind: 'receiving', node, role, corrupt: this.#packet?.corrupt ?? false, envelopes });
        return envelopes;
      },
      tick: (nowMs) => {
        endpoint.tick(nowMs);
      },
      takeEvents: () => endpoint.takeEvents?.() ?? [],
      nextWakeMs: () => endpoint.nextWakeMs(),
      addressOf: (peer) => endpoint.addressOf(peer),
    };
  }

  protected contextOf(ports: NodePorts): LayerContext {
    const { dataSet, durability } = this.parts;
    return {
      node: this.name,
      dataSet,
      durability,
      store: ports.store,
      clock: ports.clock,
      random: ports.random.fork(),
    };
  }
}

export class SimMaster extends SimNode<MasterService> {
  readonly role = 'master';
  readonly #options: SimMasterOptions;
  #layer: MasterUserLayer | null = null;

  constructor(parts: SimNodeParts, options: SimMasterOptions) {
    super(parts);
    this.#options = options;
  }

  /** Its running process was told to lead although another does. */
  get takesOver(): boolean {
    return this.alive && this.#options.takeOver && this.starts === 1;
  }

  /** The host's own layer, of the running process. */
  get layer(): MasterUserLayer | null {
    return this.alive ? this.#layer : null;
  }

  makeService(node: Node, ports: NodePorts, { alive }: { readonly alive: () => boolean }): MasterService {
    const { dataSet, durability, observe } = this.parts;
    const { makeLayer, defaults, leaseMs } = this.#options;
    // An operator takes over once; a restart of that master is a restart like any other.
    const takeOver = this.#options.takeOver && this.starts === 1;
    const adoptFrom = this.starts === 1 ? this.#options.adoptFrom : null;
    const layer = makeLayer(this.contextOf(ports));
    this.#layer = layer;
    return new MasterService({
      node,
      dataSet,
      defaults,
      log: ports.log,
      layer: observeMasterLayer(layer, { node: this.name, alive, observe }),
      settings: {
        durability,
        takeOver,
        leaseMs,
        adoptFrom,
        resetGroup: false,
        claimant: ports.random.hex128(),
        maxLeaseMs: limits.maxLeaseMs,
        surveyMs: limits.surveyMs,
        groupOffsetMs: groupOffsetOf(ports.clock),
      },
      makeCore: (config, recovered) => new MasterCore(config, recovered),
      ended: () => undefined,
    });
  }
}

export class SimSlave extends SimNode<SlaveService> {
  readonly role = 'slave';
  readonly #options: SimSlaveOptions;
  #layer: SlaveUserLayer | null = null;
  #core: SlaveCore | null = null;

  constructor(parts: SimNodeParts, options: SimSlaveOptions) {
    super(parts);
    this.#options = options;
  }

  get layer(): SlaveUserLayer | null {
    return this.alive ? this.#layer : null;
  }

  get mood(): Mood {
    return this.#options.mood;
  }

  get backlogBytes(): number {
    return this.alive ? (this.#core?.backlogBytes ?? 0) : 0;
  }

  makeService(node: Node, ports: NodePorts, { alive }: { readonly alive: () => boolean }): SlaveService {
    const { dataSet, durability, observe } = this.parts;
    const layer = this.#options.makeLayer(this.contextOf(ports));
    this.#layer = layer;
    return new SlaveService({
      node,
      dataSet,
      log: ports.log,
      layer: spoiledSlaveLayer(observeSlaveLayer(layer, { node: this.name, alive, observe }), this.#options.mood),
      options: { callbackMs: this.#options.callbackMs },
      settings: { durability, maxLeaseMs: limits.maxLeaseMs, keepAside: null },
      makeCore: (config, recovered) => {
        const core = new SlaveCore(config, recovered);
        this.#core = core;
        return core;
      },
      ended: () => undefined,
    });
  }
}

/** What a halted or failing replication is to a workload: known errors are answers, all others are bugs. */
export function isTypedError(error: unknown): error is LockstepError {
  return error instanceof LockstepError;
}
