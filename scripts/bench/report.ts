import { cpus, totalmem } from 'node:os';
import { tableText } from '../../cli/table.js';
import { activationFigures, type ActivationOf } from './activation.js';
import { catchUpFigures, type CatchUpResult } from './catch-up.js';
import { massStartFigures, type MassStart } from './mass-start.js';
import { onePhaseFigures, type OnePhaseResult } from './one-phase.js';
import type { FanOutResult } from './fan-out.js';
import { fanOutFigures } from './fan-out-figures.js';
import {
  spreadOf,
  type Figure,
  type LatencyResult,
  type MemoryResult,
  type RawResult,
  type SecurityResult,
  type ThroughputResult,
} from './measure.js';
import type { PeersResult } from './peers/run.js';
import type { Sample } from './tasks.js';

/** The promises that the figures are held against. */
const targets = { updatesPerSecond: 200_000, singleP50Us: 400, bareExchange: 1.5, keyedShare: 0.75 } as const;

export interface Results {
  readonly throughput?: ThroughputResult;
  readonly latency?: LatencyResult;
  readonly raw?: RawResult;
  readonly memory?: MemoryResult;
  readonly security?: SecurityResult;
  readonly fanOut?: FanOutResult;
  readonly catchUp?: CatchUpResult;
  readonly massStart?: readonly MassStart[];
  readonly activation?: readonly ActivationOf[];
  readonly onePhase?: OnePhaseResult;
  readonly peers?: PeersResult;
}

export function figuresOf({
  throughput,
  latency,
  raw,
  memory,
  security,
  fanOut,
  catchUp,
  massStart,
  onePhase,
  activation,
  peers,
}: Results): readonly Figure[] {
  const figures: Figure[] = [];
  if (throughput !== undefined) {
    figures.push({
      name: 'two-phase updates, exposed at all three',
      unit: 'updates/s',
      spread: spreadOf(throughput.updatesPerSecond),
      target: { kind: 'at least', value: targets.updatesPerSecond },
      ...(throughput.aborted > 0 ? { note: `${throughput.aborted} changes aborted` } : {}),
    });
  }
  if (raw !== undefined) {
    const loss = raw.lostShare > 0 ? `, ${(raw.lostShare * 100).toFixed(2)} % lost` : '';
    figures.push({
      name: 'the same bytes as plain datagrams',
      unit: 'updates/s',
      spread: spreadOf(raw.updatesPerSecond),
      note: `${Math.round(spreadOf(raw.datagramsPerSecond).median).toLocaleString('en')} datagrams/s of ${raw.datagramBytes} B${loss}`,
    });
  }
  if (throughput !== undefined && raw !== undefined) {
    figures.push(
      ratio(
        'share of the plain rate',
        spreadOf(throughput.updatesPerSecond).median / spreadOf(raw.updatesPerSecond).median,
      ),
    );
  }
  if (latency !== undefined) {
    figures.push(
      {
        name: 'one update, two-phase, decided: p50',
        unit: 'µs',
        spread: spreadOf(latency.decidedP50Us),
        target: { kind: 'at most', value: targets.singleP50Us },
      },
      { name: '… p99', unit: 'µs', spread: spreadOf(latency.decidedP99Us) },
      { name: 'one update, two-phase, exposed at all three: p50', unit: 'µs', spread: spreadOf(latency.exposedP50Us) },
      { name: '… p99', unit: 'µs', spread: spreadOf(latency.exposedP99Us) },
    );
  }
  if (raw !== undefined) {
    figures.push(
      {
        name: 'one plain datagram to three, one back from each: p50',
        unit: 'µs',
        spread: spreadOf(raw.roundTripP50Us),
      },
      { name: '… p99', unit: 'µs', spread: spreadOf(raw.roundTripP99Us) },
    );
  }
  if (latency !== undefined && raw !== undefined) {
    figures.push({
      ...ratio(
        'decided ÷ plain round trip, p50',
        spreadOf(latency.decidedP50Us).median / spreadOf(raw.roundTripP50Us).median,
      ),
      target: { kind: 'at most', value: targets.bareExchange },
    });
  }
  if (memory !== undefined) figures.push(...memoryFigures(memory));
  if (security !== undefined) figures.push(...securityFigures(security));
  if (fanOut !== undefined) figures.push(...fanOutFigures(fanOut));
  if (onePhase !== undefined) figures.push(...onePhaseFigures(onePhase));
  if (catchUp !== undefined) figures.push(...catchUpFigures(catchUp));
  if (massStart !== undefined) figures.push(...massStartFigures(massStart));
  if (activation !== undefined) figures.push(...activationFigures(activation));
  if (peers !== undefined) figures.push(...peers.figures);
  return figures;
}

