import type { Json } from '../../shared/protocol/key-value/operations.js';

/**
 * What travels between a data server and the servers that copy from it, and to management tools: JSON over HTTP. Instants
 * are whole milliseconds since 1970 by the data server's clock, and so are the stamps; durations are milliseconds.
 */

/** Two of the four stamps that a clock is compared with: the asker has the other two. */
export interface ClockBody {
  /**
   * Names one process lifetime of the data server. Its clock goes steadily while this stays the same: it's the wall clock at
   * the start, and what the monotonic clock has run since. With another id, whatever was learnt of the clock before is void.
   */
  readonly id: string;
  /** When the request had arrived; with fractions. */
  readonly receivedMs: number;
  /** When the answer was made; with fractions. */
  readonly sentMs: number;
}

export interface LockBody {
  /** Who holds the right to roll, by the name that was given in `by`. */
  readonly holder: string;
  /** When it ends by itself. */
  readonly untilMs: number;
}

/** `GET /v1/cycle`, and what every change of the table answers with: the table as it is then. */
export interface CycleBody {
  /** Names the database. Cycles of another one are nothing to compare with: take a whole copy. */
  readonly source: string;
  /**
   * The cycle that is staged. It rises with each roll *and* with each promotion in between, so that it names exactly one
   * content: who holds another cycle in its staged copy fetches before it arms.
   */
  readonly cycle: number;
  /** When the staged content becomes active, everywhere. In the past: nobody has rolled since. */
  readonly activateAtMs: number;
  readonly intervalMs: number;
  /** Some instant of the grid on which activations lie: `originMs` plus a whole number of intervals. */
  readonly originMs: number;
  readonly active: {
    /** The cycle whose content is active; 0: nothing was ever activated. */
    readonly cycle: number;
    /** The instant at which it became so; null: nothing was ever activated. */
    readonly activatedAtMs: number | null;
  };
  /** Keys that have a value, in each of the three copies. */
  readonly items: { readonly production: number; readonly staged: number; readonly active: number };
  /** Keys whose last edit in production isn't staged, dated ones among them. */
  readonly waiting: number;
  readonly lock: LockBody | null;
  /** The longest retrieval of the last day; null: none was reported. */
  readonly worstRetrieval: RetrievalBody | null;
  /** Whether the worst retrieval is shorter than the interval. */
  readonly intervalFits: boolean;
  readonly clock: ClockBody;
}

/** The body of `POST /v1/cycle/roll`. */
export interface RollRequest {
  /** Who asks, for people: a server's name, 1 to 200 characters. */
  readonly by: string;
}

/**
 * The answer to `POST /v1/cycle/roll`: the table afterwards. A roll that somebody else has the lock for is refused with 409
 * `locked`, and the message and `LockedBody` say until when.
 */
export interface RollBody extends CycleBody {
  /** Whether this call rolled: its caller was the first after the activation time. */
  readonly rolled: boolean;
}

export interface LockedBody {
  readonly error: { readonly code: 'locked'; readonly message: string };
  readonly lock: LockBody;
  readonly clock: ClockBody;
}

export type ItemChange = { readonly put: readonly [key: string, value: Json] } | { readonly delete: string };

/**
 * `GET /v1/cycle/staged?since=C&source=S` and `GET /v1/cycle/active?since=C&source=S`: what leads from the content of cycle
 * `from` to that of `cycle`, each key once, in no order. When `since` isn't given, is too old to tell, is newer than `cycle`, or `source`
 * isn't this database, `from` is null and the changes are the whole copy: nothing but puts.
 *
 * A page has a bound. With `next` other than null there is more: ask again with the same `since` and `source`, and with
 * `cycle` and `after=next` added; 409 `cycle-moved` then says that this content is gone, and to begin again.
 *
 * `active` answers as if rolled: from the activation time on it's what was staged, whether or not anybody has rolled.
 */
