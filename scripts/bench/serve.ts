import { performance } from 'node:perf_hooks';
import type { Answer, Ask, Cpu, Latencies, Sample, Tasks } from './tasks.js';

type Handlers<Table extends Tasks<Table>> = {
  readonly [Name in keyof Table]: (ask: Ask<Table, Name>) => Promise<Answer<Table, Name>> | Answer<Table, Name>;
};

/** Answers the tasks of the parent over the IPC channel, and ends with it. */
export function serve<Table extends Tasks<Table>>(handlers: Handlers<Table>): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message: { readonly id: number; readonly name: keyof Table; readonly ask: never }) => {
    Promise.resolve()
      .then(() => handlers[message.name](message.ask))
      .then(
        (answer) => process.send?.({ id: message.id, answer }),
        (error: unknown) =>
          process.send?.({ id: message.id, error: error instanceof Error ? error.stack : String(error) }),
      );
  });
}

export function cpuUs(): number {
  const { userUs, systemUs } = cpu();
  return userUs + systemUs;
}

/** As the operating system counts it. */
export function cpu(): Cpu {
  const { user, system } = process.cpuUsage();
  return { userUs: user, systemUs: system };
}

/** After a collection where the process allows one (`--expose-gc`), so that only what is held counts. */
export function sampleMemory(): Sample {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed, externalBytes: external };
}

const mostTimes = 200_000;

/** Repeats one thing until the time is over, at most so often, and tells how long it took. */
export async function timeEach(seconds: number, work: () => Promise<void>, most = mostTimes): Promise<Latencies> {
  const times = new Float64Array(most);
  const endMs = performance.now() + seconds * 1000;
  let count = 0;
  for (; count < most; count += 1) {
    const startedMs = performance.now();
    if (startedMs >= endMs) break;
    await work();
    times[count] = performance.now() - startedMs;
  }
  const sorted = times.subarray(0, count).sort();
  return { count, p50Us: percentileUs(sorted, 0.5), p99Us: percentileUs(sorted, 0.99) };
}

export function percentileUs(sorted: Float64Array, share: number): number {
  const at = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return Math.round(at * 1000);
}

/** One clock for all processes of the machine, which none of them may set. */
export function machineUs(): number {
  return Number(process.hrtime.bigint()) / 1000;
}
