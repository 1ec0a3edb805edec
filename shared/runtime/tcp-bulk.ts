import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import { limits } from '../protocol/kernel/limits.js';
import type { GroupKeys } from '../protocol/secure/keys.js';
import { formatAddress } from './addresses.js';
import { Admission } from './admission.js';
import type { Address, Bulk, Clock } from './ports.js';
import { fetchOverTcp } from './tcp-fetch.js';
import { failedFrame, frameHead, maxChunkBytes, maxTokenBytes } from './tcp-frames.js';
import { createSecureServer, proofOf } from './tcp-secure.js';

export interface TcpBulkOptions {
  /** The node's unicast host. */
  readonly host: string;
  /** Default 0, any free one. */
  readonly port?: number;
  readonly clock: Clock;
  /** Sources read at once, the others wait; default `limits.bulkTransfers`. */
  readonly transfers?: number;
  /** A connection on which nothing moves for so long is given up; default `limits.bulkIdleMs`. */
  readonly idleMs?: number;
  /** The group's keys as they are now: streams are encrypted, and a master proves to be one. Absent: in the clear. */
  readonly keys?: () => GroupKeys;
}

/** Offers that may be open at once: one for each member that catches up, and as many again. */
const maxOffers = 2 * limits.maxMembers;

interface Offer {
  readonly source: () => AsyncIterable<Uint8Array>;
  readonly ended: (error: Error | null) => void;
  readonly cancelExpiry: () => void;
  readonly group: object | null;
}

/** Rejects with `address-in-use` or `bad-option`. */
export async function openTcpBulk(options: TcpBulkOptions): Promise<TcpBulk> {
  // Half-open: a fetcher that has everything says so by closing its side.
  const { keys, idleMs = limits.bulkIdleMs } = options;
  const server =
    keys === undefined ? createServer({ allowHalfOpen: true, noDelay: true }) : createSecureServer(keys, idleMs);
  server.maxConnections = maxOffers;
  const listening = once(server, 'listening');
  server.listen(options.port ?? 0, options.host);
  try {
    await listening;
  } catch (error) {
    const address = formatAddress(options.host, options.port ?? 0);
    const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    const message = isTaken
      ? `${address}: another program uses this TCP port; choose another, or stop that program`
      : `${address} can't be listened on (${errorText(error)})`;
    throw new LockstepError(isTaken ? 'address-in-use' : 'bad-option', message, { cause: error });
  }
  return new TcpBulk(server, options);
}

/**
 * Streams over TCP. At most `transfers` sources are read at once, in order of arrival, so that a thousand slaves that
 * restart together don't have a thousand snapshots made together.
 */
export class TcpBulk implements Bulk {
  readonly port: number;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #keys: (() => GroupKeys) | null;
  readonly #admission: Admission;
  readonly #offers = new Map<string, Offer>();
  readonly #connections = new Set<Socket>();
  readonly #fetches = new Set<AbortController>();
  #closing: Promise<void> | null = null;

