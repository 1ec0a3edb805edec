import { encodeSegment } from '../../shared/protocol/key-value/change-codec.js';
import { checkOperations } from '../../shared/protocol/key-value/validate.js';
import { slaveCount, type BenchGroup, type RawGroup } from './group.js';
import { workload, type Sample } from './tasks.js';

/** Of the repeats of one figure. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export interface Figure {
  readonly name: string;
  readonly unit: 'updates/s' | 'keys/s' | 'MB/s' | 'µs' | 'ms' | 's' | 'packets' | 'B' | 'KiB' | 'MiB' | 'ratio';
  readonly spread: Spread;
  /** What it should be, when somebody promised it. */
  readonly target?: { readonly kind: 'at least' | 'at most'; readonly value: number };
  readonly note?: string;
}

export const repeats = 3;
export const callers = 8;
export const batch = 1000;
const unlimited = Number.MAX_SAFE_INTEGER;

/** Until the code is compiled that runs most, whichever comes first; of a short run a few times its length. */
const warmUp = { seconds: 10, singles: 15_000, updates: 500_000 } as const;

function warmUpSeconds(seconds: number): number {
  return Math.min(warmUp.seconds, 4 * seconds);
}

export interface ThroughputResult {
  readonly updatesPerSecond: readonly number[];
  readonly aborted: number;
}

/**
 * From the moment that the master is asked, until the slowest slave has told that it exposes the last version: nothing
 * counts that isn't in every copy.
 */
export async function measureThroughput(bench: BenchGroup, seconds: number): Promise<ThroughputResult> {
  await putAndExpose(bench, { seconds: warmUpSeconds(seconds), updates: warmUp.updates });
  const updatesPerSecond: number[] = [];
  let aborted = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const run = await putAndExpose(bench, { seconds, updates: unlimited });
    updatesPerSecond.push(run.updates / run.seconds);
    aborted += run.aborted;
  }
  await bench.assertEqual();
  return { updatesPerSecond, aborted };
}

export interface SecurityResult {
  /** One of each, in turn: what else the machine does meets both alike. */
  readonly plain: readonly number[];
  readonly keyed: readonly number[];
  readonly aborted: number;
}

const securityRepeats = 5;

export async function measureSecurity(plain: BenchGroup, keyed: BenchGroup, seconds: number): Promise<SecurityResult> {
  const groups = [plain, keyed] as const;
  for (const group of groups) await putAndExpose(group, { seconds: warmUpSeconds(seconds), updates: warmUp.updates });
  const rates: [number[], number[]] = [[], []];
  let aborted = 0;
  for (let repeat = 0; repeat < securityRepeats; repeat += 1) {
    for (const which of [0, 1] as const) {
      const run = await putAndExpose(groups[which], { seconds, updates: unlimited });
      rates[which].push(run.updates / run.seconds);
      aborted += run.aborted;
    }
  }
  for (const group of groups) await group.assertEqual();
  return { plain: rates[0], keyed: rates[1], aborted };
}

export interface LatencyResult {
  readonly decidedP50Us: readonly number[];
  readonly decidedP99Us: readonly number[];
  readonly exposedP50Us: readonly number[];
  readonly exposedP99Us: readonly number[];
  readonly updates: number;
}

export async function measureLatency(bench: BenchGroup, seconds: number): Promise<LatencyResult> {
  const result = {
    decidedP50Us: [] as number[],
    decidedP99Us: [] as number[],
    exposedP50Us: [] as number[],
    exposedP99Us: [] as number[],
  };
  let updates = 0;
  await bench.master.ask('single', { seconds: warmUpSeconds(seconds), wait: 'decided', most: warmUp.singles });
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const decided = await bench.master.ask('single', { seconds, wait: 'decided' });
    result.decidedP50Us.push(decided.p50Us);
    result.decidedP99Us.push(decided.p99Us);
    const exposed = await bench.master.ask('single', { seconds, wait: 'exposed' });
    result.exposedP50Us.push(exposed.p50Us);
    result.exposedP99Us.push(exposed.p99Us);
    updates += decided.count + exposed.count;
  }
  await bench.assertEqual();
  return { ...result, updates };
}

