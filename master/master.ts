import { LockstepError } from '../shared/protocol/kernel/errors.js';
import type { EventOf } from '../shared/protocol/kernel/events.js';
import type { DataSetId, Incarnation, NodeId } from '../shared/protocol/kernel/ids.js';
import { parseDataSetId, parseNodeId } from '../shared/protocol/kernel/ids.js';
import type { ScheduledOutcome } from '../shared/protocol/kernel/outcome.js';
import { limits } from '../shared/protocol/kernel/limits.js';
import { Endpoint } from '../shared/protocol/stream/endpoint.js';
import type { Cancellable } from '../shared/runtime/aborting.js';
import { refuseAborted, unlessAborted } from '../shared/runtime/aborting.js';
import { endpointUnderTest, layerUnderTest } from '../shared/runtime/crash-hooks.js';
import type { PathOptions } from '../shared/protocol/stream/paths.js';
import { groupOffsetOf } from '../shared/runtime/group-clock.js';
import { networkStatus, type NetworkStatus } from '../shared/runtime/network-status.js';
import type { PacketSeal } from '../shared/protocol/wire/seal.js';
import type { KeySource } from '../shared/runtime/key-files.js';
import type { NodePorts } from '../shared/runtime/node.js';
import { Node } from '../shared/runtime/node.js';
import type { EventHub, EventListener, ListenOptions, Subscription } from '../shared/runtime/node-events.js';
import { hubOf, openLog } from '../shared/runtime/node-events.js';
import type { NodeKeys } from '../shared/runtime/node-keys.js';
import { openPorts } from '../shared/runtime/node-open.js';
import type { MasterEvents } from './events.js';
import { MasterCore } from './service/core/master-core.js';
import type { MasterView } from './service/core/view.js';
import type { MasterSettings } from './service/master-config.js';
import { MasterService } from './service/master-service.js';
import type { DataSetDefaults, MasterDataSet, MasterKind, MasterOptions, MasterRegisterOptions } from './types.js';
import type { MasterUserLayer } from './user/contract.js';

/** A node's account of itself, and of each of its data sets. */
export interface MasterStatus {
  readonly role: 'master';
  readonly name: string;
  readonly incarnation: Incarnation;
  /** Where unicast reaches this node, `host:port`. */
  readonly address: string;
  readonly dataSets: readonly { readonly name: string; readonly view: MasterView }[];
  /** What was sent and received, and what was refused by reason. */
  readonly counters: object;
  /** Messages about data sets that aren't registered here. */
  readonly unroutedMessages: number;
  /** As the system granted it. */
  readonly receiveBufferBytes: number;
  /** How all are reached, and what the kernel dropped. */
  readonly network: NetworkStatus;
}

/** @internal */
export type OutcomeListener = (dataSet: string, outcome: ScheduledOutcome) => void;

/** What a master runs on when its ports are made elsewhere: by the simulator, or by a test. */
export interface MasterFoundation {
  readonly name: NodeId;
  readonly incarnation: Incarnation;
  readonly ports: NodePorts;
  readonly settings: MasterSettings;
  /** How all are reached; absent: by multicast alone. */
  readonly paths?: PathOptions;
  /** Absent or null: datagrams carry a checksum. */
  readonly secured?: { readonly seal: PacketSeal; readonly keys: NodeKeys } | null;
  /** Lets go of the ports, after everything else ended. */
  readonly release: () => Promise<void>;
}

/**
 * The process that owns the originals: any number of data sets, each under a name of its own, on one socket.
 *
 * `close` (or `await using`) ends what is under way with a typed outcome, says goodbye and lets go of store and sockets.
 */
export class Master implements AsyncDisposable {
  readonly name: string;
  readonly #foundation: MasterFoundation;
  readonly #node: Node;
  readonly #events: EventHub;
  readonly #services = new Map<string, MasterService>();
  readonly #outcomeListeners = new Set<OutcomeListener>();
  #closing: Promise<void> | null = null;

