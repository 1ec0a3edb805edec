import type { FanOutOf, FanOutResult, FanOutRun } from './fan-out.js';
import { linearFit } from './linear-fit.js';
import { spreadOf, type Figure, type Spread } from './measure.js';
import type { Cpu, Sample } from './tasks.js';

/** What more slaves may cost at the master, against one. */
const targets = { sent: 1.05, userCpu: 1.3, systemCpu: 1.2, at: 30 } as const;

type Of = (run: FanOutRun) => number;

const perUpdate =
  (value: Of): Of =>
  (run) =>
    value(run) / run.updates;
const packets: Of = (run) => run.packets;
const bytes: Of = (run) => run.bytes;
const userUs: Of = (run) => run.cpu.userUs;
const systemUs: Of = (run) => run.cpu.systemUs;
const cpuUs: Of = (run) => run.cpu.userUs + run.cpu.systemUs;

/** For each size of group what it costs, then the ratios to the first one, then the lines through those of three and more. */
export function fanOutFigures(results: FanOutResult): readonly Figure[] {
  const [first, ...others] = results;
  if (first === undefined) return [];
  return [
    ...results.flatMap((result) => costFigures(result)),
    ...others.flatMap((result) => ratioFigures(first, result)),
    ...formulaFigures(results.filter(({ slaves }) => slaves >= 3)),
  ];
}

function costFigures({
  slaves,
  batches,
  singles,
  pacedBatches,
  pacedSingles,
  raw,
  memory,
}: FanOutOf): readonly Figure[] {
  const of = (runs: readonly FanOutRun[], value: Of): Spread => spreadOf(runs.map(value));
  const inSystem = perUpdate(systemUs);
  return [
    {
      name: `${slaves} slaves: updates in batches of 1,000, exposed at all`,
      unit: 'updates/s',
      spread: of(batches, (run) => run.updates / run.seconds),
    },
    {
      name: '… packets from the master for 1,000 updates',
      unit: 'packets',
      spread: of(batches, (run) => perUpdate(packets)(run) * 1000),
    },
    {
      name: '… the same, three batches a second',
      unit: 'packets',
      spread: of(pacedBatches, (run) => perUpdate(packets)(run) * 1000),
      note: systemNote(pacedBatches),
    },
    { name: '… bytes for one update', unit: 'B', spread: of(pacedBatches, perUpdate(bytes)) },
    { name: "… master's CPU in user mode, one update", unit: 'µs', spread: of(batches, perUpdate(userUs)) },
    { name: "… master's CPU in the system, one update", unit: 'µs', spread: of(batches, inSystem) },
    { name: '… of the same bytes as plain datagrams', unit: 'µs', spread: inSystemOf(raw.flood) },
    { name: '… and answered by each receiver', unit: 'µs', spread: inSystemOf(raw.exchange) },
    {
      name: '… datagrams that the master receives for a round from each slave',
      unit: 'packets',
      spread: of(batches, (run) => run.received / run.rounds / slaves),
    },
    { name: '… packets for a change of one update', unit: 'packets', spread: of(singles, perUpdate(packets)) },
    {
      name: '… the same, twenty changes a second',
      unit: 'packets',
      spread: of(pacedSingles, perUpdate(packets)),
      note: systemNote(pacedSingles),
    },
    { name: '… bytes of one', unit: 'B', spread: of(pacedSingles, perUpdate(bytes)) },
    { name: '… its CPU at the master, user and system', unit: 'µs', spread: of(singles, perUpdate(cpuUs)) },
    { name: "… what the master's memory holds", unit: 'MiB', spread: spreadOf([held(memory) / 1024 ** 2]) },
  ];
}

/** The kernel's own count, against ours: above 1 when others on this machine send to groups too. */
function systemNote(runs: readonly FanOutRun[]): string {
  const counted = runs.flatMap((run) => (run.systemPackets === null ? [] : [run.systemPackets / run.packets]));
  if (counted.length === 0) return 'the system does not tell';
  return `the system counted ${spreadOf(counted).median.toFixed(3)} × as many multicasts`;
}

