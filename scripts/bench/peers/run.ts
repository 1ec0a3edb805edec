import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchOptions } from '../group.js';
import { repeats, spreadOf, type Figure } from '../measure.js';
import { compare, ratioFigure } from './compare.js';
import { etcd } from './etcd.js';
import { measureFullSync } from './full-sync.js';
import { jetStream } from './jetstream.js';
import { lockstep } from './lockstep.js';
import { copies, measureManyCopies } from './many-copies.js';
import type { Peer } from './peer.js';
import { redis } from './redis.js';

export interface PeersResult {
  readonly versions: readonly { readonly name: string; readonly version: string }[];
  /** Debian's packages of those that aren't installed. */
  readonly missing: readonly string[];
  readonly figures: readonly Figure[];
}

/** The same work on other products, as far as they are installed, in turns with Lockstep. */
export async function measurePeers(
  options: BenchOptions,
  settings: { readonly seconds: number; readonly keys: number; readonly say: (text: string) => void },
): Promise<PeersResult> {
  const installed: { readonly peer: Peer; readonly version: string }[] = [];
  const missing: string[] = [];
  for (const peer of [redis, etcd, jetStream]) {
    const version = await peer.version();
    if (version === null) {
      missing.push(peer.packageName);
      settings.say(`${peer.name} is not installed: apt-get install ${peer.packageName}`);
    } else installed.push({ peer, version });
  }
  const { seconds, say } = settings;
  const products = [lockstep(options), ...installed.map(({ peer }) => peer)];
  const figures = [...(await compare({ products, seconds, repeats, say }))];
  if (installed.some(({ peer }) => peer === redis)) figures.push(...(await besideRedis(options, settings)));
  return { versions: installed.map(({ peer, version }) => ({ name: peer.name, version })), missing, figures };
}

async function besideRedis(
  options: BenchOptions,
  { seconds, keys, say }: { readonly seconds: number; readonly keys: number; readonly say: (text: string) => void },
): Promise<readonly Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-peers-'));
  try {
    say(`${copies} copies`);
    const many = await measureManyCopies(options, { folder, seconds, repeats });
    say(`an empty copy of ${keys.toLocaleString('en')} keys`);
    const syncs = await measureFullSync(options, { folder, keys, repeats });
    const megabytes = (which: 'lockstep' | 'redis'): number[] => syncs[which].map((each) => each.megabytesPerSecond);
    const mebibytes = (which: 'lockstep' | 'redis'): number[] => syncs[which].map((each) => each.copyBytes / 1024 ** 2);
    return [
      ...pair(`processor time of the original for an update, ${copies} copies, batches of 1,000`, 'µs', many, {
        kind: 'at most',
        value: 0.5,
      }),
      ...pair('an empty copy comes to the whole state', 'MB/s', both(megabytes), { kind: 'at least', value: 2 }),
      ...pair('… memory of its process at most', 'MiB', both(mebibytes), { kind: 'at most', value: 1.2 }),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

interface Both {
  readonly lockstep: readonly number[];
  readonly redis: readonly number[];
}

function both(of: (which: 'lockstep' | 'redis') => readonly number[]): Both {
  return { lockstep: of('lockstep'), redis: of('redis') };
}

function pair(
  name: string,
  unit: Figure['unit'],
  values: Both,
  target: NonNullable<Figure['target']>,
): readonly Figure[] {
  const own = spreadOf(values.lockstep);
  const theirs = spreadOf(values.redis);
  return [
    { name: `${name}: Lockstep`, unit, spread: own },
    { name: `${name}: Redis`, unit, spread: theirs },
    ratioFigure('Redis', own.median / theirs.median, target),
  ];
}
