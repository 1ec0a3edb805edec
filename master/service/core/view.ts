import type { Epoch, Incarnation, NodeId, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { ArmingTally } from '../../../shared/protocol/kernel/outcome.js';
import type { ResyncCounts } from '../../../shared/protocol/kernel/resyncs.js';
import type { SlaveState } from '../../../shared/protocol/wire/messages.js';

/** How far a master is on its way to leading, or past it. */
export type MasterPhase = 'opening' | 'surveying' | 'claiming' | 'leading' | 'closing' | 'halted';

/** The core's account of itself, for status, metrics and checkers. Computed on request; changes nothing. */
export interface MasterView {
  readonly phase: MasterPhase;
  readonly epoch: Epoch;
  readonly tip: Tip | null;
  /** False until every registered member promised, or the longest lease passed: until then nothing commits. */
  readonly mayCommit: boolean;
  readonly queued: number;
  readonly openRounds: readonly RoundView[];
  /** A scheduled change that is decided and waits for its instant. */
  readonly armed: ArmedView | null;
  /** The newest scheduled change that this process has seen exposed. */
  readonly activation: ActivationView | null;
  readonly members: readonly MemberView[];
  readonly historyBytes: number;
  readonly oldestDelta: Tip | null;
}

/** An open round. */
export interface RoundView {
  readonly round: RoundId;
  readonly version: number;
  readonly phase: 'preparing' | 'waiting' | 'deciding';
  readonly ageMs: number;
  readonly voters: readonly NodeId[];
  readonly missing: readonly NodeId[];
}

/** A scheduled change between its decision and its instant. */
export interface ArmedView extends ArmingTally {
  readonly round: RoundId;
  /** Where the group goes at the instant. */
  readonly tip: Tip;
  readonly version: number;
  /** Unix time of the master's clock, milliseconds. */
  readonly activateAtMs: number;
  /** From now until then; below 0 when it is late. */
  readonly inMs: number;
  /** `cancelling`, `withdrawing`: it is being taken back; `activating`: its instant has come. */
  readonly phase: 'armed' | 'cancelling' | 'withdrawing' | 'activating';
  readonly voters: readonly NodeId[];
}

/** How the nodes switched to a scheduled change, by their own accounts. */
export interface ActivationView {
  readonly version: number;
  readonly activateAtMs: number;
  /** So many voters have told that they expose it. */
  readonly exposed: number;
  readonly of: number;
  readonly missing: readonly NodeId[];
  /** Between the first and the last node to expose it, the master's own included; null while none has told when. */
  readonly spreadMs: number | null;
  /** With the error of each node's clock: the true spread is no larger. */
  readonly boundMs: number | null;
}

/** One round, or one change in one phase, as `rounds()` tells of it. */
export interface RoundAccount {
  /** Names it; for two phases what `resolve` and the status of a slave in doubt call it. */
  readonly round: string;
  readonly version: number;
  readonly phases: 'one' | 'two';
  /** Unix time, in milliseconds. */
  readonly startedAtMs: number;
  /** `unknown`: this master halted before the decision was durable; the next reign says. */
  readonly outcome: 'open' | 'armed' | 'committed' | 'aborted' | 'unknown';
  /** Why it wasn't committed; null for others. */
  readonly reason: string | null;
  /** From the start to the decision; null while it is open. */
  readonly decidedMs: number | null;
  /** From the start until all its voters showed it; null before that, when one of them left, and in one phase. */
  readonly exposedMs: number | null;
  /** Null when the user layer doesn't say. */
  readonly operations: number | null;
  readonly bytes: number;
  /** In the order in which they came. */
  readonly votes: readonly RoundVote[];
  /** Voters that haven't answered, or hadn't when it ended. */
  readonly missing: readonly NodeId[];
  /** Of a scheduled change that was decided: its instant in Unix time, and how many of its voters were armed for it. */
  readonly activation: { readonly atMs: number; readonly armed: number; readonly of: number } | null;
}

/** How one voter of an open round answered. */
export interface RoundVote {
  readonly node: NodeId;
  readonly yes: boolean;
  /** Empty for a yes. */
  readonly reason: string;
  /** From the start of the round. */
  readonly afterMs: number;
}

/** A registered member, as the master knows it. */
export interface MemberView {
  readonly node: NodeId;
  readonly slot: number;
  readonly incarnation: Incarnation;
  readonly live: boolean;
  /** What the master last heard from it; null when it hasn't been heard in this reign. */
  readonly state: SlaveState | null;
  readonly tip: Tip | null;
  /** Versions between its tip and the committed one, null when that can't be said. */
  readonly behind: number | null;
  /**
   * Since the oldest committed version that it lacks was committed, milliseconds; 0 when it has the committed tip. At least so
   * long when that was before this process. Null when that can't be said.
   */
  readonly behindMs: number | null;
  readonly heardMsAgo: number | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  /** The newest no; `atMs` is monotonic. */
  readonly lastVeto: { readonly version: number; readonly reason: string; readonly atMs: number } | null;
  /** Counted by this process. */
  readonly votes: { readonly yes: number; readonly no: number };
  readonly inDoubt: number;
  /** Since its oldest round in doubt was first seen so here, milliseconds. */
  readonly oldestInDoubtMs: number | null;
  readonly roundTripMs: number | null;
  readonly repairs: number;
  readonly snapshots: number;
  /** Counted by this process, from what the member asked for. */
  readonly resyncs: ResyncCounts;
}
