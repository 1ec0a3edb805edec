import type { Latencies } from '../tasks.js';

/** Several callers, each with one request of so many updates under way. */
export interface Load {
  readonly callers: number;
  readonly batch: number;
  readonly seconds: number;
}

/** A running group of one product: the same work for each, by the product's own means. */
export interface PeerGroup {
  /** Updates per second that three copies have acknowledged. */
  throughput(load: Load): Promise<number>;
  /** One update at a time, until three copies have acknowledged it. */
  latency(seconds: number): Promise<Latencies>;
  end(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** How the group keeps data: nowhere but in memory, or on disk before it acknowledges. */
  readonly storages: readonly Storage[];
  /** The product's version; null when it isn't installed. */
  version(): Promise<string | null>;
  /** Debian's. */
  readonly packageName: string;
  start(storage: Storage, folder: string): Promise<PeerGroup>;
}

export type Storage = 'memory' | 'disk';

/** Runs callers side by side until the time is over; the rate counts what was finished by the slowest of them. */
export async function rateOf(load: Load, request: (caller: number) => Promise<number>): Promise<number> {
  const startedMs = performance.now();
  const endMs = startedMs + load.seconds * 1000;
  let updates = 0;
  const caller = async (index: number): Promise<void> => {
    while (performance.now() < endMs) {
      // Not `updates += await …`, which adds to what the sum was before the others' requests ended.
      const done = await request(index);
      updates += done;
    }
  };
  await Promise.all(Array.from({ length: load.callers }, (_, index) => caller(index)));
  return updates / ((performance.now() - startedMs) / 1000);
}
