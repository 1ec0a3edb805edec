import type { MasterDataSetBody, MemberBody } from '../../shared/http/bodies.js';

/** What `GET /v1/live` sends, and the dashboard reads. */

/** A data set without its members, and without the digest, which would read every entry. */
export type LiveDataSetHead = Omit<MasterDataSetBody, 'members' | 'stateDigest'>;

/** A member as `GET /v1/status` has it. */
export type LiveMember = MemberBody & {
  readonly behindMs?: number | null;
  readonly oldestInDoubtMs?: number | null;
  readonly lastVeto?: { readonly version: number; readonly reason: string; readonly at: string } | null;
  readonly resyncs?: Readonly<Record<string, number>>;
};

export interface LiveDataSet extends LiveDataSetHead {
  /** All of them when the event is whole, else those that changed. */
  readonly members: readonly LiveMember[];
  /** Members that the one before had, and that are there no more. */
  readonly gone: readonly string[];
}

/** The event `status`. */
export interface LiveStatus {
  /** The master's clock, ISO 8601: ages count from here. */
  readonly at: string;
  readonly node: string;
  /** True for the first one of a connection: it replaces all that was known. */
  readonly whole: boolean;
  /** All of them when the event is whole, else those that changed. */
  readonly dataSets: readonly LiveDataSet[];
}

export interface LiveVote {
  readonly node: string;
  readonly yes: boolean;
  readonly reason: string | null;
  /** Milliseconds from the start of the round. */
  readonly afterMs: number;
}

export type LiveOutcome = 'open' | 'committed' | 'aborted' | 'unknown';

/** What the master keeps of a round; `GET /v1/rounds/{dataSet}` has the same. */
export interface RecordedRound {
  /** Names it. */
  readonly round: string;
  readonly version: number;
  readonly phases: 'one' | 'two';
  /** ISO 8601. */
  readonly startedAt: string;
  readonly outcome: LiveOutcome;
  readonly reason: string | null;
  /** From its start until the decision was durable. */
  readonly decidedMs: number | null;
  /** From its start until all voters showed it. */
  readonly exposedMs: number | null;
  readonly operations: number | null;
  readonly bytes: number | null;
  readonly votes: readonly LiveVote[];
}

/** A round as the dashboard lists it: every vote of a small group; of a large one the refusals and the slowest. */
export interface LiveRound extends RecordedRound {
  readonly yes: number;
  readonly no: number;
  /** True when `votes` leaves some out; `GET /v1/rounds/{dataSet}` has them all. */
  readonly isShort: boolean;
}

/** The event `rounds`: what is new or changed, newest first. */
export interface LiveRounds {
  readonly at: string;
  readonly dataSet: string;
  readonly whole: boolean;
  readonly rounds: readonly LiveRound[];
}
