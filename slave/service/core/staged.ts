import type { Delta, Epoch, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch } from '../../../shared/protocol/kernel/ids.js';
import type { ArmingMark } from './records.js';

/**
 * A round in progress at this slave.
 *
 * queued → asking → writing → prepared → (gone)
 *
 * `queued`: the user layer hasn't been asked; `asking`: it is being asked; `writing`: it said yes, and the prepared record
 * is on its way to disk; `prepared`: durable, voted yes, never decided alone.
 */
export type StagedPhase = 'queued' | 'asking' | 'writing' | 'prepared';

export interface Staged {
  readonly round: RoundId;
  /** The state that the round starts from; `change.from` is null when the change is a whole state. */
  readonly from: Tip | null;
  readonly change: Delta;
  phase: StagedPhase;
  /** The master's decision, when it came before this slave was ready to carry it out. */
  decided: 'committed' | null;
  /** An operator decided, and no master: the copy may be off the chain from here on. */
  byOperator: boolean;
  /** How many had to say yes. */
  readonly voters: number;
  /** Group time at which it is to be exposed; null: as soon as it is decided. */
  readonly activateAtMs: number | null;
  /** As it is on disk. */
  mark: ArmingMark | null;
  /** Read from disk at start: the user layer is asked again, and no vote is due. */
  readonly recovered: boolean;
  readonly sinceMs: number;
}

/** A scheduled change on its way to readers. */
export interface ScheduledChange {
  readonly round: RoundId;
  readonly to: Tip;
  readonly activateAtMs: number;
  readonly mark: ArmingMark | null;
}

/** Decided by the master of this reign: it shows at its instant, unasked. */
export function isArmed({ mark, decided }: Staged, reign: Epoch): boolean {
  return mark?.armed === true && decided === null && sameEpoch(mark.reign, reign);
}

const transitions: Readonly<Record<StagedPhase, readonly StagedPhase[]>> = {
  queued: ['asking', 'prepared'],
  asking: ['writing', 'prepared'],
  writing: ['prepared'],
  prepared: [],
};

export function mayBecome(from: StagedPhase, to: StagedPhase): boolean {
  return transitions[from].includes(to);
}
