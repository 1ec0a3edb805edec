import type { Epoch, Incarnation, NodeId, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
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
  readonly heardMsAgo: number | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  readonly inDoubt: number;
  readonly roundTripMs: number | null;
  readonly repairs: number;
  readonly snapshots: number;
}
