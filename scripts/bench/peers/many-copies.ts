import { join } from 'node:path';
import type { BenchOptions } from '../group.js';
import { LargeGroup } from '../large-group.js';
import { batch, callers } from '../measure.js';
import { cpuUsOf } from './process-counts.js';
import { freePorts } from './program.js';
import { ask, RedisConnection, startServer } from './redis.js';

/** Thirty copies: what one update costs the process that has the original, in batches of a thousand. */
export const copies = 30;

export interface ManyCopies {
  /** Processor time of the master, or of the primary, for one update, microseconds. */
  readonly lockstep: readonly number[];
  readonly redis: readonly number[];
}

interface Original {
  /** Puts batches for so long; how many updates all copies have then acknowledged. */
  put(seconds: number): Promise<number>;
  cpuUs(): Promise<number>;
  end(): Promise<void>;
}

/** Both in turns; the first of each warms up. */
export async function measureManyCopies(
  options: BenchOptions,
  { folder, seconds, repeats }: { readonly folder: string; readonly seconds: number; readonly repeats: number },
): Promise<ManyCopies> {
  const started: Original[] = [];
  try {
    started.push(await startLockstep(options));
    started.push(await startRedis(folder));
    const costs: [number[], number[]] = [[], []];
    for (let repeat = 0; repeat <= repeats; repeat += 1) {
      for (const [which, original] of started.entries()) {
        const before = await original.cpuUs();
        const updates = await original.put(seconds);
        const cost = ((await original.cpuUs()) - before) / updates;
        if (repeat > 0) costs[which]?.push(cost);
      }
    }
    return { lockstep: costs[0], redis: costs[1] };
  } finally {
    for (const original of started) await original.end();
  }
}

async function startLockstep(options: BenchOptions): Promise<Original> {
  const group = await LargeGroup.start(options);
  await group.add(copies);
  const { version } = await group.master.ask('fill', { slaves: copies });
  await group.reached(version);
  return {
    async put(seconds) {
      const {
        updates,
        version: last,
        aborted,
        why,
      } = await group.master.ask('put', { ...{ callers, batch, seconds }, updates: 1e9 });
      if (aborted > 0) throw new Error(`${aborted} changes aborted (${why})`);
      await group.reached(last);
      return updates;
    },
    async cpuUs() {
      const { cpu } = await group.master.ask('sent', null);
      return cpu.userUs + cpu.systemUs;
    },
    end: () => group.end(),
  };
}

async function startRedis(folder: string): Promise<Original> {
  const [port = 0, ...ports] = await freePorts(1 + copies);
  const primary = startServer(port, 'memory', join(folder, 'many'));
  const programs = [primary];
  try {
    await primary.ready(async () => (await ask(port, 'PING')).includes('PONG'));
    for (const own of ports) {
      programs.push(startServer(own, 'memory', join(folder, 'many'), ['--replicaof', '127.0.0.1', String(port)]));
    }
    await primary.ready(async () => (await ask(port, 'INFO replication')).split('state=online').length > copies);
  } catch (error) {
    await Promise.all(programs.map((program) => program.end()));
    throw error;
  }
  let turn = 0;
  return {
    async put(seconds) {
      const connections = await Promise.all(Array.from({ length: callers }, () => RedisConnection.open(port)));
      const endMs = performance.now() + seconds * 1000;
      let updates = 0;
      await Promise.all(
        connections.map(async (connection) => {
          while (performance.now() < endMs) {
            const first = turn;
            turn += batch;
            await connection.put(
              Array.from({ length: batch }, (_, index) => first + index),
              copies,
            );
            updates += batch;
          }
          connection.end();
        }),
      );
      return updates;
    },
    cpuUs: () => cpuUsOf(primary.pid),
    async end() {
      await Promise.all(programs.map((program) => program.end()));
    },
  };
}
