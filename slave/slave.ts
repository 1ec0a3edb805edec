import { join } from 'node:path';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import type { EventOf } from '../shared/protocol/kernel/events.js';
import type { DataSetId, Incarnation, NodeId } from '../shared/protocol/kernel/ids.js';
import { parseDataSetId, parseNodeId } from '../shared/protocol/kernel/ids.js';
import { limits } from '../shared/protocol/kernel/limits.js';
import { Endpoint } from '../shared/protocol/stream/endpoint.js';
import type { Cancellable } from '../shared/runtime/aborting.js';
import { refuseAborted, unlessAborted } from '../shared/runtime/aborting.js';
import { endpointUnderTest, layerUnderTest } from '../shared/runtime/crash-hooks.js';
import type { PathOptions } from '../shared/protocol/stream/paths.js';
import { networkStatus, type NetworkStatus } from '../shared/runtime/network-status.js';
import type { PacketSeal } from '../shared/protocol/wire/seal.js';
import type { KeySource } from '../shared/runtime/key-files.js';
import type { NodePorts } from '../shared/runtime/node.js';
import { Node } from '../shared/runtime/node.js';
import type { EventHub, EventListener, ListenOptions, Subscription } from '../shared/runtime/node-events.js';
import { hubOf, openLog } from '../shared/runtime/node-events.js';
import type { NodeKeys } from '../shared/runtime/node-keys.js';
import { openPorts } from '../shared/runtime/node-open.js';
import type { SlaveEvents } from './events.js';
import { SlaveCore } from './service/core/slave-core.js';
import type { SlaveView } from './service/core/view.js';
import { keepInFolder } from './service/keep-aside.js';
import type { SlaveSettings } from './service/slave-service.js';
import { SlaveService } from './service/slave-service.js';
import type { SlaveDataSet, SlaveDataSetOptions, SlaveKind, SlaveOptions, SlaveRegisterOptions } from './types.js';
import type { SlaveUserLayer } from './user/contract.js';

/** A node's account of itself, and of each of its data sets. */
export interface SlaveStatus {
  readonly role: 'slave';
  readonly name: string;
  readonly incarnation: Incarnation;
  /** Where unicast reaches this node, `host:port`. */
  readonly address: string;
  readonly dataSets: readonly { readonly name: string; readonly view: SlaveView }[];
  /** What was sent and received, and what was refused by reason. */
  readonly counters: object;
  /** Messages about data sets that aren't registered here. */
  readonly unroutedMessages: number;
  /** As the system granted it. */
  readonly receiveBufferBytes: number;
  /** How all are reached, and what the kernel dropped. */
  readonly network: NetworkStatus;
}

/** What a slave runs on when its ports are made elsewhere: by the simulator, or by a test. */
export interface SlaveFoundation {
  readonly name: NodeId;
  readonly incarnation: Incarnation;
  readonly ports: NodePorts;
  readonly settings: SlaveSettings;
  /** How all are reached; absent: by multicast alone. */
  readonly paths?: PathOptions;
  /** Absent or null: datagrams carry a checksum. */
  readonly secured?: { readonly seal: PacketSeal; readonly keys: NodeKeys } | null;
  /** Lets go of the ports, after everything else ended. */
  readonly release: () => Promise<void>;
}

/**
 * A process that holds copies: any number of data sets, each under a name of its own, on one socket.
 *
 * `close` (or `await using`) says goodbye and lets go of store and sockets; a round that is in doubt stays on disk.
 */
export class Slave implements AsyncDisposable {
  readonly name: string;
  readonly #foundation: SlaveFoundation;
  readonly #node: Node;
  readonly #events: EventHub;
  readonly #services = new Map<string, SlaveService>();
  #closing: Promise<void> | null = null;

