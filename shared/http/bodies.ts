import type { Tip } from '../protocol/kernel/ids.js';
import type { Json } from '../protocol/key-value/operations.js';
import type { VoteTally } from '../protocol/kernel/outcome.js';
import type { SlaveState } from '../protocol/wire/messages.js';

/** What travels over HTTP, as the servers send it and the `lockstep` command reads it. */

export interface ErrorBody {
  readonly error: {
    /** For programs; `docs/http.md` lists them. */
    readonly code: string;
    /** For people: what is wrong and what to do. */
    readonly message: string;
    /** The field of the body, the query or the header that is wrong, when one is. */
    readonly field?: string;
  };
}

export interface TipBody {
  readonly epoch: number;
  readonly version: number;
  readonly chainId: string;
}

export interface RefusalBody {
  readonly node: string;
  readonly reason: string;
  /** Positions in the caller's own list of operations. */
  readonly operations?: readonly number[];
}

export interface FailureBody {
  readonly operation: number;
  readonly key: string;
  readonly actual: number | null;
}

export type OutcomeBody =
  | (TipBody & {
      readonly outcome: 'committed';
      readonly durationMs: number;
      readonly votes: VoteTally;
      readonly durable: boolean;
    })
  | {
      readonly outcome: 'aborted';
      readonly reason: string;
      readonly refusals: readonly RefusalBody[];
      readonly failures?: readonly FailureBody[];
      readonly durationMs: number;
    }
  | { readonly outcome: 'unknown'; readonly reason: string; readonly durationMs: number }
  | { readonly outcome: 'pending' };

/** Paths of files and folders; of each list the first 1,000. */
export interface FilesBody {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  /** How many there are in all. */
  readonly count: number;
}

/** What became of a folder that was to be published. */
export type PublishBody =
  | { readonly outcome: 'unchanged'; readonly version: number }
  | (Exclude<OutcomeBody, { readonly outcome: 'pending' }> & { readonly files: FilesBody });

export interface EntryBody {
  readonly key: string;
  readonly value: Json;
  /** The version that last changed this key. */
  readonly version: number;
}

/** All entries are read at one version. */
export interface EntriesBody {
  readonly epoch: number;
  readonly version: number;
  readonly entries: readonly EntryBody[];
}

export interface PageBody extends EntriesBody {
  /** Give it as `after` for the next page; null on the last one. */
  readonly next: string | null;
}

export interface ReadsBody extends EntriesBody {
  readonly missing: readonly string[];
}

export interface MemberBody {
  readonly node: string;
  readonly live: boolean;
  readonly state: SlaveState | null;
  readonly tip: TipBody | null;
  readonly behind: number | null;
  readonly heardMsAgo: number | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  readonly inDoubt: number;
  readonly roundTripMs: number | null;
  readonly repairs: number;
  readonly snapshots: number;
}

export interface RoundBody {
  readonly round: number;
  readonly version: number;
  readonly phase: string;
  readonly ageMs: number;
  readonly voters: readonly string[];
  readonly missing: readonly string[];
}

export interface MasterDataSetBody {
  readonly dataSet: string;
  readonly phase: string;
  readonly epoch: number;
  readonly tip: TipBody | null;
  readonly mayCommit: boolean;
  readonly entries: number;
  readonly stateDigest: string | null;
  readonly queued: number;
  readonly openRounds: readonly RoundBody[];
  readonly historyBytes: number;
  readonly members: readonly MemberBody[];
}

export interface InDoubtBody {
  /** What `lockstep resolve` takes. */
  readonly round: string;
  readonly version: number;
  readonly ageMs: number;
  /** How many had to say yes. */
  readonly voters: number;
  /** The master that is heard was asked, and can't tell: only an operator can. */
  readonly masterCannotTell: boolean;
}

export interface ResolvedBody {
  readonly round: string;
  readonly version: number;
  readonly outcome: 'committed' | 'aborted';
  readonly by: string;
  /** ISO 8601. */
  readonly at: string;
}

export interface SlaveDataSetBody {
  readonly dataSet: string;
  readonly state: SlaveState;
  readonly tip: TipBody | null;
  readonly heardOf: TipBody | null;
  readonly master: string | null;
  readonly entries: number;
  readonly stateDigest: string | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  readonly inDoubt: readonly InDoubtBody[];
  /** What operators decided here in a master's place. */
  readonly resolved: readonly ResolvedBody[];
  readonly reason: string;
  readonly repairs: number;
  readonly snapshots: number;
}

export type StatusBody =
  | { readonly node: string; readonly role: 'master'; readonly dataSets: readonly MasterDataSetBody[] }
  | { readonly node: string; readonly role: 'slave'; readonly dataSets: readonly SlaveDataSetBody[] };

export interface ReadyBody {
  readonly ready: boolean;
  /** Why not, one line for each data set that isn't. */
  readonly reasons: readonly string[];
}

export function tipBody(tip: Tip): TipBody;
export function tipBody(tip: Tip | null): TipBody | null;
export function tipBody(tip: Tip | null): TipBody | null {
  return tip === null ? null : { epoch: tip.epoch.number, version: tip.version, chainId: tip.chain };
}

/** Microseconds are enough for people and programs. */
export function roundMs(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000;
}
