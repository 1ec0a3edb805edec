import { LockstepError } from '../protocol/kernel/errors.js';
import type { Incarnation, NodeId } from '../protocol/kernel/ids.js';
import type { PathOptions, TransportMode } from '../protocol/stream/paths.js';
import type { PacketSeal } from '../protocol/wire/seal.js';
import { refuseAborted } from './aborting.js';
import { SystemClock } from './clock.js';
import { storeUnderTest } from './crash-hooks.js';
import type { CrashPoint } from './crash-points.js';
import type { NodePorts } from './node.js';
import type { KeySource } from './key-files.js';
import { NodeKeys } from './node-keys.js';
import { systemRandom } from './node-random.js';
import type { EventLog } from './ports.js';
import { checkNetwork } from './open-networks.js';
import { openStore } from './store-open.js';
import { openTcpBulk } from './tcp-bulk.js';
import { defaultInterface, openTransport } from './transport-open.js';

export { defaultGroup, defaultInterface } from './transport-open.js';

export interface OpenPortsOptions {
  readonly name: NodeId;
  readonly role: 'master' | 'slave';
  /** The folder of the store. */
  readonly store: string;
  readonly group?: string;
  readonly interface?: string;
  readonly transport?: TransportMode;
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
  /** How all are reached. */
  readonly paths: PathOptions;
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
    const { transport, paths } = await openTransport(options, clock);
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
    return { ports, incarnation, secured, paths, release };
  } catch (error) {
    await release();
    throw error;
  }
}
