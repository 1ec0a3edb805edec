import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableText } from '../../../cli/table.js';
import { spreadOf, type Spread } from '../measure.js';
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

export interface PeerFigure {
  readonly work: string;
  readonly product: string;
  readonly unit: 'updates/s' | 'µs p50' | 'µs p99';
  readonly spread: Spread;
  /** Lockstep's median ÷ the product's, measured in turn in the same run; null for Lockstep itself. */
  readonly ratio: number | null;
  readonly target: { readonly kind: 'at least' | 'at most'; readonly ratio: number } | null;
}

export interface ComparedOptions {
  /** Lockstep first. */
  readonly products: readonly Peer[];
  readonly seconds: number;
  readonly repeats: number;
  readonly say: (text: string) => void;
}

/** Products take turns within each repeat, so that a slow minute of the machine slows all of them. */
export async function compare(options: ComparedOptions): Promise<readonly PeerFigure[]> {
  const figures: PeerFigure[] = [];
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
): Promise<readonly PeerFigure[]> {
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
  const units = work.kind === 'throughput' ? (['updates/s'] as const) : (['µs p50', 'µs p99'] as const);
  return units.flatMap((unit) => {
    const of = (name: string): Spread => spreadOf(samples.get(name)?.[unit === 'µs p99' ? 'p99' : 'p50'] ?? []);
    const [own] = groups.keys();
    return [...groups.keys()].map((product) =>
      figure(work, { unit, product, spread: of(product), own: of(own ?? '') }),
    );
  });
}

async function measureOnce(work: Work, group: PeerGroup, seconds: number): Promise<{ p50: number; p99: number }> {
  if (work.kind === 'throughput') {
    const rate = await group.throughput({ callers: work.callers, batch: work.batch, seconds });
    return { p50: rate, p99: rate };
  }
  const { p50Us, p99Us } = await group.latency(seconds);
  return { p50: p50Us, p99: p99Us };
}

function figure(
  work: Work,
  measured: { unit: PeerFigure['unit']; product: string; spread: Spread; own: Spread },
): PeerFigure {
  const { unit, product, spread, own } = measured;
  const wanted = work.targets[product];
  return {
    work: work.name,
    product,
    unit,
    spread,
    ratio: spread === own || product === 'Lockstep' ? null : own.median / spread.median,
    target: wanted === undefined ? null : { kind: work.kind === 'throughput' ? 'at least' : 'at most', ratio: wanted },
  };
}

export function isMet({ ratio, target }: PeerFigure): boolean {
  if (target === null || ratio === null) return true;
  return target.kind === 'at least' ? ratio >= target.ratio : ratio <= target.ratio;
}

export function peersText(figures: readonly PeerFigure[]): string {
  const shown = (value: number): string => Math.round(value).toLocaleString('en');
  let last = '';
  const rows = figures.map((each) => {
    const title = each.work === last ? '' : each.work;
    last = each.work;
    const verdict =
      each.target === null || each.ratio === null
        ? ''
        : `${isMet(each) ? '✓' : '✗'} ${each.target.kind} ${each.target.ratio}`;
    const { min, median, max } = each.spread;
    const ratio = each.ratio === null ? '' : each.ratio.toFixed(2);
    return [title, each.product, shown(min), shown(median), shown(max), each.unit, ratio, verdict];
  });
  return tableText(['', '', 'min', 'median', 'max', '', 'Lockstep ÷', ''], rows);
}
