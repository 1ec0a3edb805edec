import type { Tip } from '../protocol/kernel/ids.js';
import type { Json } from '../protocol/key-value/operations.js';
import type { VoteTally } from '../protocol/kernel/outcome.js';
import type { ResyncCounts } from '../protocol/kernel/resyncs.js';
import type { SlaveState } from '../protocol/wire/messages.js';

/** What travels over HTTP, as the servers send it and the `lockstep` command reads it. */

export interface ErrorBody {
  readonly error: {
    /** For programs; `docs/http.md` lists them. */
    readonly code: string;
    /** For people: what is wrong and what to do. */
    readonly message: string;
    /** With `instant-too-early` and `instant-too-late`: the soonest instant that could have been asked for, ISO 8601. */
    readonly earliestAt?: string;
    /** With `instant-too-late`: the last one. */
    readonly latestAt?: string;
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

/** Of the voters of a scheduled change, those that have reported that they are armed. */
export interface ArmingBody {
  readonly armed: number;
  readonly of: number;
  readonly missing: readonly string[];
}

/** How the cancellation of a scheduled change ended. */
export type CancellationBody =
  | { readonly outcome: 'cancelled'; readonly version: number; readonly durationMs: number }
  | {
      readonly outcome: 'stands';
      readonly version: number;
      /** ISO 8601. */
      readonly activateAt: string;
      /** Those that may be armed and didn't confirm. */
      readonly missing: readonly string[];
      readonly durationMs: number;
    };

export type OutcomeBody =
  | (TipBody & {
      readonly outcome: 'committed';
      readonly durationMs: number;
      readonly votes: VoteTally;
      readonly durable: boolean;
    })
  | (TipBody & {
      /** Decided, and shown everywhere at its instant. */
      readonly outcome: 'armed';
      /** ISO 8601. */
      readonly activateAt: string;
      readonly arming: ArmingBody;
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

/** The newest no. */
export interface VetoBody {
  readonly version: number;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

export interface MemberBody {
  readonly node: string;
  readonly live: boolean;
  readonly state: SlaveState | null;
  readonly tip: TipBody | null;
  readonly behind: number | null;
  /** Since the oldest committed version that it lacks was committed; 0 when it has the tip. */
  readonly behindMs: number | null;
  readonly heardMsAgo: number | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  readonly lastVeto: VetoBody | null;
  readonly inDoubt: number;
  readonly oldestInDoubtMs: number | null;
  readonly roundTripMs: number | null;
  readonly repairs: number;
  readonly snapshots: number;
  /** How often it had to be brought up, by cause. */
  readonly resyncs: ResyncCounts;
}

export interface RoundBody {
  readonly round: number;
  readonly version: number;
  readonly phase: string;
  readonly ageMs: number;
  readonly voters: readonly string[];
  readonly missing: readonly string[];
}

export interface RoundVoteBody {
  readonly node: string;
  readonly yes: boolean;
  /** Empty for a yes. */
  readonly reason: string;
  readonly afterMs: number;
}

/** A round that was, or is: an item of `GET /v1/rounds/{dataSet}`. */
export interface PastRoundBody {
  readonly round: string;
  readonly version: number;
  readonly phases: 'one' | 'two';
  /** ISO 8601. */
  readonly startedAt: string;
  readonly outcome: 'open' | 'armed' | 'committed' | 'aborted' | 'unknown';
  readonly reason: string | null;
  readonly decidedMs: number | null;
  readonly exposedMs: number | null;
  readonly operations: number | null;
  readonly bytes: number | null;
  readonly votes: readonly RoundVoteBody[];
  /** Voters that haven't answered, or hadn't when it ended. */
  readonly missing: readonly string[];
  /** Of a scheduled change that was decided; `at` is ISO 8601. */
  readonly activation: { readonly at: string; readonly armed: number; readonly of: number } | null;
}

export interface RoundsBody {
  readonly dataSet: string;
  /** Newest first. */
  readonly rounds: readonly PastRoundBody[];
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
  /** A scheduled change that waits for its instant. */
  readonly armed: ArmedBody | null;
  /** How the nodes switched to the newest scheduled change. */
  readonly activation: ActivationBody | null;
  readonly historyBytes: number;
  readonly members: readonly MemberBody[];
}

export interface ArmedBody extends ArmingBody {
  readonly version: number;
  /** ISO 8601. */
  readonly activateAt: string;
  /** From now until then. */
  readonly inMs: number;
  readonly phase: string;
}

export interface ActivationBody {
  readonly version: number;
  /** ISO 8601. */
  readonly activateAt: string;
  /** So many voters have told that they show it. */
  readonly exposed: number;
  readonly of: number;
  readonly missing: readonly string[];
  /** Between the first and the last node to show it, by their own clocks; null while none has told when. */
  readonly spreadMs: number | null;
  /** The true spread is no larger. */
  readonly boundMs: number | null;
}

/** A scheduled change that a slave said yes to. */
export interface ArmedHereBody {
  readonly version: number;
  /** ISO 8601. */
  readonly activateAt: string;
  /** It is decided, and shows at the instant unasked. */
  readonly armed: boolean;
  /** From now until then, by this node's estimate; null when it doesn't know the master's clock. */
  readonly inMs: number | null;
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
  /** Versions that it lacks, at most. */
  readonly behind: number | null;
  /** Since this node heard of the oldest committed version that it lacks; 0 when it lacks none. */
  readonly behindMs: number | null;
  readonly lastVote: { readonly version: number; readonly yes: boolean; readonly reason: string } | null;
  readonly lastVeto: VetoBody | null;
  readonly inDoubt: readonly InDoubtBody[];
  readonly armed: ArmedHereBody | null;
  /** What operators decided here in a master's place. */
  readonly resolved: readonly ResolvedBody[];
  readonly reason: string;
  readonly repairs: number;
  readonly snapshots: number;
  readonly resyncs: ResyncCounts;
  /** Null: no master of its reign has told it yet. */
  readonly clock: ClockBody | null;
}

/** Group time when the node answered: something from `earliestMs` to `latestMs`, milliseconds since 1970. */
export interface ClockBody {
  readonly earliestMs: number;
  /** The likeliest. */
  readonly groupMs: number;
  readonly latestMs: number;
  /** `groupMs` is off by no more: to the further end of the interval. */
  readonly errorMs: number;
  /** The likeliest less the node's own time of day. */
  readonly offsetMs: number;
}

/** One committed change. With `prior` null the operations are the whole state: forget what you had. */
export interface FeedRecordBody {
  readonly epoch: number;
  readonly version: number;
  readonly chainId: string;
  /** The version that it starts from. Below the one that you have, it repeats some of what you have, in order. */
  readonly prior: number | null;
  readonly operations: readonly ({ readonly put: readonly [string, Json] } | { readonly delete: string })[];
}

/** The last line of a feed that the server ends. */
export interface FeedEndBody {
  readonly error: {
    readonly code: 'history-pruned' | 'history-switched' | 'too-slow' | 'closed' | 'internal';
    readonly message: string;
  };
  /** The version of the last change that was sent, or the one that the feed began at: from where to resume. */
  readonly since: number;
}

/** How a node reaches the others, as it sees it. */
export interface NetworkBody {
  readonly transport: 'auto' | 'multicast' | 'unicast';
  /** Where unicast reaches it, `host:port`. */
  readonly address: string;
  /** Nodes that its multicast doesn't reach: it sends to them by unicast as well. */
  readonly unreached: readonly string[];
  /** Masters whose multicast doesn't reach it. */
  readonly unheard: readonly string[];
  readonly receiveBufferBytes: number;
  /** Datagrams that the kernel dropped at its full receive buffers; null where the system doesn't tell. */
  readonly kernelDrops: number | null;
  /** Its time of day, ISO 8601. */
  readonly at: string;
}

export type StatusBody =
  | {
      readonly node: string;
      readonly role: 'master';
      readonly dataSets: readonly MasterDataSetBody[];
      /** Null where there is no node behind the routes. */
      readonly network: NetworkBody | null;
    }
  | {
      readonly node: string;
      readonly role: 'slave';
      readonly dataSets: readonly SlaveDataSetBody[];
      readonly network: NetworkBody | null;
    };

export interface ReadyBody {
  readonly ready: boolean;
  /** Why not, one line for each data set that isn't. */
  readonly reasons: readonly string[];
  /** With `verbose`: each check, also those that pass. */
  readonly checks?: readonly ReadyCheckBody[];
}

export interface ReadyCheckBody {
  /** The data set. */
  readonly name: string;
  readonly ok: boolean;
  /** What it is at, or why it isn't ready. */
  readonly text: string;
}

export function tipBody(tip: Tip): TipBody;
export function tipBody(tip: Tip | null): TipBody | null;
export function tipBody(tip: Tip | null): TipBody | null {
  return tip === null ? null : { epoch: tip.epoch.number, version: tip.version, chainId: tip.chain };
}

export function vetoBody(
  veto: { readonly version: number; readonly reason: string; readonly atMs: number } | null,
): VetoBody | null {
  if (veto === null) return null;
  const { version, reason, atMs } = veto;
  return { version, reason, at: new Date(performance.timeOrigin + atMs).toISOString() };
}

export function roundMsOrNull(durationMs: number | null): number | null {
  return durationMs === null ? null : roundMs(durationMs);
}

/** Of an instant within what dates can say. */
export function instantText(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

/** Rounded outwards, so that an interval stays true. */
export function clockBody(
  clock: Omit<ClockBody, 'offsetMs'> | null,
  /** The node's time of day at that moment. */
  wallMs: number,
): ClockBody | null {
  if (clock === null) return null;
  const { earliestMs, groupMs, latestMs, errorMs } = clock;
  return {
    earliestMs: Math.floor(earliestMs * 1000) / 1000,
    groupMs: roundMs(groupMs),
    latestMs: Math.ceil(latestMs * 1000) / 1000,
    errorMs: Math.ceil(errorMs * 1000) / 1000,
    offsetMs: roundMs(groupMs - wallMs),
  };
}

/** Microseconds are enough for people and programs. */
export function roundMs(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000;
}
