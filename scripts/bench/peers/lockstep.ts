import { BenchGroup, type BenchOptions } from '../group.js';
import type { Latencies } from '../tasks.js';
import type { Load, Peer, PeerGroup } from './peer.js';

const unlimited = Number.MAX_SAFE_INTEGER;

/** A master and three slaves; a change counts when the slowest slave exposes it. */
export function lockstep(options: BenchOptions): Peer {
  return {
    name: 'Lockstep',
    packageName: 'lockstep',
    storages: ['memory', 'disk'],
    version: () => Promise.resolve('this checkout'),
    start: async (storage) => new LockstepGroup(await BenchGroup.start({ ...options, durability: storage })),
  };
}

class LockstepGroup implements PeerGroup {
  readonly #bench: BenchGroup;

  constructor(bench: BenchGroup) {
    this.#bench = bench;
  }

  async throughput(load: Load): Promise<number> {
    const startedMs = performance.now();
    const { updates, version, aborted, why } = await this.#bench.master.ask('put', { ...load, updates: unlimited });
    await this.#bench.reached(version);
    if (aborted > 0) throw new Error(`${aborted} changes aborted (${why})`);
    return updates / ((performance.now() - startedMs) / 1000);
  }

  latency(seconds: number): Promise<Latencies> {
    return this.#bench.master.ask('single', { seconds, wait: 'decided' });
  }

  async end(): Promise<void> {
    await this.#bench.assertEqual();
    await this.#bench.end();
  }
}
