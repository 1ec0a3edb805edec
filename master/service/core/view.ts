import type { Epoch, Incarnation, NodeId, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { ResyncCounts } from '../../../shared/protocol/kernel/resyncs.js';
import type { SlaveState } from '../../../shared/protocol/wire/messages.js';

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
  readonly members: readonly MemberView[];
  readonly historyBytes: number;
  readonly oldestDelta: Tip | null;
}

export interface RoundView {
  readonly round: RoundId;
  readonly version: number;
  readonly phase: 'preparing' | 'waiting' | 'deciding';
  readonly ageMs: number;
  readonly voters: readonly NodeId[];
  readonly missing: readonly NodeId[];
}

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
  readonly inDoubt: number;
  /** Since its oldest round in doubt was first seen so here, milliseconds. */
  readonly oldestInDoubtMs: number | null;
  readonly roundTripMs: number | null;
  readonly repairs: number;
  readonly snapshots: number;
  /** Counted by this process, from what the member asked for. */
  readonly resyncs: ResyncCounts;
}