export interface MemoryResult {
  readonly updates: number;
  readonly updatesPerSecond: number;
  /** At a twentieth of the way (by then every bounded buffer is full), half way, and at the end. */
  readonly start: Sample;
  readonly middle: Sample;
  readonly end: Sample;
}

export async function measureMemory(bench: BenchGroup, updates: number): Promise<MemoryResult> {
  const startedMs = performance.now();
  const parts = [0.05, 0.45, 0.5];
  const samples: Sample[] = [];
  let done = 0;
  for (const part of parts) {
    const run = await putAndExpose(bench, { seconds: 600, updates: Math.ceil(updates * part) });
    done += run.updates;
    samples.push(await bench.master.ask('memory', null));
  }
  const [start, middle, end] = samples;
  if (start === undefined || middle === undefined || end === undefined) throw new Error('a sample is missing');
  const seconds = (performance.now() - startedMs) / 1000;
  return { updates: done, updatesPerSecond: done / seconds, start, middle, end };
}

export interface RawResult {
  readonly updatesPerSecond: readonly number[];
  readonly roundTripP50Us: readonly number[];
  readonly roundTripP99Us: readonly number[];
  readonly datagramBytes: number;
  readonly datagramsPerSecond: readonly number[];
  readonly lostShare: number;
}

/** The bytes of the same batches, and of one such update, through the same sockets without any protocol. */
export async function measureRaw(raw: RawGroup, seconds: number): Promise<RawResult> {
  const receivers = slaveCount;
  const flood = { receivers, messageBytes: changeBytes(batch) };
  const single = { receivers, bytes: changeBytes(1) };
  await raw.sender.ask('flood', { ...flood, seconds: Math.min(0.5, seconds) });
  const updatesPerSecond: number[] = [];
  const datagramsPerSecond: number[] = [];
  const roundTripP50Us: number[] = [];
  const roundTripP99Us: number[] = [];
  let datagramBytes = 0;
  let sent = 0;
  let lost = 0;
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const run = await raw.sender.ask('flood', { ...flood, seconds });
    updatesPerSecond.push((run.messages * batch) / run.seconds);
    datagramsPerSecond.push((run.datagrams - run.lost) / run.seconds);
    datagramBytes = run.datagramBytes;
    sent += run.datagrams;
    lost += run.lost;
    const trips = await raw.sender.ask('roundTrips', { ...single, seconds });
    roundTripP50Us.push(trips.p50Us);
    roundTripP99Us.push(trips.p99Us);
  }
  return {
    updatesPerSecond,
    roundTripP50Us,
    roundTripP99Us,
    datagramBytes,
    datagramsPerSecond,
    lostShare: lost / sent,
  };
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { min: sorted[0] ?? 0, median: sorted[Math.floor(sorted.length / 2)] ?? 0, max: sorted.at(-1) ?? 0 };
}

async function putAndExpose(
  bench: BenchGroup,
  bound: { readonly seconds: number; readonly updates: number },
): Promise<{ readonly updates: number; readonly seconds: number; readonly aborted: number }> {
  const startedMs = performance.now();
  const { updates, version, aborted } = await bench.master.ask('put', { callers, batch, ...bound });
  await bench.reached(version);
  return { updates, seconds: (performance.now() - startedMs) / 1000, aborted };
}

/** What a change of so many puts has on the wire, without the headers. */
export function changeBytes(puts: number): number {
  const value = 'x'.repeat(workload.valueBytes);
  const operations = Array.from({ length: puts }, (_, index) => ({
    put: [`key-${String(index).padStart(6, '0')}`, value] as const,
  }));
  return encodeSegment(checkOperations(operations).columns).length;
}