export interface ChangesBody {
  readonly source: string;
  readonly cycle: number;
  /** When this content becomes active, or became so; null: `active` before the first activation. */
  readonly activateAtMs: number | null;
  readonly from: number | null;
  readonly changes: readonly ItemChange[];
  /** Opaque. */
  readonly next: string | null;
  readonly clock: ClockBody;
}

/** The body of `PUT /v1/cycle/interval`. Both hold from the next roll on. */
export interface IntervalRequest {
  readonly intervalMs: number;
  /** Moves the grid; default: it stays. */
  readonly originMs?: number;
}

/** The body of `POST /v1/cycle/promote`; none is as good as an empty one. */
export interface PromoteRequest {
  /** Only these; default: everything that waits and isn't dated later than the activation. */
  readonly keys?: readonly string[];
}

export interface PromoteBody extends CycleBody {
  /** Keys whose staged content changed. */
  readonly promoted: number;
}

/** The body of `POST /v1/cycle/activate-now`; none is as good as an empty one. */
export interface ActivateNowRequest {
  /**
   * How long from now, default 0: the cycle rolls within this call, and each server switches when it next asks. Give more
   * than servers take to ask and to fetch, and they switch at one instant.
   */
  readonly inMs?: number;
}

/** The body of `POST /v1/cycle/retrievals`: how long a server took to bring its staged copy to a cycle. */
export interface RetrievalRequest {
  readonly by: string;
  readonly cycle: number;
  readonly durationMs: number;
}

/** A retrieval as it is kept. */
export interface RetrievalBody extends RetrievalRequest {
  /** When it was reported. */
  readonly atMs: number;
}

/** The body of `PUT /v1/items/{key}`. */
export interface ItemRequest {
  readonly value: Json;
  /** Not active before this instant: staged for the first activation at or after it. Default: at once. */
  readonly notBeforeMs?: number;
}

/** `GET /v1/items/{key}`: the item in production. */
export interface ItemBody {
  readonly key: string;
  readonly value: Json;
  readonly notBeforeMs: number | null;
  /** Whether this edit isn't staged yet. */
  readonly waiting: boolean;
}

/** `GET /v1/items?prefix=&after=&limit=`: production, in key order. */
export interface ItemsBody {
  readonly items: readonly ItemBody[];
  /** Give it as `after`; null: that was all. */
  readonly next: string | null;
}

/** One of the operations in the body of `POST /v1/items`, which edits production by all of them or by none. */
export type ItemEdit =
  { readonly put: readonly [key: string, value: Json]; readonly notBeforeMs?: number } | { readonly delete: string };

export interface EditsRequest {
  readonly operations: readonly ItemEdit[];
}

/** What `PUT`, `DELETE` and `POST` of items answer with. */
export interface EditedBody {
  /** Keys whose production content changed: writing what is there changes nothing. */
  readonly changed: number;
}

/** The body of `POST /v1/cycle/activations`: when a server showed a cycle to its readers, by this clock as it knows it. */
export interface ActivationRequest {
  readonly by: string;
  readonly cycle: number;
  /** The best estimate, off by no more than `errorMs`. */
  readonly reachedMs: number;
  readonly errorMs: number;
  /** It wasn't ready at the instant, and showed it when it was. */
  readonly late: boolean;
}

/** One activation, as the servers reported it. */
export interface ActivationSpreadBody {
  readonly cycle: number;
  /** Those that were in time; the figures are of these. */
  readonly servers: number;
  readonly late: number;
  /** Null: nobody was in time. */
  readonly earliestMs: number | null;
  readonly latestMs: number | null;
  readonly spreadMs: number | null;
  /** The largest error that any of them reported: each instant is off by no more. */
  readonly worstErrorMs: number | null;
}

/** `GET /v1/cycle/activations`: those since the data server started, newest first, within a bound. */
export interface ActivationsBody {
  readonly activations: readonly ActivationSpreadBody[];
}
