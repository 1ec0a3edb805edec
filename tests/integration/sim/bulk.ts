import type { Address, Bulk } from '../../../shared/runtime/ports.js';
import type { SimProcess, Timeline } from './clock.js';
import type { SimNetwork } from './network.js';

/** How fast streams are. */
export interface BulkPace {
  readonly latencyMs: number;
  readonly bytesPerMs: number;
  /** A connection over a cut path fails after this. */
  readonly giveUpMs: number;
}

export const calmBulk: BulkPace = { latencyMs: 0.3, bytesPerMs: 100_000, giveUpMs: 1000 };

interface Offer {
  readonly server: SimProcess;
  readonly source: () => AsyncIterable<Uint8Array>;
  readonly ended: (error: Error | null) => void;
  readonly cancelExpiry: () => void;
}

/** Streams between simulated hosts. A cut path and the end of either process break them, as they break TCP. */
export class SimBulkNetwork {
  readonly #timeline: Timeline;
  readonly #network: SimNetwork;
  readonly #offers = new Map<string, Offer>();
  readonly #streams = new Set<Stream>();
  #pace: BulkPace = calmBulk;

  constructor(options: { readonly timeline: Timeline; readonly network: SimNetwork }) {
    this.#timeline = options.timeline;
    this.#network = options.network;
  }

  become(pace: Partial<BulkPace>): void {
    this.#pace = { ...this.#pace, ...pace };
  }

  heal(): void {
    this.#pace = calmBulk;
  }

  attach(process: SimProcess): Bulk {
    const port = this.#network.takePort();
    const host = this.#network.hostOf(process.node);
    const address = `${host}:${port}`;
    let open = true;
    const shut = (why: string): void => {
      open = false;
      for (const [key, offer] of this.#offers) {
        if (offer.server !== process) continue;
        this.#offers.delete(key);
        offer.cancelExpiry();
        process.later(this.#timeline.nowMs, () => {
          offer.ended(new Error(why));
        });
      }
      for (const stream of [...this.#streams]) {
        if (stream.client === process || stream.server === process) stream.break(new Error(why));
      }
    };
    process.onEnd(() => {
      shut('the connection was reset');
    });
    return {
      port,
      offer: (token, source, ttlMs, ended) => {
        const key = `${address} ${token}`;
        const cancelExpiry = process.later(this.#timeline.nowMs + ttlMs, () => {
          if (!this.#offers.delete(key)) return;
          ended(new Error('nobody fetched it in time'));
        });
        this.#offers.set(key, { server: process, source, ended, cancelExpiry });
      },
      fetch: (from, token, signal) => {
        const stream = new Stream({
          timeline: this.#timeline,
          pace: () => this.#pace,
          client: process,
          signal,
          connect: () => (open ? this.#connect(from, token) : 'closed'),
          isCut: (server) => this.#network.isCut(process.node, server) || this.#network.isCut(server, process.node),
          serverOf: () => this.#network.nodeAt(hostPart(from)),
        });
        this.#streams.add(stream);
        stream.onEnd(() => this.#streams.delete(stream));
        return stream;
      },
      close: async () => {
        shut('the node closed');
      },
    };
  }

  #connect(address: Address, token: string): Offer | 'unknown' {
    const key = `${address} ${token}`;
    const offer = this.#offers.get(key);
    if (offer === undefined || !offer.server.alive) return 'unknown';
    this.#offers.delete(key);
    offer.cancelExpiry();
    return offer;
  }
}

function hostPart(address: Address): string {
  return address.slice(0, address.lastIndexOf(':'));
}

interface StreamParts {
  readonly timeline: Timeline;
  readonly pace: () => BulkPace;
  readonly client: SimProcess;
  readonly signal: AbortSignal;
  readonly connect: () => Offer | 'unknown' | 'closed';
  readonly isCut: (serverNode: string) => boolean;
  readonly serverOf: () => string | null;
}

/**
 * One fetch. Each `next` of the fetcher crosses to the server, pulls one chunk from the source and crosses back: nothing
 * is read ahead, so that back-pressure reaches the source.
 */
class Stream implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #parts: StreamParts;
  readonly #endings: (() => void)[] = [];
  #offer: Offer | null = null;
  #source: AsyncIterator<Uint8Array> | null = null;
  #state: 'new' | 'open' | 'ended' = 'new';
  #error: Error | null = null;
  #waiter: { resolve(result: IteratorResult<Uint8Array>): void; reject(error: Error): void } | null = null;

