import type { NodeId, RoundId } from '../../../shared/protocol/kernel/ids.js';
import { sameRound } from '../../../shared/protocol/kernel/ids.js';
import type { ActivationReport } from '../../../shared/protocol/wire/messages.js';
import type { MasterContext } from './context.js';
import type { Member } from './members.js';
import type { ActivationView } from './view.js';

/** The newest scheduled change that was exposed here, and when each of its voters exposed it. */
interface Activation {
  readonly round: RoundId;
  readonly version: number;
  readonly activateAtMs: number;
  readonly voters: readonly NodeId[];
  /** Null: it doesn't know when, since it didn't know the group time. */
  readonly reports: Map<NodeId, ActivationReport | null>;
  /** Group time; null until it is exposed here. */
  ownMs: number | null;
  isComplete: boolean;
}

/**
 * Measures how far apart the nodes really switched. Each reports when it exposed the change by its own estimate of the group
 * time, with the error of that; the spread is of the estimates, its bound is what the true spread can't exceed.
 */
export class Activations {
  #newest: Activation | null = null;

  constructor(private readonly context: MasterContext) {}

  begin(round: RoundId, version: number, activateAtMs: number, voters: readonly NodeId[]): void {
    this.#newest = { round, version, activateAtMs, voters, reports: new Map(), ownMs: null, isComplete: false };
  }

  /** The original shows it, since `atMs` of the clock here. */
  onExposedHere(atMs: number): void {
    if (this.#newest === null || this.#newest.ownMs !== null) return;
    this.#newest.ownMs = atMs + this.context.config.groupOffsetMs;
    this.#tellWhenComplete(this.#newest);
  }

  onStatus(member: Member): void {
    const newest = this.#newest;
    const report = member.status?.activation ?? null;
    if (newest === null || report === null || !sameRound(report.round, newest.round)) return;
    if (newest.reports.has(member.node) || !newest.voters.includes(member.node)) return;
    newest.reports.set(member.node, report.exposedAtMs === null ? null : report);
    this.#tellWhenComplete(newest);
  }

  view(): ActivationView | null {
    if (this.#newest === null) return null;
    const { version, activateAtMs, voters, reports } = this.#newest;
    return {
      version,
      activateAtMs,
      exposed: reports.size,
      of: voters.length,
      missing: voters.filter((node) => !reports.has(node)),
      ...spreadOf(this.#newest),
    };
  }

  #tellWhenComplete(newest: Activation): void {
    if (newest.isComplete || newest.ownMs === null || newest.reports.size < newest.voters.length) return;
    newest.isComplete = true;
    const { spreadMs, boundMs } = spreadOf(newest);
    this.context.event('activated everywhere', 'info', {
      version: newest.version,
      nodes: newest.voters.length,
      spreadMs,
      boundMs,
    });
  }
}

/** Of the original and all that told when; null when none of the copies did. */
function spreadOf({ ownMs, reports }: Activation): Pick<ActivationView, 'spreadMs' | 'boundMs'> {
  let [earliestMs, latestMs] = [ownMs ?? Infinity, ownMs ?? -Infinity];
  let [soonestMs, lastMs] = [earliestMs, latestMs];
  let told = 0;
  for (const report of reports.values()) {
    if (report === null || report.exposedAtMs === null) continue;
    told += 1;
    earliestMs = Math.min(earliestMs, report.exposedAtMs);
    latestMs = Math.max(latestMs, report.exposedAtMs);
    soonestMs = Math.min(soonestMs, report.exposedAtMs - report.errorMs);
    lastMs = Math.max(lastMs, report.exposedAtMs + report.errorMs);
  }
  if (told === 0) return { spreadMs: null, boundMs: null };
  return { spreadMs: toMicroseconds(latestMs - earliestMs), boundMs: toMicroseconds(lastMs - soonestMs) };
}

/** As fine as clocks are read. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
