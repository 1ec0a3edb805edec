import type { RetrievalBody } from './bodies.js';

/**
 * The synchronisation table of a pull cycle, and what may be done to it: plain data. Deciding is apart from doing, so that
 * two databases do exactly the same.
 */

/** What is staged and active, and when that changes. Instants are whole milliseconds of the data server's clock. */
export interface SynchronisationTable {
  /** Names the database; drawn when it's made. */
  readonly source: string;
  /** The content that is staged. */
  readonly cycle: number;
  /** From this instant on the staged content *is* active, whether or not anybody has rolled since. */
  readonly activateAtMs: number;
  readonly intervalMs: number;
  /** Some instant of the grid on which activations lie. */
  readonly originMs: number;
  readonly active: { readonly cycle: number; readonly activatedAtMs: number | null };
  /** Deletes up to this cycle are forgotten: who is at an older one takes a whole copy. */
  readonly prunedCycle: number;
  readonly lock: TableLock | null;
}

/** Somebody rolls. */
export interface TableLock {
  /** For people. */
  readonly holder: string;
  /** Told only to the holder: two that have one name are two. */
  readonly token: string;
  readonly untilMs: number;
}

/** The table, and what deciding needs to know of the items. */
export interface CycleState extends SynchronisationTable {
  readonly items: { readonly production: number; readonly staged: number; readonly active: number };
  readonly waiting: number;
  /** The latest date of an item that is staged and not active yet. */
  readonly latestStagedDateMs: number | null;
  readonly worstRetrieval: RetrievalBody | null;
}

/** The two copies that servers fetch. */
export type CopyName = 'staged' | 'active';

/** One part of a plan. They are done in the order of the plan, all of them or none, and nobody sees a part. */
export type PlanStep =
  /** active ← staged: what was staged after this cycle. */
  | { readonly kind: 'activate'; readonly aboveCycle: number }
  /** staged ← production: what waits, has no date or one up to `dueMs`, and differs from what is staged. */
  | { readonly kind: 'stage'; readonly cycle: number; readonly dueMs: number; readonly keys: readonly string[] | null }
  /** Forgets deletes of this cycle and before, in both copies. */
  | { readonly kind: 'prune'; readonly upToCycle: number };

/** What a decision wants done, in one transaction. */
export interface Plan<Result> {
  /** Null: the table stays as it is. */
  readonly table: SynchronisationTable | null;
  readonly steps: readonly PlanStep[];
  readonly result: Result;
}

/** Keys whose content was changed by the steps of a plan. */
export interface StepCounts {
  readonly activated: number;
  readonly staged: number;
}

/** Why something isn't done. The message has the figures and says what to do. */
export interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  readonly message: string;
  /** With `locked`. */
  readonly lock?: TableLock;
}

export const refusalCodes = ['locked', 'interval-too-short', 'too-late', 'dated-later', 'cycle-moved'] as const;
/** Why something isn't done now; `docs/cycle.md` lists them. */
export type RefusalCode = (typeof refusalCodes)[number];