function ratioFigures(one: FanOutOf, many: FanOutOf): readonly Figure[] {
  const isTarget = one.slaves === 1 && many.slaves === targets.at;
  const ratio = (what: string, value: number, most: number): Figure => ({
    name: `${many.slaves} slaves ÷ ${one.slaves}: ${what}`,
    unit: 'ratio',
    spread: spreadOf([value]),
    ...(isTarget ? { target: { kind: 'at most', value: most } } : {}),
  });
  const over = (runs: (of: FanOutOf) => readonly FanOutRun[], value: Of): number =>
    medianOf(runs(many), perUpdate(value)) / medianOf(runs(one), perUpdate(value));
  const batches = ({ pacedBatches }: FanOutOf): readonly FanOutRun[] => pacedBatches;
  const singles = ({ pacedSingles }: FanOutOf): readonly FanOutRun[] => pacedSingles;
  const inSystem = medianOf(many.batches, perUpdate(systemUs));
  const overPlain = inSystem / inSystemOf(many.raw.flood).median;
  return [
    ratio('packets for an update, batches', over(batches, packets), targets.sent),
    ratio('bytes for an update, batches', over(batches, bytes), targets.sent),
    ratio('packets for a change of one update', over(singles, packets), targets.sent),
    ratio('bytes for a change of one update', over(singles, bytes), targets.sent),
    ratio(
      "master's CPU in user mode for an update, batches",
      over((of) => of.batches, userUs),
      targets.userCpu,
    ),
    {
      ...ratio('', overPlain, targets.systemCpu),
      name: `${many.slaves} slaves: master's CPU in the system ÷ plain datagrams to as many`,
    },
    {
      name: '… ÷ plain datagrams of which each batch is answered by all',
      unit: 'ratio',
      spread: spreadOf([inSystem / inSystemOf(many.raw.exchange).median]),
    },
    {
      name: '… in user mode, what it costs more ÷ what those answers cost more',
      unit: 'ratio',
      spread: spreadOf([inUserOver(one, many)]),
      note: 'at 1, a slave costs the master no more than any datagram from it does',
    },
  ];
}

/** What the votes of more slaves cost, beside as many plain answers to the same bytes: both read by the same runtime. */
function inUserOver(one: FanOutOf, many: FanOutOf): number {
  const of = ({ raw }: FanOutOf): number => spreadOf(raw.exchange.map((cpu) => cpu.userUs)).median;
  const more = medianOf(many.batches, perUpdate(userUs)) - medianOf(one.batches, perUpdate(userUs));
  return more / (of(many) - of(one));
}

function inSystemOf(runs: readonly Cpu[]): Spread {
  return spreadOf(runs.map(({ systemUs: us }) => us));
}

/** What a slave costs at the master: lines through the sizes that were measured. */
function formulaFigures(results: FanOutResult): readonly Figure[] {
  if (results.length < 2) return [];
  const line = (name: string, unit: Figure['unit'], value: (of: FanOutOf) => number): readonly Figure[] => {
    const { base, slope, worst } = linearFit(results.map((of) => ({ n: of.slaves, value: value(of) })));
    const note = `worst point ${(worst * 100).toFixed(0)} % off the line`;
    return [
      { name: `${name}: base`, unit, spread: spreadOf([base]) },
      { name: '… and for each slave', unit, spread: spreadOf([slope]), note },
    ];
  };
  return [
    ...line("master's memory", 'KiB', ({ memory }) => held(memory) / 1024),
    ...line(
      "master's CPU, 1,000 updates in batches",
      'µs',
      ({ batches }) => medianOf(batches, perUpdate(cpuUs)) * 1000,
    ),
    ...line("master's CPU, a change of one update", 'µs', ({ singles }) => medianOf(singles, perUpdate(cpuUs))),
    ...line("master's CPU, an idle second", 'µs', ({ idle }) => cpuUs(idle) / idle.seconds),
  ];
}

function medianOf(runs: readonly FanOutRun[], value: Of): number {
  return spreadOf(runs.map(value)).median;
}

function held(sample: Sample): number {
  return sample.heapBytes + sample.externalBytes;
}
