import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { EventOf } from '../protocol/kernel/events.js';
import { transportModes, type PathOptions, type TransportMode } from '../protocol/stream/paths.js';
import type { NodeEvents } from './events.js';
import { findInterface } from './interfaces.js';
import type { Clock, EventLog, Transport } from './ports.js';
import { openUdpMulticast, parseGroup } from './udp-multicast.js';
import { openUdpUnicast, resolvePeer } from './udp-unicast.js';

export const defaultGroup = '239.255.42.1:7401';
/** Loopback: a group is opened to a network by naming an interface of it. */
export const defaultInterface = '127.0.0.1';

export interface TransportOptions {
  /** Default: `unicast` when peers are given, else `auto`. */
  readonly transport?: TransportMode;
  readonly group?: string;
  readonly interface?: string;
  readonly peers?: readonly string[];
  readonly port?: number;
  readonly log: EventLog;
}

export interface OpenedTransport {
  readonly transport: Transport;
  readonly paths: PathOptions;
}

/** Whoever lists peers and says nothing else wants unicast; without them multicast has to do, as far as it goes. */
export function transportModeOf(options: Pick<TransportOptions, 'transport' | 'peers'>): TransportMode {
  return options.transport ?? ((options.peers ?? []).length > 0 ? 'unicast' : 'auto');
}

/** Rejects with `bad-option` (naming the value) or `address-in-use`; nothing stays open then. */
export async function openTransport(options: TransportOptions, clock: Clock): Promise<OpenedTransport> {
  const { log, peers = [], port, group = defaultGroup } = options;
  const interfaceAddress = options.interface ?? defaultInterface;
  const mode = transportModeOf(options);
  if (!transportModes.includes(mode))
    throw new LockstepError('bad-option', `transport '${mode}' is none; choose ${transportModes.join(', ')}`);
  const own = port === undefined ? {} : { port };
  if (mode === 'unicast') {
    const transport = await openUdpUnicast({ interfaceAddress, peers, clock, log, ...own });
    return { transport, paths: { mode, peers: transport.configuredPeers } };
  }
  if (mode === 'multicast') {
    if (peers.length > 0)
      throw new LockstepError(
        'bad-option',
        `peers ${peers.join(', ')} are of no use with transport 'multicast'; leave them out, or use 'auto' or 'unicast'`,
      );
    return { transport: await openUdpMulticast({ group, interfaceAddress, log, ...own }), paths: { mode } };
  }
  const { family } = findInterface(interfaceAddress, 'interface');
  parseGroup(group);
  const addresses = await Promise.all(peers.map((peer) => resolvePeer(peer, family)));
  const why = family === 6 ? 'multicast runs over IPv4 here' : null;
  if (why === null) {
    try {
      const transport = await openUdpMulticast({ group, interfaceAddress, log, ...own });
      return { transport, paths: { mode, peers: addresses.filter((address) => address !== transport.address) } };
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code === 'address-in-use') throw error;
      return openWithoutMulticast({ interfaceAddress, peers, clock, log, ...own }, errorText(error));
    }
  }
  return openWithoutMulticast({ interfaceAddress, peers, clock, log, ...own }, why);
}

/** The interface can't do it at all: no use to try again later. */
async function openWithoutMulticast(
  options: Parameters<typeof openUdpUnicast>[0],
  reason: string,
): Promise<OpenedTransport> {
  const transport = await openUdpUnicast(options);
  const remedy =
    options.peers.length > 0
      ? 'none is needed'
      : 'slaves need --peers with the address of their master, which needs --port';
  options.log.record({
    name: 'multicast-unavailable',
    level: 'warn',
    fields: { reason, remedy },
  } satisfies EventOf<NodeEvents, 'multicast-unavailable'>);
  return { transport, paths: { mode: 'unicast', peers: transport.configuredPeers } };
}