  private constructor(foundation: SlaveFoundation) {
    const { name, incarnation, ports } = foundation;
    this.name = name;
    this.#foundation = foundation;
    this.#events = hubOf(ports.log, { role: 'slave', node: name });
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
  static async open(options: SlaveOptions): Promise<Slave> {
    const name = parseNodeId(options.name);
    if (name === null) {
      throw new LockstepError(
        'bad-option',
        `name '${options.name}' can't name a node: 1 to 64 bytes, no slash, no control characters`,
      );
    }
    const opened = await openPorts({
      ...options,
      name,
      role: 'slave',
      log: openLog(options.log, { role: 'slave', node: name }),
    });
    const settings: SlaveSettings = {
      durability: options.durability ?? 'disk',
      maxLeaseMs: limits.maxLeaseMs,
      keepAside: keepInFolder(join(options.store, 'kept'), opened.ports.clock),
    };
    return new Slave({ name, settings, ...opened });
  }

  /** @internal The same services and cores on ports made elsewhere. */
  static on(foundation: SlaveFoundation): Slave {
    return new Slave(foundation);
  }

  /** Where unicast reaches this node, `host:port`. */
  get address(): string {
    return this.#node.ports.transport.address;
  }

  /**
   * Opens the user layer's copy and joins the group for it. Resolves once the copy is open: readable, though maybe not
   * current yet.
   *
   * Rejects with `data-set-registered`, `bad-option`, `user-layer-failed`, `closed` or, when `signal` is aborted before
   * that, `aborted-by-caller`; the name is then free again.
   */
  register<Handle>(name: string, kind: SlaveKind<Handle>, options?: SlaveRegisterOptions): Promise<Handle>;
  register(name: string, layer: SlaveUserLayer, options?: SlaveRegisterOptions): Promise<SlaveDataSet>;
  async register<Handle>(
    name: string,
    layerOrKind: SlaveUserLayer | SlaveKind<Handle>,
    { signal, ...options }: SlaveRegisterOptions = {},
  ): Promise<SlaveDataSet | Handle> {
    refuseAborted(signal);
    const dataSet = this.#freeName(name);
    if (!('create' in layerOrKind)) {
      const service = this.#attach(dataSet, layerOrKind, options);
      await openedUnlessAborted(service, signal);
      return service;
    }
    const parts = layerOrKind.create({
      node: this.name,
      dataSet,
      durability: this.#foundation.settings.durability,
      store: this.#node.ports.store,
    });
    const service = this.#attach(dataSet, parts.layer, options);
    // Made before the layer is open: a handle may take part in what the layer is told.
    const handle = parts.handle(service);
    await openedUnlessAborted(service, signal);
    return handle;
  }

  /** Says goodbye for one data set. Rejects with `data-set-unknown`. */
  async unregister(name: string, { signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    const service = this.#services.get(name);
    if (service === undefined) throw new LockstepError('data-set-unknown', `no data set '${name}' is registered here`);
    await unlessAborted(service.unregister(), signal);
  }

  /** Computed on request; changes nothing. */
  status(): SlaveStatus {
    return {
      role: 'slave',
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
  on<Name extends keyof SlaveEvents>(
    name: Name,
    listener: (event: EventOf<SlaveEvents, Name>) => void,
    options?: ListenOptions,
  ): Subscription;
  on(name: '*', listener: (event: EventOf<SlaveEvents>) => void, options?: ListenOptions): Subscription;
  on(name: string, listener: (event: never) => void, options?: ListenOptions): Subscription {
    return this.#events.on(name, listener as EventListener, options);
  }

  /**
   * Reads the keys again from where they came from, or from elsewhere, and uses them from the next datagram on. Rejects
   * with `bad-option` when they can't be used (those before stay in use), or when this slave was opened without keys.
   */
  async reloadKeys(source?: KeySource, { signal }: Cancellable = {}): Promise<void> {
    refuseAborted(signal);
    const keys = this.#foundation.secured?.keys;
    if (keys === undefined)
      throw new LockstepError('bad-option', 'this slave runs without keys; give it keys when it is started');
    await unlessAborted(keys.reload(this.#events, source), signal);
  }

  /** Says goodbye, closes sockets and store. Never rejects for what peers do. */
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
    await Promise.all([...this.#services.values()].map((service) => service.close()));
    this.#node.flush();
    this.#node.stop();
    await this.#foundation.release();
  }

  #freeName(name: string): DataSetId {
    if (this.#closing !== null) throw new LockstepError('closed', 'this slave is closed');
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

  #attach(dataSet: DataSetId, layer: SlaveUserLayer, options: SlaveDataSetOptions): SlaveService {
    const service = new SlaveService({
      node: this.#node,
      dataSet,
      layer: layerUnderTest(layer, this.#node.ports.crashPoint),
      options,
      settings: this.#foundation.settings,
      log: this.#events,
      makeCore: (config, recovered) => new SlaveCore(config, recovered),
      ended: () => {
        this.#services.delete(dataSet);
      },
    });
    if (!service.over) this.#services.set(dataSet, service);
    return service;
  }
}

/** A caller that no longer wants the data set leaves none behind. */
async function openedUnlessAborted(service: SlaveService, signal: AbortSignal | undefined): Promise<void> {
  try {
    await unlessAborted(service.opened, signal);
  } catch (error) {
    await service.close();
    throw error;
  }
}