  constructor(parts: StreamParts) {
    this.#parts = parts;
    parts.signal.addEventListener(
      'abort',
      () => {
        this.break(new Error('the fetch was cancelled'));
      },
      { once: true },
    );
  }

  get client(): SimProcess {
    return this.#parts.client;
  }

  get server(): SimProcess | null {
    return this.#offer?.server ?? null;
  }

  onEnd(ending: () => void): void {
    this.#endings.push(ending);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#parts.signal.aborted) this.break(new Error('the fetch was cancelled'));
      if (this.#state === 'ended') {
        if (this.#error === null) resolve({ done: true, value: undefined });
        else reject(this.#error);
        return;
      }
      this.#waiter = { resolve, reject };
      this.#cross(() => {
        this.#pull();
      });
    });
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.break(new Error('the fetcher stopped'));
    return { done: true, value: undefined };
  }

  /** Cut: both ends learn it, each while it lives. */
  break(error: Error): void {
    if (this.#state === 'ended') return;
    this.#end(error);
    const source = this.#source;
    const offer = this.#offer;
    if (offer === null) return;
    offer.server.later(this.#parts.timeline.nowMs + this.#parts.pace().latencyMs, () => {
      void source?.return?.().catch(() => undefined);
      offer.ended(error);
    });
  }

  #end(error: Error | null): void {
    this.#state = 'ended';
    this.#error = error;
    for (const ending of this.#endings) ending();
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) return;
    this.#parts.client.later(this.#parts.timeline.nowMs, () => {
      if (error === null) waiter.resolve({ done: true, value: undefined });
      else waiter.reject(error);
    });
  }

  /** One way through the network, unless it is cut. */
  #cross(arrived: () => void, bytes = 0): void {
    const { latencyMs, bytesPerMs, giveUpMs } = this.#parts.pace();
    const serverNode = this.#parts.serverOf();
    if (serverNode !== null && this.#parts.isCut(serverNode)) {
      this.#parts.timeline.after(giveUpMs, () => {
        this.break(new Error('the connection timed out'));
      });
      return;
    }
    this.#parts.timeline.after(latencyMs + bytes / bytesPerMs, () => {
      if (this.#state !== 'ended') arrived();
    });
  }

  #pull(): void {
    if (this.#offer === null && !this.#open()) return;
    const server = this.server;
    if (server === null) return;
    server.run(() => {
      const source = this.#source;
      if (source === null || this.#state === 'ended') return;
      source.next().then(
        (result) => {
          server.run(() => {
            this.#pulled(result);
          });
        },
        (error: unknown) => {
          server.run(() => {
            this.break(error instanceof Error ? error : new Error(String(error)));
          });
        },
      );
    });
  }

  #open(): boolean {
    const found = this.#parts.connect();
    if (found === 'unknown' || found === 'closed') {
      this.#end(new Error(found === 'closed' ? 'the node closed' : 'the token is unknown there'));
      return false;
    }
    this.#offer = found;
    this.#state = 'open';
    this.#source = found.source()[Symbol.asyncIterator]();
    return true;
  }

  #pulled(result: IteratorResult<Uint8Array>): void {
    if (this.#state === 'ended') return;
    if (result.done === true) {
      this.#offer?.ended(null);
      this.#offer = null;
      this.#cross(() => {
        this.#end(null);
      });
      return;
    }
    const bytes = Uint8Array.from(result.value);
    this.#cross(() => {
      const waiter = this.#waiter;
      this.#waiter = null;
      this.#parts.client.run(() => {
        waiter?.resolve({ done: false, value: bytes });
      });
    }, bytes.byteLength);
  }
}
