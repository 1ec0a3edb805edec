import type { NodeId, Tip } from './ids.js';

/** `one`: each applies a change on arrival. `two`: all or none, after a vote. */
export type Phases = 'one' | 'two';

/** Who must say yes. A number: at least so many of those live at the start, and any no aborts. */
export type VoterPolicy = 'all' | 'live' | number;

/** How a decision is delivered. Heartbeats repeat it in any case; this is the fast path. */
export type DeliveryMode = 'unicast' | 'heartbeat' | 'multicast';

/** Which packet kind carries the change; `auto` chooses by size and by what the group is known to lack. */
export type ContentChoice = 'auto' | 'version' | 'state' | 'change' | 'chain';

/** `disk`: durable before it counts. `memory`: fast, and lost with the process. */
export type Durability = 'disk' | 'memory';

/** One node's no, or its silence. */
export interface NodeRefusal {
  readonly node: NodeId;
  readonly reason: string;
  /** Positions of the refused operations inside the change, when the node named them. */
  readonly operations?: readonly number[];
}

/** How the voters of a round answered. */
export interface VoteTally {
  readonly yes: number;
  readonly no: number;
  readonly silent: number;
}

/** Why a round ended without a commit. */
export type AbortReason =
  | 'refused'
  | 'timeout'
  | 'rolled back'
  | 'prior aborted'
  | 'too few voters'
  | 'stepped down'
  | 'closed'
  | 'unregistered'
  | 'cancelled'
  /** A scheduled change wasn't decided soon enough for everybody to be armed before its instant. */
  | 'too late to arm'
  /** It had to wait for a scheduled change, and its time was up before that change's instant came. */
  | 'behind an armed change';

/**
 * How a replication ended. `committed` settles at the durable decision, `exposed` is added when the caller waited for it.
 * `unknown` is no abort: the record may be on disk, or another master decides; ask again after recovery.
 */
export type Outcome =
  | {
      readonly kind: 'committed';
      readonly tip: Tip;
      readonly votes: VoteTally;
      readonly durationMs: number;
      /** False under `durability: memory`. */
      readonly durable: boolean;
    }
  | {
      readonly kind: 'aborted';
      readonly reason: AbortReason;
      readonly refusals: readonly NodeRefusal[];
      readonly durationMs: number;
    }
  | { readonly kind: 'unknown'; readonly reason: string; readonly durationMs: number };

/**
 * How a replication with an instant ended. `armed`: it is decided, durably, and shows at its instant; only a cancellation takes
 * it back. That settles once all voters have reported that they are armed, or the deadline has passed.
 */
export type ScheduledOutcome =
  | Outcome
  | {
      readonly kind: 'armed';
      readonly tip: Tip;
      /** Unix time of the master's clock, milliseconds. */
      readonly activateAtMs: number;
      readonly votes: VoteTally;
      readonly arming: ArmingTally;
      readonly durationMs: number;
      readonly durable: boolean;
    };

/** Of the voters of a scheduled change, how many have reported that they will expose it at the instant unasked. */
export interface ArmingTally {
  readonly armed: number;
  readonly of: number;
  /** Those that haven't. They get no lease that reaches the instant, so that none of them is current when the others switch. */
  readonly missing: readonly NodeId[];
}

/** How a cancellation ended. `stands`: some that may be armed didn't confirm in time, so that all are armed again. */
export type Cancellation =
  | { readonly kind: 'cancelled'; readonly version: number; readonly durationMs: number }
  | {
      readonly kind: 'stands';
      readonly version: number;
      readonly activateAtMs: number;
      readonly missing: readonly NodeId[];
      readonly durationMs: number;
    };

/** A request to replicate, as the master's core takes it. */
export interface Replication {
  readonly version: number;
  /** The version that the change starts from; checked against what is committed or open. Absent: whatever is newest. */
  readonly prior?: number | undefined;
  /** What leads from prior to version; absent: the user layer is asked. */
  readonly delta?: Uint8Array | undefined;
  readonly phases: Phases;
  readonly timeoutMs: number;
  readonly voters: VoterPolicy;
  readonly content: ContentChoice;
  readonly commitBy: DeliveryMode;
  readonly abortBy: DeliveryMode;
  /** When the outcome settles: at the durable decision, or when all voters expose it. */
  readonly wait: 'decided' | 'exposed';
  /** How many operations the change holds, for the account of rounds: only who made the bytes can say. */
  readonly operations?: number | undefined;
  /** Group time, whole milliseconds: decided before, exposed everywhere then. Absent: as soon as it is decided. */
  readonly activateAtMs?: number | undefined;
}

/** Refused before anything was sent: nothing happened. */
export interface Rejection {
  readonly kind: 'rejected';
  readonly code:
    | 'version-not-greater'
    | 'prior-not-current'
    | 'change-too-large'
    | 'queue-full'
    | 'not-leading'
    | 'closed'
    | 'user-layer-failed'
    | 'already-decided'
    | 'round-unknown'
    | 'member-unknown'
    | 'instant-too-early'
    | 'instant-too-late';
  readonly text: string;
  /** With `instant-too-early` and `instant-too-late`: the soonest instant that can be asked for, Unix time in milliseconds. */
  readonly earliestAtMs?: number;
  /** With `instant-too-late`: the last one. */
  readonly latestAtMs?: number;
}
