import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spreadOf, type Figure, type Spread } from '../measure.js';
import type { Peer, PeerGroup, Storage } from './peer.js';

interface Work {
  readonly name: string;
  readonly storage: Storage;
  readonly kind: 'throughput' | 'latency';
  readonly callers: number;
  readonly batch: number;
  /** What Lockstep's figure should be, as a multiple of the peer's. Rates at least, times at most. */
  readonly targets: Readonly<Record<string, number>>;
}

/** The same work for each product, with values of one size on the same keys. */
const works: readonly Work[] = [
  {
    name: 'in memory, batches of 1,000',
    storage: 'memory',
    kind: 'throughput',
    callers: 4,
    batch: 1000,
    targets: { Redis: 2 },
  },
  {
    name: 'in memory, one update a change, 64 callers',
    storage: 'memory',
    kind: 'throughput',
    callers: 64,
    batch: 1,
    targets: { Redis: 2 },
  },
  {
    name: 'in memory, one update at a time',
    storage: 'memory',
    kind: 'latency',
    callers: 1,
    batch: 1,
    targets: { Redis: 1.25, 'NATS JetStream R3': 0.6 },
  },
  {
    name: 'on disk everywhere, batches of 100',
    storage: 'disk',
    kind: 'throughput',
    callers: 4,
    batch: 100,
    targets: { Redis: 2, etcd: 3, 'NATS JetStream R3': 2.5 },
  },
  {
    name: 'on disk everywhere, one update at a time',
    storage: 'disk',
    kind: 'latency',
    callers: 1,
    batch: 1,
    targets: { Redis: 1, etcd: 0.7 },
  },
];

export interface ComparedOptions {
  /** Lockstep first. */
  readonly products: readonly Peer[];
  readonly seconds: number;
  readonly repeats: number;
  readonly say: (text: string) => void;
}

/** Products take turns within each repeat, so that a slow minute of the machine slows all of them. */
export async function compare(options: ComparedOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const storage of ['memory', 'disk'] as const) {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-peers-'));
    const groups = new Map<string, PeerGroup>();
    try {
      for (const product of options.products) {
        if (!product.storages.includes(storage)) continue;
        options.say(`starting ${product.name}, ${storage === 'disk' ? 'on disk' : 'in memory'}`);
        groups.set(product.name, await product.start(storage, join(folder, product.packageName)));
      }
      for (const work of works.filter((each) => each.storage === storage)) {
        figures.push(...(await measureWork(work, groups, options)));
      }
    } finally {
      await Promise.all([...groups.values()].map((group) => group.end()));
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    }
  }
  return figures;
}

async function measureWork(
  work: Work,
  groups: ReadonlyMap<string, PeerGroup>,
  { seconds, repeats, say }: ComparedOptions,
): Promise<readonly Figure[]> {
  say(work.name);
  const samples = new Map([...groups.keys()].map((name) => [name, { p50: [] as number[], p99: [] as number[] }]));
  for (let repeat = 0; repeat <= repeats; repeat += 1) {
    for (const [name, group] of groups) {
      const sample = samples.get(name);
      const measured = await measureOnce(work, group, seconds);
      // The first one warms up.
      if (repeat === 0 || sample === undefined) continue;
      sample.p50.push(measured.p50);
      sample.p99.push(measured.p99);
    }
  }
  const [own] = groups.keys();
  const of = (name: string | undefined, which: 'p50' | 'p99'): Spread =>
    spreadOf(samples.get(name ?? '')?.[which] ?? []);
  const whiches = work.kind === 'throughput' ? (['p50'] as const) : (['p50', 'p99'] as const);
  return whiches.flatMap((which) => {
    const suffix = work.kind === 'throughput' ? '' : `, ${which}`;
    return [...groups.keys()].flatMap((product) => [
      {
        name: `${work.name}${suffix}: ${product}`,
        unit: work.kind === 'throughput' ? ('updates/s' as const) : ('µs' as const),
        spread: of(product, which),
      },
      ...(product === own
        ? []
        : [ratioFigure(product, of(own, which).median / of(product, which).median, targetOf(work, product))]),
    ]);
  });
}

/** Lockstep's median ÷ the product's, measured in turns in the same run. */
export function ratioFigure(product: string, ratio: number, target: Figure['target']): Figure {
  const spread = spreadOf([ratio]);
  return { name: `… Lockstep ÷ ${product}`, unit: 'ratio', spread, ...(target === undefined ? {} : { target }) };
}

function targetOf(work: Work, product: string): Figure['target'] {
  const value = work.targets[product];
  return value === undefined ? undefined : { kind: work.kind === 'throughput' ? 'at least' : 'at most', value };
}

async function measureOnce(work: Work, group: PeerGroup, seconds: number): Promise<{ p50: number; p99: number }> {
  if (work.kind === 'throughput') {
    const rate = await group.throughput({ callers: work.callers, batch: work.batch, seconds });
    return { p50: rate, p99: rate };
  }
  const { p50Us, p99Us } = await group.latency(seconds);
  return { p50: p50Us, p99: p99Us };
}
