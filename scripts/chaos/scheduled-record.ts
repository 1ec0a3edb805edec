import { limits } from '../../shared/protocol/kernel/limits.js';
import type { Report } from './words.js';

export interface ScheduledReport {
  /** By how they ended for their callers. */
  readonly changes: Readonly<Record<string, number>>;
  /** Nodes that showed one at its instant, over all changes, and nodes that showed one later than clocks explain. */
  readonly activations: number;
  readonly late: number;
  /** Between the first and the last node, where all showed it at its instant, by their own clocks; null: never. */
  readonly medianSpreadMs: number | null;
  readonly largestSpreadMs: number | null;
}

/** No clock that is good enough to promise an instant is off by more. */
const lateMs = limits.maxClockErrorMs;

/** What became of changes that were to show at an instant, while everything happened to the network. */
export class ScheduledRecord {
  readonly #changes: Record<string, number> = {};
  /** By version, of what was armed and not taken back: the instant, by the clock that all hosts share. */
  readonly #instants = new Map<number, number>();
  /** By node and version: when it last called itself current at it. */
  readonly #currentMs = new Map<string, Map<number, number>>();
  readonly #spreadsMs: number[] = [];
  #activations = 0;
  #late = 0;

  note(node: string, report: Report): void {
    switch (report.kind) {
      case 'scheduled':
        this.#changes[report.how] = (this.#changes[report.how] ?? 0) + 1;
        return;
      case 'armed':
        this.#instants.set(report.version, report.atMs);
        return;
      case 'disarmed':
        this.#instants.delete(report.version);
        return;
      case 'activated':
        if (report.lateMs !== null && report.lateMs <= lateMs) this.#activations += 1;
        else this.#late += 1;
        return;
      case 'activated everywhere':
        if (report.spreadMs <= lateMs) this.#spreadsMs.push(report.spreadMs);
        return;
      case 'current': {
        const versions = this.#currentMs.get(node) ?? new Map<number, number>();
        this.#currentMs.set(node, versions.set(report.version, report.atMs));
        return;
      }
      default:
        return;
    }
  }

  report(): ScheduledReport {
    const sorted = [...this.#spreadsMs].sort((a, b) => a - b);
    return {
      changes: this.#changes,
      activations: this.#activations,
      late: this.#late,
      medianSpreadMs: sorted[Math.floor(sorted.length / 2)] ?? null,
      largestSpreadMs: sorted.at(-1) ?? null,
    };
  }

  /** G12, G16: when the others switch at its instant, nobody calls itself current with what was before. */
  failures(): readonly string[] {
    const failures: string[] = [];
    for (const [version, instantMs] of this.#instants)
      for (const [node, versions] of this.#currentMs)
        for (const [older, atMs] of versions) {
          const afterMs = atMs - instantMs;
          if (older < version && afterMs > lateMs)
            failures.push(
              `${node} called itself current at version ${older} ${Math.round(afterMs)} ms after the instant of version ${version} (G12, G16)`,
            );
        }
    if (this.#activations === 0) failures.push('no scheduled change was shown at its instant');
    return failures;
  }
}

export function scheduledText(report: ScheduledReport): readonly string[] {
  const { changes, activations, late, medianSpreadMs, largestSpreadMs } = report;
  const named = Object.entries(changes).map(([name, count]) => `${name} ${count}`);
  const spread =
    medianSpreadMs === null
      ? 'never by all of them'
      : `where by all, ${medianSpreadMs} ms from the first to the last (median; most ${largestSpreadMs ?? 0} ms)`;
  return [
    `scheduled changes: ${named.join(', ')}`,
    `shown at the instant by ${activations} nodes, later by ${late}, which weren't current in between; ${spread}`,
  ];
}