  /** Made by `openTcpBulk`: the server listens already. */
  constructor(server: Server, options: TcpBulkOptions) {
    this.#server = server;
    this.#clock = options.clock;
    this.#idleMs = options.idleMs ?? limits.bulkIdleMs;
    this.#admission = new Admission(options.transfers ?? limits.bulkTransfers);
    const bound = server.address();
    this.port = typeof bound === 'object' && bound !== null ? bound.port : 0;
    this.#keys = options.keys ?? null;
    server.on('connection', (socket) => {
      this.#watch(socket);
      if (this.#keys === null) void this.#onRequest(socket);
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#watch(socket);
      void this.#onRequest(socket);
    });
  }

  offer(
    token: string,
    source: () => AsyncIterable<Uint8Array>,
    ttlMs: number,
    ended: (error: Error | null) => void,
    group: object | null = null,
  ): void {
    const refusal = this.#whyNoOffer(token);
    if (refusal !== null) {
      queueMicrotask(() => {
        ended(refusal);
      });
      return;
    }
    const cancelExpiry = this.#clock.at(this.#clock.monotonicMs() + ttlMs, () => {
      this.#offers.delete(token);
      ended(new LockstepError('timed-out', `nobody fetched the stream within ${ttlMs} ms`));
    });
    this.#offers.set(token, { source, ended, cancelExpiry, group });
  }

  fetch(address: Address, token: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#fetch(address, token, signal);
  }

  close(): Promise<void> {
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  async #shut(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    const error = new LockstepError('closed', 'the node closed');
    for (const [token, offer] of this.#offers) {
      this.#offers.delete(token);
      offer.cancelExpiry();
      offer.ended(error);
    }
    for (const controller of this.#fetches) controller.abort(error);
    for (const socket of this.#connections) socket.destroy(error);
    await closed;
    await this.#admission.onIdle();
  }

  #whyNoOffer(token: string): LockstepError | null {
    if (this.#closing !== null) return new LockstepError('closed', 'the node closed');
    const length = Buffer.byteLength(token);
    if (length === 0 || length > maxTokenBytes || /[\r\n]/.test(token)) {
      return new LockstepError('bad-input', `a token is one line of 1 to ${maxTokenBytes} bytes`);
    }
    if (this.#offers.has(token)) return new LockstepError('bad-input', 'this token is offered already');
    if (this.#offers.size >= maxOffers)
      return new LockstepError('queue-full', `${maxOffers} streams are offered already`);
    return null;
  }

  async *#fetch(address: Address, token: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#closing !== null) throw new LockstepError('closed', 'the node closed');
    const controller = new AbortController();
    this.#fetches.add(controller);
    try {
      yield* fetchOverTcp({
        address,
        token,
        signal,
        closing: controller.signal,
        idleMs: this.#idleMs,
        keys: this.#keys?.() ?? null,
      });
    } finally {
      this.#fetches.delete(controller);
    }
  }

  /** Of a secure connection both: the one below, which has no owner until the handshake is over, and the one above. */
  #watch(socket: Socket): void {
    this.#connections.add(socket);
    socket.on('close', () => {
      this.#connections.delete(socket);
    });
    // What a peer does to its connection is told by the write or the read that fails.
    socket.on('error', () => undefined);
    socket.setTimeout(this.#idleMs, () => {
      socket.destroy(new LockstepError('timed-out', `nothing moved for ${this.#idleMs} ms`));
    });
  }

  async #onRequest(socket: Socket): Promise<void> {
    const token = await readToken(socket);
    if (token === null) {
      socket.destroy();
      return;
    }
    const proof = socket instanceof TLSSocket && this.#keys !== null ? proofOf(socket, this.#keys()) : null;
    if (proof !== null) socket.write(Buffer.concat([frameHead('proof', proof.length), proof]));
    const offer = this.#offers.get(token);
    if (offer === undefined) {
      socket.end(failedFrame('the token is unknown there: it was fetched already, or it expired'));
      // Without this the fetcher's close would wait unread.
      socket.resume();
      return;
    }
    this.#offers.delete(token);
    offer.cancelExpiry();
    const connection = new FetcherConnection(socket);
    // Waiting for admission is no fault of the fetcher's; its own patience ends the wait.
    socket.setTimeout(0);
    const error = await this.#admission.run(() => this.#serve(connection, offer), offer.group);
    offer.ended(error);
  }

  /** Null when the fetcher has everything. */
  async #serve(connection: FetcherConnection, offer: Offer): Promise<Error | null> {
    if (connection.socket.destroyed) return connection.cutError();
    connection.socket.setTimeout(this.#idleMs);
    let iterator: AsyncIterator<Uint8Array> | null = null;
    try {
      iterator = offer.source()[Symbol.asyncIterator]();
      for (;;) {
        // A source may hang; a connection that is cut meanwhile ends the transfer all the same.
        const result = await connection.unlessClosed(iterator.next());
        if (result === 'closed') throw connection.cutError();
        if (result.done === true) return await connection.finish();
        await connection.write(result.value);
        // A fast fetcher never makes this wait: without a pause datagrams and timers would, until the socket is full.
        await turn();
      }
    } catch (error) {
      iterator?.return?.().catch(() => undefined);
      return connection.fail(error);
    }
  }
}