  private constructor(foundation: MasterFoundation) {
    const { name, incarnation, ports } = foundation;
    this.name = name;
    this.#foundation = foundation;
    this.#events = hubOf(ports.log, { role: 'master', node: name });
    const self = { node: name, incarnation };
    const { maxDatagramBytes, receiveBufferBytes } = ports.transport;
    const { secured } = foundation;
    const sealing = secured === undefined || secured === null ? {} : { seal: secured.seal };
    const windowBytes = receiveBufferBytes;
    const ways = foundation.paths === undefined ? {} : { paths: foundation.paths };
    const endpoint = new Endpoint({ self, maxDatagramBytes, windowBytes, ...sealing, ...ways });
    this.#node = new Node(self, { ...ports, log: this.#events }, endpointUnderTest(endpoint, ports.crashPoint));
  }

  /**
   * Opens the store and the sockets; nothing is said to the group before a data set is registered.
   *
   * Rejects with `bad-option`, `address-in-use`, `store-unusable`, `store-format`, `store-foreign` or, when `signal` is
   * aborted meanwhile, `aborted-by-caller`; then everything is closed again.
   */
  static async open(options: MasterOptions): Promise<Master> {
    const name = parseName(options.name ?? 'master', 'name');
    const adoptFrom = options.adoptFrom === undefined ? null : parseName(options.adoptFrom, 'adoptFrom');
    const opened = await openPorts({
      ...options,
      name,
      role: 'master',
      log: openLog(options.log, { role: 'master', node: name }),
    });
    const settings: MasterSettings = {
      durability: options.durability ?? 'disk',
      takeOver: options.takeOver ?? false,
      adoptFrom,
      resetGroup: options.resetGroup ?? false,
      leaseMs: leaseOf(options.leaseMs),
      maxLeaseMs: limits.maxLeaseMs,
      surveyMs: limits.surveyMs,
      groupOffsetMs: groupOffsetOf(opened.ports.clock),
      claimant: opened.ports.random.hex128(),
    };
    return new Master({ name, settings, ...opened });
  }

  /** @internal The same services and cores on ports made elsewhere. */
  static on(foundation: MasterFoundation): Master {
    return new Master(foundation);
  }

  /** Where unicast reaches this node, `host:port`. */
  get address(): string {
    return this.#node.ports.transport.address;
  }

  /**
   * Takes a data set into the group: opens its user layer, then looks whether this master may lead. Resolves once the
   * user layer is open; `leading()` tells when it leads. Changes may be started before that and wait for it.
   *
   * Rejects with `data-set-registered`, `bad-option`, `user-layer-failed`, `closed` or, when `signal` is aborted before
   * that, `aborted-by-caller`; the name is then free again.
   */
  register<Handle>(name: string, kind: MasterKind<Handle>, options?: MasterRegisterOptions): Promise<Handle>;
  register(name: string, layer: MasterUserLayer, options?: MasterRegisterOptions): Promise<MasterDataSet>;
  async register<Handle>(
    name: string,
    layerOrKind: MasterUserLayer | MasterKind<Handle>,
    { signal, ...defaults }: MasterRegisterOptions = {},
  ): Promise<MasterDataSet | Handle> {
    refuseAborted(signal);
    const dataSet = this.#freeName(name);
    if (!('create' in layerOrKind)) {
      const service = this.#attach(dataSet, layerOrKind, defaults);
      await openedUnlessAborted(service, signal);
      return service;
    }
    const { durability } = this.#foundation.settings;
    const parts = layerOrKind.create({
      dataSet,
      durability,
      store: this.#node.ports.store,
      defaults,
      clock: this.#node.ports.clock,
    });
    const service = this.#attach(dataSet, parts.layer, defaults);
    // Made before the layer is open: a handle may take part in what the layer is told.
    const handle = parts.handle(service);
    await openedUnlessAborted(service, signal);
    return handle;
  }

