import type { BenchOptions } from './group.js';
import { LargeGroup } from './large-group.js';
import { spreadOf, type Figure } from './measure.js';
import { machineUs } from './serve.js';

/** A scheduled change is decided a lease and a clock error before its instant, and its round takes a moment. */
const inMs = 4000;
/** Time for all processes to be told. */
const bareInMs = 500;
const hourMs = 3_600_000;
/** Times of day are up to so far apart, … */
const hoursApart = 24;
/** … and rates by so much, a fraction: ten times what a common quartz is off by, and half of what the protocol allows. */
const rateApart = 0.0005;
const targets = { p50Ms: 1, p99Ms: 5, slaves: 30 } as const;

/** How far apart the nodes of one group, its master included, really switched, and what the product said about it. */
export interface ActivationOf {
  readonly slaves: number;
  readonly processes: number;
  /** For each activation: from the first to the last node, by the machine's own clock, milliseconds. */
  readonly trueMs: readonly number[];
  /** The same of bare calls in the same processes, one beside each activation: what the machine and its clock make of it. */
  readonly bareMs: readonly number[];
  readonly reportedMs: readonly number[];
  /** What the true spread can't exceed, by the product's word. */
  readonly boundMs: readonly number[];
}

export async function measureActivation(
  options: BenchOptions,
  settings: {
    readonly groups: readonly number[];
    readonly activations: number;
    readonly say: (text: string) => void;
  },
): Promise<readonly ActivationOf[]> {
  const results: ActivationOf[] = [];
  for (const slaves of settings.groups) {
    settings.say(`activation: ${slaves} slaves`);
    results.push(await measureOne(options, slaves, settings.activations));
  }
  return results;
}

async function measureOne(options: BenchOptions, slaves: number, activations: number): Promise<ActivationOf> {
  const group = await LargeGroup.start(options, { durability: 'disk' });
  await group.add(slaves, undefined, clockOf);
  const { version } = await group.master.ask('fill', { slaves });
  await group.reached(version);
  const trueMs: number[] = [];
  const bareMs: number[] = [];
  const reportedMs: number[] = [];
  const boundMs: number[] = [];
  for (let count = 0; count < activations; count += 1) {
    const atUs = machineUs() + bareInMs * 1000;
    const woken = [group.master.ask('wake', { atUs }), ...group.processes.map((child) => child.ask('wake', { atUs }))];
    bareMs.push(spreadMs((await Promise.all(woken)).flat()));
    const activated = await group.master.ask('activate', { inMs });
    const answers = await Promise.all(
      group.processes.map((child) => child.ask('exposed', { version: activated.version })),
    );
    const times = answers.flat();
    if (times.length !== slaves) throw new Error(`${times.length} of ${slaves} slaves showed the change`);
    trueMs.push(spreadMs([...times, activated.exposedUs]));
    reportedMs.push(activated.spreadMs);
    boundMs.push(activated.boundMs);
  }
  await group.assertEqual();
  const processes = group.processes.length;
  await group.end();
  return { slaves, processes, trueMs, bareMs, reportedMs, boundMs };
}

function spreadMs(timesUs: readonly number[]): number {
  return (Math.max(...timesUs) - Math.min(...timesUs)) / 1000;
}

/** Spread over the whole range, the same in every run. */
function clockOf(slave: number): { readonly aheadMs: number; readonly rate: number } {
  const place = ((slave * 7) % 25) / 24;
  return { aheadMs: (place - 0.5) * hoursApart * hourMs, rate: 1 + (((slave * 11) % 21) / 10 - 1) * rateApart };
}

export function activationFigures(results: readonly ActivationOf[]): readonly Figure[] {
  return results.flatMap(({ slaves, processes, trueMs, bareMs, reportedMs, boundMs }): readonly Figure[] => {
    const isTarget = slaves === targets.slaves;
    const figure = (name: string, values: readonly number[], rest: Partial<Figure> = {}): Figure => ({
      name,
      unit: 'ms',
      spread: spreadOf(values),
      ...rest,
    });
    return [
      figure(`a scheduled change shown by a master and ${slaves} slaves, from the first to the last: median`, trueMs, {
        note: `${trueMs.length} activations, ${processes} processes of slaves, clocks ${hoursApart} h apart and off by ±${rateApart * 1e6} ppm`,
        ...(isTarget ? { target: { kind: 'at most', value: targets.p50Ms } } : {}),
      }),
      figure(
        '… p99',
        [percentile(trueMs, 0.99)],
        isTarget ? { target: { kind: 'at most', value: targets.p99Ms } } : {},
      ),
      figure('bare calls at one instant in the same processes, from the first to the last: median', bareMs),
      figure('… p99', [percentile(bareMs, 0.99)]),
      figure('a scheduled change as the group reports it', reportedMs),
      figure('… and the bound that it gives', boundMs),
      {
        name: '… activations whose true spread was within that bound',
        unit: 'ratio',
        spread: spreadOf([trueMs.filter((ms, index) => ms <= (boundMs[index] ?? 0)).length / trueMs.length]),
        target: { kind: 'at least', value: 1 },
      },
    ];
  });
}

/** With few values the largest of them. */
function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
