import { setTimeout as pause } from 'node:timers/promises';
import { shares, type BenchOptions } from './group.js';
import { LargeGroup } from './large-group.js';
import { repeats, spreadOf, type Figure } from './measure.js';
import { workload, type LiveChanges, type MemoryPeak } from './tasks.js';

/** The promises: of live changes while a snapshot streams, and of the master's memory. */
const targets = { liveP99: 2, masterMemory: 1.2 } as const;

const livePerSecond = 100;
const fillMs = 300_000;

/** Slaves that come to a state, while it changes. */
export interface CatchUpRun {
  readonly keys: number;
  readonly slaves: number;
  /** Until each new copy shows all keys. */
  readonly seconds: number;
  readonly live: LiveChanges;
  readonly master: MemoryPeak;
  /** Of the process with the first of them, and how many share it. */
  readonly slave: MemoryPeak;
  readonly perProcess: number;
  /** Streams that the slaves took: more than one each says that one was cut. */
  readonly snapshots: number;
}

export interface CatchUpResult {
  readonly idle: LiveChanges;
  /** One empty slave to the large state, again and again. */
  readonly one: readonly CatchUpRun[];
  /** Many at once to a smaller one: by a snapshot, since the history is short, and by deltas. */
  readonly manyBySnapshot: CatchUpRun;
  readonly manyByDeltas: CatchUpRun;
}

/** Too short for the smallest state that is measured. */
const shortHistoryBytes = 16 * 1024;

export async function measureCatchUp(
  options: BenchOptions,
  {
    keys,
    slaves,
    seconds,
    say,
  }: { readonly keys: number; readonly slaves: number; readonly seconds: number; readonly say: (text: string) => void },
): Promise<CatchUpResult> {
  say(`catch-up: ${keys} keys to one empty slave`);
  const large = await withOneCopy(options, keys);
  const idle = await liveWhile(large, keys, () => pause(seconds * 1000));
  const one: CatchUpRun[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) one.push(await join(large, keys, 1));
  await large.end();
  const fewer = Math.max(1, Math.floor(keys / 50));
  say(`catch-up: ${fewer} keys to ${slaves} empty slaves at once`);
  const many: CatchUpRun[] = [];
  for (const settings of [{ historyBytes: shortHistoryBytes }, {}]) {
    const small = await withOneCopy(options, fewer, settings);
    many.push(await join(small, fewer, slaves));
    await small.end();
  }
  const [manyBySnapshot, manyByDeltas] = many;
  if (manyBySnapshot === undefined || manyByDeltas === undefined) throw new Error('a run is missing');
  return { idle, one, manyBySnapshot, manyByDeltas };
}

/** A master with its state, and a slave that votes. */
export async function withOneCopy(
  options: BenchOptions,
  keys: number,
  settings: { readonly historyBytes?: number } = {},
): Promise<LargeGroup> {
  const group = await LargeGroup.start(options, settings);
  await group.add(1);
  const { version } = await group.master.ask('load', { keys, slaves: 1 });
  await group.reached(version);
  return group;
}

async function liveWhile(group: LargeGroup, keys: number, work: () => Promise<unknown>): Promise<LiveChanges> {
  await group.master.ask('beginLive', { keys, perSecond: livePerSecond });
  await work();
  return group.master.ask('endLive', null);
}

export async function join(group: LargeGroup, keys: number, slaves: number): Promise<CatchUpRun> {
  const before = (await group.accounts()).reduce((sum, { snapshots }) => sum + snapshots, 0);
  const started = group.spawn(shares(slaves).length);
  const [first] = started;
  if (first === undefined) throw new Error('no process was started');
  await Promise.all([group.master.ask('watchMemory', null), first.ask('watchMemory', null)]);
  let tookSeconds = 0;
  const live = await liveWhile(group, keys, async () => {
    const startedMs = performance.now();
    await group.add(slaves, started);
    await Promise.all(started.map((child) => child.ask('filled', { keys, timeoutMs: fillMs })));
    tookSeconds = (performance.now() - startedMs) / 1000;
  });
  const [master, slave] = await Promise.all([group.master.ask('peakMemory', null), first.ask('peakMemory', null)]);
  await group.reached(live.version);
  await group.assertEqual();
  const after = (await group.accounts()).reduce((sum, { snapshots }) => sum + snapshots, 0);
  const perProcess = shares(slaves)[0] ?? 1;
  return { keys, slaves, seconds: tookSeconds, live, master, slave, perProcess, snapshots: after - before };
}

// ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Of one entry, as it counts here: the key and the value. */
export const entryBytes = workload.valueBytes + 'key-00000000'.length;
const mebibyte = 1024 ** 2;

export function catchUpFigures({ idle, one, manyBySnapshot, manyByDeltas }: CatchUpResult): readonly Figure[] {
  const idleP99 = idle.p99Us;
  return [
    ...runFigures('an empty slave', one),
    ...runFigures(`${manyBySnapshot.slaves} empty slaves at once by snapshot, in all`, [manyBySnapshot]),
    ...runFigures(`${manyByDeltas.slaves} empty slaves at once by deltas, in all`, [manyByDeltas]),
    { name: 'a live change when idle: p50', unit: 'µs', spread: spreadOf([idle.p50Us]) },
    { name: '… p99', unit: 'µs', spread: spreadOf([idleP99]) },
    {
      name: 'a live change while a snapshot streams ÷ idle, p99',
      unit: 'ratio',
      spread: spreadOf([spreadOf(one.map(({ live }) => live.p99Us)).median / idleP99]),
      target: { kind: 'at most', value: targets.liveP99 },
    },
    {
      name: "master's RSS while a snapshot streams ÷ before",
      unit: 'ratio',
      spread: spreadOf([
        spreadOf(one.map(({ master }) => master.peakRssBytes)).median /
          spreadOf(one.map(({ master }) => master.start.rssBytes)).median,
      ]),
      target: { kind: 'at most', value: targets.masterMemory },
    },
  ];
}

function runFigures(name: string, runs: readonly CatchUpRun[]): readonly Figure[] {
  const of = (value: (run: CatchUpRun) => number): Figure['spread'] => spreadOf(runs.map(value));
  const [run] = runs;
  if (run === undefined) return [];
  const live = runs.reduce((sum, each) => sum + each.live.committed, 0);
  const aborted = runs.reduce((sum, each) => sum + each.live.aborted, 0);
  const streams = `${run.snapshots} snapshots taken by ${run.slaves}`;
  return [
    {
      name: `${name}: ${run.keys.toLocaleString('en')} keys of ${workload.valueBytes} B`,
      unit: 'keys/s',
      spread: of(({ keys, slaves, seconds }) => (keys * slaves) / seconds),
      note: streams,
    },
    {
      name: '…',
      unit: 'MB/s',
      spread: of(({ keys, slaves, seconds }) => (keys * slaves * entryBytes) / seconds / 1e6),
    },
    { name: '… until shown', unit: 's', spread: of(({ seconds }) => seconds) },
    {
      name: '… live changes meanwhile: p99',
      unit: 'µs',
      spread: of((each) => each.live.p99Us),
      note: `${live} committed, ${aborted} aborted`,
    },
    { name: "… master's RSS before", unit: 'MiB', spread: of(({ master }) => master.start.rssBytes / mebibyte) },
    { name: '… at most', unit: 'MiB', spread: of(({ master }) => master.peakRssBytes / mebibyte) },
    {
      name: '… its buffers, more than before',
      unit: 'MiB',
      spread: of(({ master }) => (master.peakExternalBytes - master.start.externalBytes) / mebibyte),
    },
    {
      name: "… the slave's process: RSS at most",
      unit: 'MiB',
      spread: of(({ slave }) => slave.peakRssBytes / mebibyte),
      ...(run.perProcess > 1 ? { note: `${run.perProcess} slaves in it` } : {}),
    },
    { name: '… after a collection', unit: 'MiB', spread: of(({ slave }) => slave.end.rssBytes / mebibyte) },
    {
      name: '… its buffers, more than before',
      unit: 'MiB',
      spread: of(({ slave }) => (slave.peakExternalBytes - slave.start.externalBytes) / mebibyte),
    },
  ];
}