  /** Ends the data set's replications with a typed outcome and says goodbye. Rejects with `data-set-unknown`. */
  async unregister(name: string, { signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    const service = this.#services.get(name);
    if (service === undefined) throw new LockstepError('data-set-unknown', `no data set '${name}' is registered here`);
    await unlessAborted(service.unregister(), signal);
  }

  /** Computed on request; changes nothing. */
  status(): MasterStatus {
    return {
      role: 'master',
      name: this.name,
      incarnation: this.#node.self.incarnation,
      address: this.address,
      dataSets: [...this.#services.values()].map((service) => ({ name: service.name, view: service.view() })),
      counters: this.#node.counters,
      unroutedMessages: this.#node.unroutedEnvelopes,
      receiveBufferBytes: this.#node.ports.transport.receiveBufferBytes,
      network: this.network(),
    };
  }

  /** How all are reached, whom multicast doesn't reach, and what the kernel dropped. */
  network(): NetworkStatus {
    return networkStatus(this.#node);
  }

  /**
   * Listens for one name of event, or for all with `*`: `docs/events.md` lists them. Listeners are called at once, in the
   * middle of the node's turn; one that throws disturbs nobody. The returned function stops it, as `using` and the signal do.
   */
  on<Name extends keyof MasterEvents>(
    name: Name,
    listener: (event: EventOf<MasterEvents, Name>) => void,
    options?: ListenOptions,
  ): Subscription;
  on(name: '*', listener: (event: EventOf<MasterEvents>) => void, options?: ListenOptions): Subscription;
  on(name: string, listener: (event: never) => void, options?: ListenOptions): Subscription {
    return this.#events.on(name, listener as EventListener, options);
  }

  /** @internal Calls back with the outcome of each replication, in the turn in which it is told; must not throw. */
  onOutcome(listener: OutcomeListener): () => void {
    this.#outcomeListeners.add(listener);
    return () => {
      this.#outcomeListeners.delete(listener);
    };
  }

  /**
   * Reads the keys again from where they came from, or from elsewhere, and uses them from the next datagram on. Rejects
   * with `bad-option` when they can't be used (those before stay in use), or when this master was opened without keys.
   */
  async reloadKeys(source?: KeySource, { signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    const keys = this.#foundation.secured?.keys;
    if (keys === undefined)
      throw new LockstepError('bad-option', 'this master runs without keys; give it keys when it is started');
    await unlessAborted(keys.reload(this.#events, source), signal);
  }

  /** Settles open rounds, says goodbye, closes sockets and store. Never rejects for what peers do. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Ends as a crash does: not a word to the group, nothing settled. */
  abandon(): void {
    this.#closing ??= Promise.resolve();
    this.#node.stop();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#services.values()].map((service) => service.close('closed')));
    this.#node.flush();
    this.#node.stop();
    await this.#foundation.release();
  }

  #freeName(name: string): DataSetId {
    if (this.#closing !== null) throw new LockstepError('closed', 'this master is closed');
    const dataSet = parseDataSetId(name);
    if (dataSet === null) {
      throw new LockstepError(
        'bad-option',
        `'${name}' can't name a data set: 1 to 64 bytes, no slash, no control characters`,
      );
    }
    if (this.#services.has(name))
      throw new LockstepError('data-set-registered', `the data set '${name}' is registered already`);
    return dataSet;
  }

  #attach(dataSet: DataSetId, layer: MasterUserLayer, defaults: DataSetDefaults): MasterService {
    const service = new MasterService({
      node: this.#node,
      dataSet,
      layer: layerUnderTest(layer, this.#node.ports.crashPoint),
      defaults,
      settings: this.#foundation.settings,
      log: this.#events,
      makeCore: (config, recovered) => new MasterCore(config, recovered),
      ended: () => {
        this.#services.delete(dataSet);
      },
      settled: (outcome) => {
        for (const listener of this.#outcomeListeners) listener(dataSet, outcome);
      },
    });
    if (!service.over) this.#services.set(dataSet, service);
    return service;
  }
}

/** A caller that no longer wants the data set leaves none behind. */
async function openedUnlessAborted(service: MasterService, signal: AbortSignal | undefined): Promise<void> {
  try {
    await unlessAborted(service.opened, signal);
  } catch (error) {
    await service.close('unregistered');
    throw error;
  }
}

function parseName(text: string, option: string): NodeId {
  const node = parseNodeId(text);
  if (node !== null) return node;
  throw new LockstepError(
    'bad-option',
    `${option} '${text}' can't name a node: 1 to 64 bytes, no slash, no control characters`,
  );
}

function leaseOf(leaseMs: number = limits.leaseMs): number {
  if (leaseMs > 0 && leaseMs <= limits.maxLeaseMs) return leaseMs;
  throw new LockstepError('bad-option', `leaseMs must be above 0 and at most ${limits.maxLeaseMs}, not ${leaseMs}`);
}
