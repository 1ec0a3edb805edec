import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import { limits } from '../protocol/kernel/limits.js';
import { formatAddress, parseHostPort } from './addresses.js';
import { findInterface } from './interfaces.js';
import type { Address, Clock, EventLog, Transport } from './ports.js';
import {
  bindUdp,
  defaultReceiveBufferBytes,
  grantedReceiveBuffer,
  reportReceiveBuffer,
  UdpPort,
  type Receiver,
  type TransportCounters,
} from './udp-socket.js';

export interface UdpUnicastOptions {
  /** The address of the interface to send and receive by. */
  readonly interfaceAddress: string;
  /** Default 0, any free one; give it where others name this node as their peer. */
  readonly port?: number;
  /** `host:port`; names are looked up once. At most `limits.maxMembers`. */
  readonly peers: readonly string[];
  /** Asked of the system; default 4 MiB. */
  readonly receiveBufferBytes?: number;
  readonly log: EventLog;
  readonly clock: Clock;
}

/** A peer that was learned and is silent for so long is no more sent to: it restarted under another port, or is gone. */
const learnedPeerMs = 60_000;

/** Whom `group` reaches: the configured peers for ever, those heard from while they are heard. */
class PeerTable {
  readonly #self: Address;
  readonly #clock: Clock;
  readonly #configured = new Set<Address>();
  readonly #heardMs = new Map<Address, number>();

  constructor(self: Address, clock: Clock) {
    this.#self = self;
    this.#clock = clock;
  }

  get configured(): readonly Address[] {
    return [...this.#configured];
  }

  /** False when the table is full. */
  configure(peer: Address): boolean {
    if (peer === this.#self || this.#configured.has(peer)) return true;
    if (this.#configured.size >= limits.maxMembers) return false;
    this.#configured.add(peer);
    this.#heardMs.delete(peer);
    return true;
  }

  heard(from: Address): void {
    if (this.#configured.has(from)) return;
    // G10: whoever may send here from invented addresses fills this table and no more.
    if (!this.#heardMs.has(from) && this.#heardMs.size >= limits.maxMembers) return;
    this.#heardMs.set(from, this.#clock.monotonicMs());
  }

  forEach(visit: (peer: Address) => void): void {
    for (const peer of this.#configured) visit(peer);
    if (this.#heardMs.size === 0) return;
    const oldestMs = this.#clock.monotonicMs() - learnedPeerMs;
    for (const [peer, heardMs] of this.#heardMs) {
      if (heardMs < oldestMs) this.#heardMs.delete(peer);
      else visit(peer);
    }
  }
}

/** The same datagrams where the network has no multicast: `group` sends one to each peer. */
export class UdpUnicast implements Transport {
  readonly maxDatagramBytes: number;
  readonly receiveBufferBytes: number;
  readonly #port: UdpPort;
  readonly #peers: PeerTable;

  constructor(options: {
    readonly port: UdpPort;
    readonly peers: PeerTable;
    readonly maxDatagramBytes: number;
    readonly receiveBufferBytes: number;
  }) {
    this.#port = options.port;
    this.#peers = options.peers;
    this.maxDatagramBytes = options.maxDatagramBytes;
    this.receiveBufferBytes = options.receiveBufferBytes;
  }

  get address(): Address {
    return this.#port.address;
  }

  get counters(): TransportCounters {
    return this.#port.counters;
  }

  get configuredPeers(): readonly Address[] {
    return this.#peers.configured;
  }

  /** Adds a peer for good: a literal address. False when the table is full. */
  addPeer(peer: Address): boolean {
    return this.#peers.configure(peer);
  }

  send(bytes: Uint8Array, to: Address | 'group'): void {
    if (to !== 'group') {
      this.#port.sendTo(bytes, to);
      return;
    }
    this.#peers.forEach((peer) => {
      this.#port.sendTo(bytes, peer);
    });
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
export async function openUdpUnicast(options: UdpUnicastOptions): Promise<UdpUnicast> {
  const { interfaceAddress, receiveBufferBytes = defaultReceiveBufferBytes } = options;
  const { family, maxDatagramBytes } = findInterface(interfaceAddress, 'interface');
  if (options.peers.length > limits.maxMembers) {
    throw new LockstepError('bad-option', `peers: ${options.peers.length} are more than ${limits.maxMembers}`);
  }
  const addresses = await Promise.all(options.peers.map((peer) => resolvePeer(peer, family)));
  const socket = await bindUdp({
    family,
    host: interfaceAddress,
    port: options.port ?? 0,
    shared: false,
    receiveBufferBytes,
    option: 'port',
  });
  const grantedBytes = grantedReceiveBuffer([socket]);
  reportReceiveBuffer(options.log, receiveBufferBytes, grantedBytes);
  const bound = socket.address();
  const peers = new PeerTable(formatAddress(bound.address, bound.port), options.clock);
  for (const address of addresses) peers.configure(address);
  const heard = (from: Address): void => {
    peers.heard(from);
  };
  const port = new UdpPort({ sender: socket, shared: null, family, maxDatagramBytes, heard });
  return new UdpUnicast({ port, peers, maxDatagramBytes, receiveBufferBytes: grantedBytes });
}

/** Rejects with `bad-option`, naming the value. */
export async function resolvePeer(peer: string, family: 4 | 6): Promise<Address> {
  const parsed = parseHostPort(peer);
  if (parsed === null || parsed.port === 0) {
    throw new LockstepError('bad-option', `peers: '${peer}' is no address; an example is 127.0.0.1:7402`);
  }
  const literal = isIP(parsed.host);
  if (literal === family) return formatAddress(parsed.host, parsed.port);
  if (literal !== 0)
    throw new LockstepError('bad-option', `peers: '${peer}' is of IPv${literal}, the interface of IPv${family}`);
  try {
    const { address } = await lookup(parsed.host, { family });
    return formatAddress(address, parsed.port);
  } catch (error) {
    const message = `peers: '${peer}' has no IPv${family} address, which the interface needs (${errorText(error)})`;
    throw new LockstepError('bad-option', message, { cause: error });
  }
}
