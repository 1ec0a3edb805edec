import type { ClockStamps } from '../../../shared/protocol/clock/clock-estimate.js';
import type { EventLevel } from '../../../shared/protocol/kernel/events.js';
import type { CycleCopyCoreEvents } from './events.js';

/** Names one content of the data server: it rises with each roll, and with each promotion in between. */
export type Cycle = number;

/** The synchronisation table, as far as a copy needs it. Instants are milliseconds of the data server's clock. */
export interface CycleTable {
  /** Names the database: cycles of another one are nothing to compare with. */
  readonly source: string;
  /** That of the staged content: what becomes active at `activateAtMs`. */
  readonly cycle: Cycle;
  readonly activateAtMs: number;
  readonly intervalMs: number;
  /** That of the active content: what is shown until then. */
  readonly activeCycle: Cycle;
}

/** Stamps of one question and its answer, and which clock gave those in the middle. */
export interface CycleStamps extends ClockStamps {
  /** Names one process lifetime of the data server: with another one, what was learnt of its clock is void. */
  readonly clockId: string;
}

/** What the two copies hold. */
export interface HeldCopies {
  /** The database that they came from; null: nothing yet. */
  readonly source: string | null;
  /** What readers see; null: nothing yet. */
  readonly active: Cycle | null;
  /** What an activation would show. It may be an older content than the active one's: after a swap it is. */
  readonly staged: Cycle | null;
  /** The content that the next staged one is built on: what changed since is enough. Null: a whole one is needed. */
  readonly base: Cycle | null;
}

export type ContentKind = 'staged' | 'active';

/** Names the answer that belongs to an effect. Unique within one core. */
export type RequestId = number;

export type CycleAnswer =
  | { readonly kind: 'table'; readonly table: CycleTable; readonly rolled: boolean }
  /** Somebody else rolls; by the data server's clock the lock is over at `untilMs`. */
  | { readonly kind: 'locked'; readonly holder: string; readonly untilMs: number }
  /** A content arrived: `changes` of it lead from `from` to `cycle`; null: from nothing. */
  | {
      readonly kind: 'content';
      readonly source: string;
      readonly cycle: Cycle;
      /** When it becomes active, or became so; null: no activation made it so. */
      readonly activateAtMs: number | null;
      readonly from: Cycle | null;
      readonly changes: number;
    };

/** What happened. The only way in: `core.step(input, nowMs)`. */
export type CycleInput =
  | { readonly kind: 'start'; readonly held: HeldCopies }
  | { readonly kind: 'tick' }
  | {
      readonly kind: 'answered';
      readonly request: RequestId;
      readonly answer: CycleAnswer;
      readonly stamps: CycleStamps;
    }
  /** No answer came, or none that can be used. */
  | { readonly kind: 'failed'; readonly request: RequestId; readonly reason: string }
  /** What `store` asked for is durable; an active content shows from now on. */
  | { readonly kind: 'stored'; readonly request: RequestId; readonly held: HeldCopies }
  /** What `expose` asked for shows since `atMs` of the monotonic clock. */
  | { readonly kind: 'exposed'; readonly held: HeldCopies; readonly atMs: number }
  /** The wall clock outran the monotonic one by this: it was set, or the machine slept. */
  | { readonly kind: 'suspended'; readonly byMs: number }
  /** Nothing can be stored any more: what shows stays, and nothing follows. */
  | { readonly kind: 'broken'; readonly reason: string };

/** What is to be done about it. Plain data; done in order. */
export type CycleEffect =
  | { readonly kind: 'ask'; readonly request: RequestId; readonly what: 'table' | 'roll' }
  | {
      readonly kind: 'fetch';
      readonly request: RequestId;
      readonly of: ContentKind;
      /** Only what changed since this content of `source`; null: all of it. */
      readonly since: Cycle | null;
      readonly source: string;
    }
  /** Store durably what the request brought; an active content is shown then, a staged one is not. */
  | { readonly kind: 'store'; readonly request: RequestId; readonly of: ContentKind }
  /** Answered at once, with `exposed`: readers see the staged content from now on. It is durable already. */
  | { readonly kind: 'expose'; readonly cycle: Cycle }
  /** How long a retrieval took, for the data server. */
  | { readonly kind: 'reportRetrieval'; readonly cycle: Cycle; readonly durationMs: number }
  /** When an activation showed, for the data server. */
  | { readonly kind: 'reportActivation'; readonly activation: Activation }
  | {
      readonly kind: 'event';
      readonly name: keyof CycleCopyCoreEvents;
      readonly level: EventLevel;
      readonly fields: Readonly<Record<string, unknown>>;
    };

/** One activation as this copy measured it, in the data server's time. */
export interface Activation {
  readonly cycle: Cycle;
  /** The prearranged instant; null: it passed before this process knew of it. */
  readonly activateAtMs: number | null;
  /** When readers saw the new content: the best estimate, off by no more than `errorMs`. */
  readonly reachedMs: number;
  readonly errorMs: number;
  /** It showed after its instant by more than a timer's grain. */
  readonly late: boolean;
}

/** What a copy is worth to a reader: see `CycleCopy.state`. */
export type CycleCopyState = 'current' | 'serving' | 'catching up' | 'failed';

/** A core's account of itself. */
export interface CycleView {
  readonly state: CycleCopyState;
  /** Why it isn't current; empty when it is. */
  readonly reason: string;
  readonly active: Cycle | null;
  readonly staged: Cycle | null;
  /** As it was read last. */
  readonly table: CycleTable | null;
  /** How long ago that was; null: never. */
  readonly readMsAgo: number | null;
  /** Whether the staged content waits for its instant, and how long it still has to. */
  readonly armed: { readonly cycle: Cycle; readonly activateAtMs: number; readonly inMs: number } | null;
  /** The data server's time, as it is known here. */
  readonly clock: { readonly nowMs: number; readonly errorMs: number } | null;
  /** The last retrieval of a staged content, and the longest. */
  readonly retrieval: { readonly cycle: Cycle; readonly durationMs: number; readonly longestMs: number } | null;
  readonly lastActivation: Activation | null;
}
