import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { platform } from 'node:os';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { EventOf } from '../protocol/kernel/events.js';
import type { NodeEvents } from './events.js';
import { AddressCache, formatAddress, type HostPort } from './addresses.js';
import { KernelDrops } from './kernel-drops.js';
import type { Address, EventLog } from './ports.js';

/** What a transport counted since it was opened. Nothing of this is an error of the group's: datagrams may be lost. */
export interface TransportCounters {
  readonly sentDatagrams: number;
  readonly receivedDatagrams: number;
  /** The system refused: unreachable host or port, no buffer. */
  readonly sendErrors: number;
  /** Longer than `maxDatagramBytes`, so not sent. */
  readonly oversizeRefused: number;
  /** To something that is no address, so not sent. */
  readonly badAddressRefused: number;
  /** The system's queue was full, so not sent. */
  readonly queueFullDropped: number;
  readonly receiveErrors: number;
}

/** 4 MiB hold some 3,600 datagrams of 1,400 bytes; the usual default, 208 KiB, some 180. */
export const defaultReceiveBufferBytes = 4 * 1024 * 1024;

/** Bytes that may wait inside the process when the system takes no more; beyond it datagrams are dropped (G10). */
const maxSendQueueBytes = 8 * 1024 * 1024;
/** Addresses remembered in parsed form. */
const rememberedAddresses = 8192;

export interface BindOptions {
  readonly family: 4 | 6;
  readonly host: string;
  readonly port: number;
  /** Several processes of one host on the same port. */
  readonly shared: boolean;
  readonly receiveBufferBytes: number;
  /** What the operator knows the address by, for error messages. */
  readonly option: string;
}

/** A bound socket. Rejects with `address-in-use` or `bad-option`. */
export async function bindUdp(options: BindOptions): Promise<Socket> {
  const { family, host, port } = options;
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    reuseAddr: options.shared,
    // Addresses here are literal: without this each datagram would go through the system's resolver.
    lookup: (name, _options, callback) => {
      callback(null, name, family);
    },
  });
  try {
    // Listened for first: with addresses taken as they are, the socket may be bound before `bind` returns.
    const listening = once(socket, 'listening');
    socket.bind({ address: host, port, exclusive: true });
    await listening;
    askReceiveBuffer(socket, options.receiveBufferBytes);
    return socket;
  } catch (error) {
    socket.close();
    throw bindError(error, options);
  }
}

/** Linux clamps in silence, others refuse: either way the caller reads back what it got. */
function askReceiveBuffer(socket: Socket, bytes: number): void {
  try {
    socket.setRecvBufferSize(bytes);
  } catch {
    // The default stays.
  }
}

function bindError(error: unknown, { host, port, option }: BindOptions): LockstepError {
  const address = formatAddress(host, port);
  const code = error instanceof Error && 'code' in error ? error.code : '';
  if (code === 'EADDRINUSE') {
    const message = `${option} ${address}: another program uses this UDP port; choose another, or stop that program`;
    return new LockstepError('address-in-use', message, { cause: error });
  }
  return new LockstepError('bad-option', `${option} ${address}: can't be bound (${errorText(error)})`, {
    cause: error,
  });
}

/** The receive buffer as granted, in bytes that the caller asked in: Linux reports double, to count its own overhead. */
export function grantedReceiveBuffer(sockets: readonly Socket[]): number {
  const reported = Math.min(...sockets.map((socket) => socket.getRecvBufferSize()));
  return platform() === 'linux' ? reported / 2 : reported;
}

/** Says so when the system clamped the buffer, which it does silently, and how to lift that. */
export function reportReceiveBuffer(log: EventLog, requestedBytes: number, grantedBytes: number): void {
  if (grantedBytes >= requestedBytes) return;
  const remedy =
    platform() === 'linux'
      ? `sysctl -w net.core.rmem_max=${requestedBytes}`
      : platform() === 'win32'
        ? 'lower receiveBufferBytes'
        : `sysctl -w kern.ipc.maxsockbuf=${requestedBytes * 2}`;
  log.record({
    name: 'receive-buffer-clamped',
    level: 'warn',
    fields: { requestedBytes, grantedBytes, remedy },
  } satisfies EventOf<NodeEvents, 'receive-buffer-clamped'>);
}