export function figuresText(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, unit, spread, target, note }) => {
    const shown = (value: number): string => numberText(value, unit);
    const single = unit === 'ratio' || spread.min === spread.max;
    const verdict =
      target === undefined ? '' : `${isMet(spread.median, target) ? '✓' : '✗'} ${target.kind} ${shown(target.value)}`;
    return [
      name,
      single ? '' : shown(spread.min),
      shown(spread.median),
      single ? '' : shown(spread.max),
      unit === 'ratio' ? '' : unit,
      [verdict, note ?? ''].filter((part) => part !== '').join(' · '),
    ];
  });
  return tableText(['', 'min', 'median', 'max', '', ''], rows);
}

export function memoryText({ updates, updatesPerSecond, start, middle, end }: MemoryResult): string {
  const row = (name: string, sample: Sample): readonly string[] => [
    name,
    mebibytes(sample.rssBytes),
    mebibytes(sample.heapBytes),
    mebibytes(sample.externalBytes),
  ];
  const head = [`master over ${updates.toLocaleString('en')} updates`, 'RSS MiB', 'heap MiB', 'buffers MiB'];
  const table = tableText(head, [row('start', start), row('middle', middle), row('end', end)]);
  return `${table}\n(start: after a twentieth of them; each after a collection; ${Math.round(updatesPerSecond).toLocaleString('en')} updates/s)`;
}

export function machine(): {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly node: string;
} {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    node: process.version,
  };
}

/** Whether the median holds what was promised; null where nothing was. */
export function holds({ spread, target }: Figure): boolean | null {
  return target === undefined ? null : isMet(spread.median, target);
}

/** A promise that the median doesn't hold. */
export function missedTargets(figures: readonly Figure[]): readonly Figure[] {
  return figures.filter((figure) => holds(figure) === false);
}

function memoryFigures({ middle, end }: MemoryResult): readonly Figure[] {
  const held = (sample: Sample): number => sample.heapBytes + sample.externalBytes;
  // Flat: what is held after a collection doesn't grow from the first half to the second by more than a tenth.
  const target = { kind: 'at most', value: 1.1 } as const;
  return [{ ...ratio("what the master's memory holds, end ÷ middle", held(end) / held(middle)), target }];
}

function securityFigures({ plain, keyed, aborted }: SecurityResult): readonly Figure[] {
  const note = aborted > 0 ? { note: `${aborted} changes aborted` } : {};
  const shares = keyed.map((rate, index) => rate / (plain[index] ?? rate));
  return [
    { name: 'two-phase updates, exposed at all three, without keys', unit: 'updates/s', spread: spreadOf(plain) },
    { name: '… encrypted and signed', unit: 'updates/s', spread: spreadOf(keyed), ...note },
    {
      ...ratio('with keys ÷ without, median of the pairs', spreadOf(shares).median),
      target: { kind: 'at least', value: targets.keyedShare },
    },
  ];
}

function ratio(name: string, value: number): Figure {
  return { name, unit: 'ratio', spread: spreadOf([value]) };
}

function isMet(value: number, target: NonNullable<Figure['target']>): boolean {
  return target.kind === 'at least' ? value >= target.value : value <= target.value;
}

function numberText(value: number, unit: Figure['unit']): string {
  // Below a hundred the fractions count.
  return unit === 'ratio' || Math.abs(value) < 100 ? value.toFixed(2) : Math.round(value).toLocaleString('en');
}

function mebibytes(bytes: number): string {
  return (bytes / 1024 ** 2).toFixed(0);
}
