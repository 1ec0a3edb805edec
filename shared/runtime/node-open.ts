import { LockstepError } from '../protocol/kernel/errors.js';
import type { Incarnation, NodeId } from '../protocol/kernel/ids.js';
import type { PacketSeal } from '../protocol/wire/seal.js';
import { refuseAborted } from './aborting.js';
import { SystemClock } from './clock.js';
import { storeUnderTest } from './crash-hooks.js';
import type { CrashPoint } from './crash-points.js';
import type { NodePorts } from './node.js';
import type { KeySource } from './key-files.js';
import { NodeKeys } from './node-keys.js';
import { systemRandom } from './node-random.js';
import type { Clock, EventLog, Transport } from './ports.js';
import { checkNetwork } from './open-networks.js';
import { openStore } from './store-open.js';
import { openTcpBulk } from './tcp-bulk.js';
import { openUdpMulticast } from './udp-multicast.js';
import { openUdpUnicast } from './udp-unicast.js';

export const defaultGroup = '239.255.42.1:7401';
/** Loopback: a group is opened to a network by naming an interface of it. */
export const defaultInterface = '127.0.0.1';

export interface OpenPortsOptions {
  readonly name: NodeId;
  readonly role: 'master' | 'slave';
  /** The folder of the store. */
  readonly store: string;
  readonly group?: string;
  readonly interface?: string;
  /** Unicast instead of multicast. */
  readonly peers?: readonly string[];
  readonly port?: number;
  readonly keys?: KeySource;
  readonly insecure?: boolean;
  readonly log: EventLog;
  /** Aborted meanwhile: what was opened is closed again. */
  readonly signal?: AbortSignal | undefined;
  /** Tests only: where this process is to die. */
  readonly crashPoint?: CrashPoint | undefined;
}

export interface OpenedPorts {
  readonly ports: NodePorts;
  readonly incarnation: Incarnation;
  /** What datagrams are sealed with, and where its keys come from: null without keys. */
  readonly secured: { readonly seal: PacketSeal; readonly keys: NodeKeys } | null;
  /** Closes sockets first, then the store: nothing comes in any more that would want to be written. */
  readonly release: () => Promise<void>;
}

/** The real machine under a node. What was opened before a failure is closed again. */
export async function openPorts(options: OpenPortsOptions): Promise<OpenedPorts> {
  const { name, role, log, crashPoint, signal } = options;
  refuseAborted(signal);
  if (typeof options.store !== 'string' || options.store === '')
    throw new LockstepError('bad-option', 'store: the folder of the store is missing');
  const keys = options.keys === undefined ? null : await NodeKeys.load(options.keys, role);
  checkNetwork({
    interface: options.interface ?? defaultInterface,
    peers: options.peers ?? [],
    hasKeys: keys !== null,
    insecure: options.insecure ?? false,
    log,
  });
  const clock = new SystemClock();
  const random = systemRandom();
  // The socket comes first: a start that fails on its address counts no start of the store.
  const opened: { close(): Promise<void> }[] = [];
  const release = async (): Promise<void> => {
    for (const port of opened) await port.close();
  };
  try {
    const transport = await openTransport(options, clock);
    opened.push(transport);
    refuseAborted(signal);
    const bulk = await openTcpBulk({
      host: options.interface ?? defaultInterface,
      clock,
      ...(keys === null ? {} : { keys: () => keys.current }),
    });
    opened.push(bulk);
    refuseAborted(signal);
    crashPoint?.reached('before', 'write', 'start');
    const { store, incarnation } = await openStore({ folder: options.store, node: name, role, random });
    opened.push(store);
    refuseAborted(signal);
    crashPoint?.reached('after', 'write', 'start');
    const sound: NodePorts = { clock, transport, bulk, store: storeUnderTest(store, crashPoint), log, random };
    const ports = crashPoint === undefined ? sound : { ...sound, crashPoint };
    const secured = keys === null ? null : { keys, seal: keys.seal({ node: name, incarnation }, ports) };
    return { ports, incarnation, secured, release };
  } catch (error) {
    await release();
    throw error;
  }
}

function openTransport(options: OpenPortsOptions, clock: Clock): Promise<Transport> {
  const { log, peers, port } = options;
  const interfaceAddress = options.interface ?? defaultInterface;
  const own = port === undefined ? {} : { port };
  if (peers !== undefined && peers.length > 0) return openUdpUnicast({ interfaceAddress, peers, clock, log, ...own });
  return openUdpMulticast({ group: options.group ?? defaultGroup, interfaceAddress, log, ...own });
}