export type Receiver = (bytes: Uint8Array, from: Address, byGroup: boolean) => void;

/** Sending, receiving and counting, the same for both kinds of transport. */
export class UdpPort {
  readonly address: Address;
  readonly own: HostPort;
  readonly #sender: Socket;
  readonly #kernelDrops: KernelDrops;
  readonly #sockets: readonly Socket[];
  readonly #maxDatagramBytes: number;
  readonly #addresses: AddressCache;
  readonly #heard: ((from: Address) => void) | null;
  #receiver: Receiver | null = null;
  #closing: Promise<void> | null = null;
  #sent = 0;
  #received = 0;
  #sendErrors = 0;
  #oversize = 0;
  #badAddress = 0;
  #queueFull = 0;
  #receiveErrors = 0;

  constructor(options: {
    readonly sender: Socket;
    /** Receives too, when there is one beside the sender. */
    readonly shared: Socket | null;
    readonly family: 4 | 6;
    readonly maxDatagramBytes: number;
    readonly heard?: (from: Address) => void;
  }) {
    const bound = options.sender.address();
    this.own = { host: bound.address, port: bound.port };
    this.address = formatAddress(bound.address, bound.port);
    this.#sender = options.sender;
    this.#kernelDrops = new KernelDrops([
      bound.port,
      ...(options.shared === null ? [] : [options.shared.address().port]),
    ]);
    this.#sockets = options.shared === null ? [options.sender] : [options.sender, options.shared];
    this.#maxDatagramBytes = options.maxDatagramBytes;
    this.#addresses = new AddressCache({ family: options.family, bound: rememberedAddresses });
    this.#heard = options.heard ?? null;
    for (const socket of this.#sockets) {
      const byGroup = socket === options.shared;
      socket.on('message', (bytes, remote) => {
        this.#onMessage(bytes, remote, byGroup);
      });
      // ICMP's "nobody listens there" arrives here on some systems: what a datagram's sender has to live with.
      socket.on('error', () => {
        this.#receiveErrors += 1;
      });
    }
  }

  get counters(): TransportCounters {
    return {
      sentDatagrams: this.#sent,
      receivedDatagrams: this.#received,
      sendErrors: this.#sendErrors,
      oversizeRefused: this.#oversize,
      badAddressRefused: this.#badAddress,
      queueFullDropped: this.#queueFull,
      receiveErrors: this.#receiveErrors,
    };
  }

  /** Datagrams that came while the receive buffers of these sockets were full; null where the system doesn't tell. */
  kernelDrops(): number | null {
    return this.#kernelDrops.read();
  }

  get closed(): boolean {
    return this.#closing !== null;
  }

  sendTo(bytes: Uint8Array, to: Address): void {
    const parsed = this.#addresses.parse(to);
    if (parsed === null) this.#badAddress += 1;
    else this.sendParsed(bytes, parsed);
  }

  /** Never throws: a datagram that can't leave is a lost one, counted. */
  sendParsed(bytes: Uint8Array, to: HostPort): void {
    if (this.#closing !== null) return;
    if (bytes.byteLength > this.#maxDatagramBytes) {
      this.#oversize += 1;
      return;
    }
    if (this.#sender.getSendQueueSize() > maxSendQueueBytes) {
      this.#queueFull += 1;
      return;
    }
    this.#sent += 1;
    this.#sender.send(bytes, to.port, to.host, this.#onSent);
  }

  onReceive(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  close(): Promise<void> {
    this.#receiver = null;
    this.#closing ??= Promise.all(
      this.#sockets.map(async (socket) => {
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }),
    ).then(() => undefined);
    return this.#closing;
  }

  readonly #onSent = (error: Error | null): void => {
    if (error !== null) this.#sendErrors += 1;
  };

  readonly #onMessage = (bytes: Uint8Array, remote: RemoteInfo, byGroup: boolean): void => {
    // A multicast comes back to its sender; the port's contract is "to the others".
    if (remote.port === this.own.port && remote.address === this.own.host) return;
    this.#received += 1;
    const from = this.#addresses.format(remote.address, remote.port);
    this.#heard?.(from);
    this.#receiver?.(bytes, from, byGroup);
  };
}
