import type { MasterDataSetBody, MemberBody, PastRoundBody } from '../../shared/http/bodies.js';

/** What `GET /v1/live` sends, and the dashboard reads. */

/** A data set without its members, and without the digest, which would read every entry. */
export type LiveDataSetHead = Omit<MasterDataSetBody, 'members' | 'stateDigest'>;

export interface LiveDataSet extends LiveDataSetHead {
  /** All of them when the event is whole, else those that changed. */
  readonly members: readonly MemberBody[];
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

/** A round as the dashboard lists it: every vote of a small group; of a large one the refusals and the slowest. */
export interface LiveRound extends PastRoundBody {
  readonly yes: number;
  readonly no: number;
  /** How many haven't answered. */
  readonly silent: number;
  /** True when `votes` or `missing` leaves some out; `GET /v1/rounds/{dataSet}` has them all. */
  readonly isShort: boolean;
}

/** The event `rounds`: what is new or changed, newest first. */
export interface LiveRounds {
  readonly at: string;
  readonly dataSet: string;
  readonly whole: boolean;
  readonly rounds: readonly LiveRound[];
}