/** The serving end of one connection, once its token is known. */
class FetcherConnection {
  readonly socket: Socket;
  readonly closed: Promise<'closed'>;
  #interrupt: (() => void) | null = null;
  #isFinishing = false;
  #fetcherHasAll = false;

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        resolve('closed');
        this.#interrupt?.();
      });
    });
    // A fetcher that closes its side has everything, or has given up.
    socket.on('end', () => {
      if (this.#isFinishing) this.#fetcherHasAll = true;
      else socket.destroy();
    });
    socket.resume();
  }

  cutError(): Error {
    return this.socket.errored ?? new LockstepError('unreachable', 'the fetcher closed the connection before the end');
  }

  /** A race with `closed` would keep every chunk that won one alive until the connection ends: the whole stream. */
  unlessClosed<Result>(work: Promise<Result>): Promise<Result | 'closed'> {
    return new Promise((resolve, reject) => {
      this.#interrupt = () => {
        resolve('closed');
      };
      if (this.socket.closed) this.#interrupt();
      work.then(resolve, reject);
    });
  }

  /** Waits while the fetcher doesn't read: back-pressure reaches the source. */
  async write(chunk: Uint8Array): Promise<void> {
    const { socket } = this;
    if (chunk.byteLength > maxChunkBytes) {
      throw new LockstepError(
        'change-too-large',
        `a chunk of ${chunk.byteLength} bytes is longer than ${maxChunkBytes}`,
      );
    }
    if (socket.destroyed) throw this.cutError();
    socket.cork();
    socket.write(frameHead('chunk', chunk.byteLength));
    socket.write(chunk);
    socket.uncork();
    if (!socket.writableNeedDrain) return;
    await drained(socket);
    if (socket.destroyed) throw this.cutError();
  }

  /** Null when the fetcher said that it read the end; a reset, silence or our own closing says that it didn't. */
  async finish(): Promise<Error | null> {
    this.#isFinishing = true;
    this.socket.end(frameHead('end', 0));
    await this.closed;
    return this.#fetcherHasAll && this.socket.errored === null ? null : this.cutError();
  }

  /** Tells the fetcher, when it is still there. */
  fail(error: unknown): Error {
    if (!this.socket.destroyed) this.socket.end(failedFrame(`the sender failed: ${errorText(error)}`));
    this.#isFinishing = true;
    return error instanceof Error ? error : new Error(errorText(error));
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      socket.off('drain', settle);
      socket.off('close', settle);
      resolve();
    };
    socket.on('drain', settle);
    socket.on('close', settle);
  });
}

/** The first line, or null when there is none worth reading. Stops reading there: the rest is not for us. */
function readToken(socket: Socket): Promise<string | null> {
  return new Promise((resolve) => {
    let read = Buffer.alloc(0);
    const settle = (token: string | null): void => {
      socket.off('data', onData);
      socket.off('close', onEnd);
      socket.off('end', onEnd);
      socket.pause();
      resolve(token);
    };
    const onData = (piece: Buffer): void => {
      read = Buffer.concat([read, piece]);
      const end = read.indexOf(10);
      if (end >= 0 && end <= maxTokenBytes) settle(read.subarray(0, end).toString());
      else if (read.byteLength > maxTokenBytes) settle(null);
    };
    const onEnd = (): void => {
      settle(null);
    };
    socket.on('data', onData);
    socket.on('close', onEnd);
    socket.on('end', onEnd);
  });
}
