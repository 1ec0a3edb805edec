import { RawGroup, type BenchOptions } from './group.js';
import { LargeGroup } from './large-group.js';
import { batch, callers, changeBytes, repeats } from './measure.js';
import { multicastSent } from './system-counts.js';
import type { Cpu, Sample } from './tasks.js';

/** What left the master, and what it cost, in one repeat. */
export interface FanOutRun {
  readonly updates: number;
  /** Versions: a round may hold the changes of several callers. */
  readonly rounds: number;
  readonly seconds: number;
  readonly packets: number;
  readonly bytes: number;
  /** Datagrams that came. */
  readonly received: number;
  /** Of those sent by multicast, as the operating system counted them; of the whole machine. Null where it doesn't tell. */
  readonly systemPackets: number | null;
  readonly cpu: Cpu;
}

export interface FanOutOf {
  readonly slaves: number;
  /** A thousand updates a change, several changes at once, as fast as it goes. */
  readonly batches: readonly FanOutRun[];
  /** One update a change, one after another, as fast as it goes. */
  readonly singles: readonly FanOutRun[];
  /**
   * The same at a pace that every size of group follows: what leaves by the clock (heartbeats) then weighs the same for each
   * update, and nothing is sent again for slaves that only wait for a processor.
   */
  readonly pacedBatches: readonly FanOutRun[];
  readonly pacedSingles: readonly FanOutRun[];
  /** The master when it has nothing to do, over some seconds. */
  readonly idle: FanOutRun;
  readonly memory: Sample;
  readonly raw: PlainRuns;
}

/** The same bytes as the batches in plain datagrams to as many receivers: processor time for one update. */
export interface PlainRuns {
  /** As many as they take, hardly ever answered. */
  readonly flood: readonly Cpu[];
  /** Each batch answered by every receiver with one datagram, which two phases can't do without. */
  readonly exchange: readonly Cpu[];
}

/** Until the code is compiled that runs most: by then every size of group has had as many rounds. */
const warmUp = { seconds: 30, updates: 500_000 } as const;

export type FanOutResult = readonly FanOutOf[];

export async function measureFanOut(
  options: BenchOptions,
  {
    seconds,
    groups,
    say,
  }: { readonly seconds: number; readonly groups: readonly number[]; readonly say: (text: string) => void },
): Promise<FanOutResult> {
  const results: FanOutOf[] = [];
  for (const slaves of groups) {
    say(`fan-out: ${slaves} slaves`);
    results.push(await measureOne(options, slaves, seconds));
  }
  return results;
}

async function measureOne(options: BenchOptions, slaves: number, seconds: number): Promise<FanOutOf> {
  const group = await LargeGroup.start(options);
  await group.add(slaves);
  const { version } = await group.master.ask('fill', { slaves });
  await group.reached(version);
  // Before the history fills up, which takes as long as the group is slow.
  const memory = await group.master.ask('memory', null);
  const inBatches = { callers, batch, seconds } as const;
  const oneByOne = { callers: 1, batch: 1, seconds } as const;
  const paced = {
    batches: { ...inBatches, callers: 1, perSecond: 3 },
    singles: { ...oneByOne, perSecond: 20 },
  } as const;
  await run(group, { ...inBatches, ...warmUp });
  const batches: FanOutRun[] = [];
  const singles: FanOutRun[] = [];
  const pacedBatches: FanOutRun[] = [];
  const pacedSingles: FanOutRun[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    batches.push(await run(group, inBatches));
    singles.push(await run(group, oneByOne));
    pacedBatches.push(await run(group, paced.batches));
    pacedSingles.push(await run(group, paced.singles));
  }
  await group.assertEqual();
  const idle = await run(group, { callers: 0, batch: 1, seconds });
  await group.end();
  const raw = await measurePlain(options, slaves, seconds);
  return { slaves, batches, singles, pacedBatches, pacedSingles, idle, memory, raw };
}

/** From before the first change until every copy exposes the last one. */
async function run(
  group: LargeGroup,
  load: {
    readonly callers: number;
    readonly batch: number;
    readonly seconds: number;
    readonly updates?: number;
    readonly perSecond?: number;
  },
): Promise<FanOutRun> {
  const before = await stand(group);
  const startedMs = performance.now();
  let updates = 0;
  if (load.callers === 0) await new Promise((resolve) => setTimeout(resolve, load.seconds * 1000));
  else {
    const put = await group.master.ask('put', { updates: Number.MAX_SAFE_INTEGER, ...load });
    if (put.aborted > 0) {
      const text = `${put.aborted} changes aborted (${put.why}), so that the figures would mean nothing`;
      throw new Error(text);
    }
    updates = put.updates;
    await group.reached(put.version);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const after = await stand(group);
  return {
    updates,
    rounds: after.version - before.version,
    seconds,
    packets: after.packets - before.packets,
    bytes: after.bytes - before.bytes,
    received: after.received - before.received,
    systemPackets: after.system === null || before.system === null ? null : after.system - before.system,
    cpu: { userUs: after.cpu.userUs - before.cpu.userUs, systemUs: after.cpu.systemUs - before.cpu.systemUs },
  };
}

async function stand(group: LargeGroup): Promise<{
  readonly version: number;
  readonly packets: number;
  readonly bytes: number;
  readonly received: number;
  readonly system: number | null;
  readonly cpu: Cpu;
}> {
  const { version, counters, cpu } = await group.master.ask('sent', null);
  const system = (await multicastSent())?.packets ?? null;
  const { datagramsSent: packets, bytesSent: bytes, datagramsReceived: received } = counters;
  return { version, packets, bytes, received, system, cpu };
}

async function measurePlain(options: BenchOptions, receivers: number, seconds: number): Promise<PlainRuns> {
  const raw = await RawGroup.start(options, receivers);
  const runs = { flood: [] as Cpu[], exchange: [] as Cpu[] };
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    runs.flood.push(await plainRun(raw, receivers, { seconds: seconds / 2 }));
    runs.exchange.push(await plainRun(raw, receivers, { seconds: seconds / 2, oneByOne: true }));
  }
  await raw.end();
  return runs;
}

async function plainRun(
  raw: RawGroup,
  receivers: number,
  how: { readonly seconds: number; readonly oneByOne?: true },
): Promise<Cpu> {
  const messageBytes = changeBytes(batch);
  const before = await raw.sender.ask('cpu', null);
  const { datagrams, datagramBytes } = await raw.sender.ask('flood', { receivers, messageBytes, ...how });
  const after = await raw.sender.ask('cpu', null);
  const updates = (datagrams * datagramBytes * batch) / messageBytes;
  return {
    userUs: (after.userUs - before.userUs) / updates,
    systemUs: (after.systemUs - before.systemUs) / updates,
  };
}
