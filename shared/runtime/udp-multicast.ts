import type { Socket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { platform } from 'node:os';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import { formatAddress, parseHostPort, type HostPort } from './addresses.js';
import { findInterface } from './interfaces.js';
import type { Address, EventLog, Transport } from './ports.js';
import {
  bindUdp,
  defaultReceiveBufferBytes,
  grantedReceiveBuffer,
  reportReceiveBuffer,
  UdpPort,
  type Receiver,
  type TransportCounters,
} from './udp-socket.js';

export interface UdpMulticastOptions {
  /** Group and port, `239.255.42.1:7401`; IPv4. */
  readonly group: Address;
  /** The address of the interface to send and to join by: never left to the kernel, which might pick another. */
  readonly interfaceAddress: string;
  /** Of the node's own socket; default 0, any free one. */
  readonly port?: number;
  /** Asked of the system for each socket; default 4 MiB. */
  readonly receiveBufferBytes?: number;
  readonly log: EventLog;
}

/**
 * Multicast over two sockets. The shared one is bound to the group's port, as those of the other nodes on this host are,
 * and only receives multicast: a unicast datagram to a shared port reaches one of its holders, whichever. The node's own
 * sends everything and receives unicast.
 */
export class UdpMulticast implements Transport {
  readonly maxDatagramBytes: number;
  readonly receiveBufferBytes: number;
  readonly #port: UdpPort;
  readonly #group: HostPort;

  constructor(options: {
    readonly port: UdpPort;
    readonly group: HostPort;
    readonly maxDatagramBytes: number;
    readonly receiveBufferBytes: number;
  }) {
    this.#port = options.port;
    this.#group = options.group;
    this.maxDatagramBytes = options.maxDatagramBytes;
    this.receiveBufferBytes = options.receiveBufferBytes;
  }

  get address(): Address {
    return this.#port.address;
  }

  get counters(): TransportCounters {
    return this.#port.counters;
  }

  send(bytes: Uint8Array, to: Address | 'group'): void {
    if (to === 'group') this.#port.sendParsed(bytes, this.#group);
    else this.#port.sendTo(bytes, to);
  }

  kernelDrops(): number | null {
    return this.#port.kernelDrops();
  }

  onReceive(receiver: Receiver): void {
    this.#port.onReceive(receiver);
  }

  close(): Promise<void> {
    return this.#port.close();
  }
}

/** Rejects with `bad-option` (naming the value) or `address-in-use`; nothing stays open then. */
export async function openUdpMulticast(options: UdpMulticastOptions): Promise<UdpMulticast> {
  const { interfaceAddress, receiveBufferBytes = defaultReceiveBufferBytes } = options;
  const group = parseGroup(options.group);
  const through = findInterface(interfaceAddress, 'interface');
  if (through.family !== 4) {
    throw new LockstepError(
      'bad-option',
      `interface '${interfaceAddress}': multicast runs over IPv4 here; use peers for IPv6`,
    );
  }
  const own = await bindUdp({
    family: 4,
    host: interfaceAddress,
    port: options.port ?? 0,
    shared: false,
    receiveBufferBytes,
    option: 'port',
  });
  let shared: Socket | null = null;
  try {
    // Bound to the group's address, so that other groups on this port stay away; Windows can't.
    const sharedHost = platform() === 'win32' ? '0.0.0.0' : group.host;
    shared = await bindUdp({
      family: 4,
      host: sharedHost,
      port: group.port,
      shared: true,
      receiveBufferBytes,
      option: 'group',
    });
    joinGroup({ own, shared, group, interfaceAddress, isLoopback: through.isLoopback });
  } catch (error) {
    own.close();
    shared?.close();
    throw error;
  }
  const { maxDatagramBytes } = through;
  const grantedBytes = grantedReceiveBuffer([own, shared]);
  reportReceiveBuffer(options.log, receiveBufferBytes, grantedBytes);
  const port = new UdpPort({ sender: own, shared, family: 4, maxDatagramBytes });
  return new UdpMulticast({ port, group, maxDatagramBytes, receiveBufferBytes: grantedBytes });
}

/** Throws `bad-option`, naming the value. */
export function parseGroup(text: string): HostPort {
  const group = parseHostPort(text);
  const first = Number(group?.host.split('.')[0]);
  if (group === null || group.port === 0 || !isIPv4(group.host) || first < 224 || first > 239) {
    throw new LockstepError(
      'bad-option',
      `group '${text}' is no IPv4 multicast address with a port; an example is 239.255.42.1:7401`,
    );
  }
  return group;
}

function joinGroup(parts: {
  readonly own: Socket;
  readonly shared: Socket;
  readonly group: HostPort;
  readonly interfaceAddress: string;
  readonly isLoopback: boolean;
}): void {
  const { own, shared, group, interfaceAddress } = parts;
  try {
    shared.addMembership(group.host, interfaceAddress);
    own.setMulticastInterface(interfaceAddress);
    // One network and no further; on loopback not even that.
    own.setMulticastTTL(parts.isLoopback ? 0 : 1);
    own.setMulticastLoopback(true);
  } catch (error) {
    const message = `group ${formatAddress(group.host, group.port)} can't be joined on interface '${interfaceAddress}' (${errorText(error)})`;
    throw new LockstepError('bad-option', message, { cause: error });
  }
}
