import type { ClockEstimate } from '../../../shared/protocol/clock/clock-estimate.js';
import type { Epoch, NodeId, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { OperatorDecision } from './records.js';
import type { ResyncCounts } from '../../../shared/protocol/kernel/resyncs.js';
import type { SlaveState } from '../../../shared/protocol/wire/messages.js';

/** The core's account of itself, for status, metrics and checkers. Computed on request; changes nothing. */
export interface SlaveView {
  readonly state: SlaveState;
  /**
   * Applied, durable and exposed. For a moment after the instant of a scheduled change readers see that one already, as the data set's own
   * `tip` says, and it is on its way to disk.
   */
  readonly tip: Tip | null;
  /** The newest committed state heard of. */
  readonly heardOf: Tip | null;
  readonly promised: Epoch;
  /** The master whose heartbeats are heard, null when none was within the last lease. */
  readonly master: NodeId | null;
  /** Monotonic; 0 when there is no lease. */
  readonly leaseUntilMs: number;
  readonly welcomed: boolean;
  readonly inDoubt: readonly InDoubtView[];
  /** A scheduled change that waits for its instant here. */
  readonly armed: ArmedHereView | null;
  /** What operators decided here, oldest first; kept for ever. */
  readonly resolved: readonly OperatorDecision[];
  /** Versions between `tip` and `heardOf`, at most; null when no master is heard that could name a newer one, or off its chain. */
  readonly behind: number | null;
  /** Since this node heard of the oldest committed state that it lacks, milliseconds; 0 when it lacks none. Null as `behind`. */
  readonly behindMs: number | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  /** The newest no; `atMs` is monotonic. */
  readonly lastVeto: { readonly version: number; readonly reason: string; readonly atMs: number } | null;
  readonly votes: { readonly yes: number; readonly no: number };
  /** Why the copy isn't served as current, for people; empty when it is. */
  readonly reason: string;
  readonly repairs: number;
  readonly snapshots: number;
  readonly resyncs: ResyncCounts;
  /** The group time at the moment of asking; null as long as no master of this reign has told it. */
  readonly clock: ClockView | null;
}

/** What the group's clock shows now: something from `earliestMs` to `latestMs`, milliseconds since 1970. */
export interface ClockView {
  readonly earliestMs: number;
  /** The likeliest. */
  readonly groupMs: number;
  readonly latestMs: number;
  /** No true reading is further from `groupMs`. */
  readonly errorMs: number;
  /** Rises when the master's machine may have slept, and group time have stood still: what is known of two eras needn't agree. */
  readonly era: number;
}

export function clockView(clock: ClockEstimate, era: number, nowMs: number): ClockView | null {
  const reading = clock.at(nowMs);
  if (reading === null) return null;
  const { earliestMs, bestMs, latestMs } = reading;
  return { earliestMs, groupMs: bestMs, latestMs, errorMs: clock.errorMs(nowMs), era };
}

/** A scheduled change that this slave said yes to, before its instant. */
export interface ArmedHereView {
  readonly round: RoundId;
  readonly version: number;
  /** Unix time of the master's clock, milliseconds. */
  readonly activateAtMs: number;
  /** It is decided, and shows at the instant whatever happens to the network; false: not yet, or not any more. */
  readonly armed: boolean;
  /** From now until then, by this node's estimate; null when the group time isn't known here. */
  readonly inMs: number | null;
}

/** A round that this slave said yes to and doesn't know the outcome of. */
export interface InDoubtView {
  readonly round: RoundId;
  readonly to: Tip;
  readonly ageMs: number;
  /** How many had to say yes. */
  readonly voters: number;
  /** The master that is heard was asked, and can't tell. */
  readonly masterCannotTell: boolean;
}
