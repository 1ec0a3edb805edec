import { join as joinPath } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { entryBytes, join, withOneCopy } from '../catch-up.js';
import type { BenchOptions } from '../group.js';
import { valueOf } from '../values.js';
import { peakBytesOf } from './process-counts.js';
import { freePorts, type Program } from './program.js';
import { ask, RedisConnection, setCommand, startServer } from './redis.js';

/** An empty copy that comes to a large state. */
interface FullSync {
  readonly megabytesPerSecond: number;
  /** The most memory that the new copy's process had. */
  readonly copyBytes: number;
}

export interface FullSyncs {
  readonly lockstep: readonly FullSync[];
  readonly redis: readonly FullSync[];
}

const loadBatch = 1000;
const pollMs = 2;
const syncWithinMs = 120_000;

/** Lockstep under live changes (a hundred a second), Redis without any; in turns, the first of each warms up. */
export async function measureFullSync(
  options: BenchOptions,
  { folder, keys, repeats }: { readonly folder: string; readonly keys: number; readonly repeats: number },
): Promise<FullSyncs> {
  const group = await withOneCopy(options, keys);
  const lockstep: FullSync[] = [];
  const redis: FullSync[] = [];
  try {
    const [port = 0] = await freePorts(1);
    const primary = startServer(port, 'memory', joinPath(folder, 'sync'));
    try {
      await primary.ready(async () => (await ask(port, 'PING')).includes('PONG'));
      await load(port, keys);
      for (let repeat = 0; repeat <= repeats; repeat += 1) {
        const run = await join(group, keys, 1);
        const own = { megabytesPerSecond: rate(keys, run.seconds), copyBytes: run.slave.peakRssBytes };
        const theirs = await syncOne(port, { folder, keys });
        if (repeat === 0) continue;
        lockstep.push(own);
        redis.push(theirs);
      }
    } finally {
      await primary.end();
    }
  } finally {
    await group.end();
  }
  return { lockstep, redis };
}

async function load(port: number, keys: number): Promise<void> {
  const connection = await RedisConnection.open(port);
  for (let key = 0; key < keys; key += loadBatch) {
    const commands = Array.from({ length: Math.min(loadBatch, keys - key) }, (_, index) =>
      setCommand(`key-${String(key + index).padStart(8, '0')}`, valueOf(key + index)),
    );
    await connection.send(commands, 0);
  }
  connection.end();
}

/** As for Lockstep, the clock runs from the moment that the new copy's process is told, until it holds all keys. */
async function syncOne(
  primaryPort: number,
  { folder, keys }: { readonly folder: string; readonly keys: number },
): Promise<FullSync> {
  const [port = 0] = await freePorts(1);
  const replica: Program = startServer(port, 'memory', joinPath(folder, 'sync'));
  try {
    await replica.ready(async () => (await ask(port, 'PING')).includes('PONG'));
    const startedMs = performance.now();
    await ask(port, `REPLICAOF 127.0.0.1 ${primaryPort}`);
    while (!(await isSynced(port, keys))) {
      if (performance.now() - startedMs > syncWithinMs) throw new Error('the replica was not in step in time');
      await pause(pollMs);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    return { megabytesPerSecond: rate(keys, seconds), copyBytes: await peakBytesOf(replica.pid) };
  } finally {
    await replica.end();
  }
}

async function isSynced(port: number, keys: number): Promise<boolean> {
  const size = await ask(port, 'DBSIZE');
  if (size.trim() !== `:${keys}`) return false;
  return (await ask(port, 'INFO replication')).includes('master_link_status:up');
}

function rate(keys: number, seconds: number): number {
  return (keys * entryBytes) / seconds / 1e6;
}
