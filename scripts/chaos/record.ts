import type { ChaosNode } from './node.js';
import { ScheduledRecord, scheduledText, type ScheduledReport } from './scheduled-record.js';
import type { Report } from './words.js';

export interface ChaosReport {
  readonly seed: number;
  readonly minutes: number;
  readonly slaves: number;
  readonly faults: Readonly<Record<string, number>>;
  /** By how they ended for their callers. */
  readonly changes: Readonly<Record<string, number>>;
  readonly roundsCommitted: number;
  /** By cause; a change that shared a round with a vetoed one goes again. */
  readonly roundsAborted: Readonly<Record<string, number>>;
  /** States that slaves showed, over all slaves. */
  readonly exposures: number;
  readonly repairs: number;
  readonly snapshots: number;
  readonly fragmentsResent: number;
  /** At most: a fragment fills a datagram of an Ethernet at most. */
  readonly bytesResentAtMost: number;
  readonly longestInDoubtMs: number;
  readonly scheduled: ScheduledReport;
  /** Null: never. */
  readonly convergedMs: number | null;
  readonly failures: readonly string[];
}

const fragmentBytes = 1472;

/** What happened, as the nodes told it; and what must not have happened. */
export class ChaosRecord {
  convergedMs: number | null = null;
  /** When they never were equal: the original's state, and those that differ from it. */
  apart: readonly string[] = [];
  readonly #scheduled = new ScheduledRecord();
  readonly #faults: Record<string, number> = {};
  readonly #changes: Record<string, number> = {};
  #commits = 0;
  readonly #aborts: Record<string, number> = {};
  readonly #aborted = new Set<string>();
  /** By version, the slaves that showed it. */
  readonly #exposed = new Map<string, Set<string>>();
  #exposures = 0;
  #longestInDoubtMs = 0;

  note(node: string, report: Report): void {
    switch (report.kind) {
      case 'exposed':
        this.#exposures += report.versions.length;
        for (const version of report.versions) {
          const nodes = this.#exposed.get(version) ?? new Set();
          this.#exposed.set(version, nodes.add(node));
        }
        return;
      case 'aborted':
        this.#aborted.add(report.version);
        this.#aborts[report.reason] = (this.#aborts[report.reason] ?? 0) + 1;
        return;
      case 'committed':
        this.#commits += 1;
        return;
      case 'change':
        this.#changes[report.how] = (this.#changes[report.how] ?? 0) + 1;
        return;
      case 'in doubt':
        this.#longestInDoubtMs = Math.max(this.#longestInDoubtMs, report.longestMs);
        return;
      default:
        this.#scheduled.note(node, report);
    }
  }

  noteFault(name: string): void {
    this.#faults[name] = (this.#faults[name] ?? 0) + 1;
  }

  report(run: { readonly seed: number; readonly minutes: number; readonly nodes: readonly ChaosNode[] }): ChaosReport {
    const totals = run.nodes.map((node) => node.totals);
    const slaveTotals = run.nodes.filter(({ role }) => role === 'slave').map((node) => node.totals);
    const fragmentsResent = sum(totals.map((total) => total.fragmentsResent));
    return {
      seed: run.seed,
      minutes: Math.round(run.minutes * 100) / 100,
      slaves: slaveTotals.length,
      faults: this.#faults,
      changes: this.#changes,
      roundsCommitted: this.#commits,
      roundsAborted: this.#aborts,
      exposures: this.#exposures,
      repairs: sum(slaveTotals.map(({ repairs }) => repairs)),
      snapshots: sum(slaveTotals.map(({ snapshots }) => snapshots)),
      fragmentsResent,
      bytesResentAtMost: fragmentsResent * fragmentBytes,
      longestInDoubtMs: Math.round(this.#longestInDoubtMs),
      scheduled: this.#scheduled.report(),
      convergedMs: this.convergedMs === null ? null : Math.round(this.convergedMs),
      failures: this.#failures(run.nodes),
    };
  }

  #failures(nodes: readonly ChaosNode[]): readonly string[] {
    const failures = nodes.flatMap(({ deaths }) => deaths);
    if (this.convergedMs === null)
      failures.push(['the copies did not all come to the content of the original', ...this.apart].join('; '));
    for (const version of this.#aborted) {
      const seen = this.#exposed.get(version);
      if (seen !== undefined)
        failures.push(`version ${version} was aborted, and shown by ${[...seen].join(', ')} (G1)`);
    }
    failures.push(...this.#scheduled.failures());
    // A run in which nothing happened proves nothing.
    if ((this.#changes['committed'] ?? 0) === 0) failures.push('no change was committed');
    if (this.#exposures === 0) failures.push('no slave showed anything');
    if (this.#aborted.size === 0) failures.push('no round was aborted');
    return failures;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function reportText(report: ChaosReport): string {
  const named = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const lines = [
    `${report.minutes} minutes, ${report.slaves} slaves, seed ${report.seed}`,
    `faults: ${named(report.faults)}`,
    `changes: ${named(report.changes)}`,
    `rounds: ${report.roundsCommitted} committed, ${sum(Object.values(report.roundsAborted))} aborted (${named(report.roundsAborted)})`,
    `states shown by slaves: ${report.exposures}, none of them aborted: ${report.failures.some((text) => text.includes('(G1)')) ? 'NO' : 'yes'}`,
    `repairs asked for: ${report.repairs}, snapshots: ${report.snapshots}, fragments sent again: ${report.fragmentsResent} (${report.bytesResentAtMost} bytes at most)`,
    `longest in doubt: ${report.longestInDoubtMs} ms`,
    ...scheduledText(report.scheduled),
    report.convergedMs === null
      ? 'not all copies are equal'
      : `all copies equal by content after ${report.convergedMs} ms`,
    ...report.failures.map((failure) => `FAILED: ${failure}`),
    report.failures.length === 0 ? '1 passed, 0 failed' : '0 passed, 1 failed',
  ];
  return `${lines.join('\n')}\n`;
}
