import type { ItemEdit, RetrievalBody } from '../core/bodies.js';
import type { ProductionRow } from '../core/items.js';
import type { CopyName, CycleState, SynchronisationTable, Plan, PlanStep, StepCounts } from '../core/table.js';

/**
 * The database of a data server: the synchronisation table and the three copies. Both adapters pass the suite in
 * `tests/integration/conformance/cycle-store-conformance.ts`. Every method is one transaction: it happens as a whole or not at all, readers see the state before
 * or after, and what has resolved survives the death of the process. All reject with `store-unusable` when the database
 * doesn't do it.
 */
export interface CycleStore {
  /** The table, and what deciding needs; `nowMs` tells which retrievals still count. */
  state(nowMs: number): Promise<CycleState>;
  /** Decides by the state, and does the plan, while nobody else can change anything. */
  change<Result>(nowMs: number, decide: (state: CycleState) => Plan<Result>): Promise<Changed<Result>>;
  /** Some changes of a copy, read together with the table that they belong to. */
  page<Result>(choose: (table: SynchronisationTable) => PageChoice<Result>): Promise<Page<Result>>;
  /** In their order; the answer is how many keys changed. */
  edit(edits: readonly ItemEdit[]): Promise<number>;
  item(key: string): Promise<ProductionRow | null>;
  /** Items of production that have a value, in the order of their keys' bytes. */
  items(query: ItemsQuery): Promise<readonly StoredItem[]>;
  recordRetrieval(report: RetrievalBody): Promise<void>;
  close(): Promise<void>;
}

/** What a database begins with when there is none. */
export interface NewDatabase {
  readonly intervalMs: number;
  readonly originMs: number;
  readonly nowMs: number;
  readonly afterStep?: AfterStep | undefined;
}

export interface Changed<Result> {
  readonly result: Result;
  readonly counts: StepCounts;
  /** Afterwards. */
  readonly state: CycleState;
}

export interface PageChoice<Result> {
  /** Null: nothing is to be read. */
  readonly request: PageRequest | null;
  readonly result: Result;
}

export interface PageRequest {
  readonly copy: CopyName;
  /** Only what changed after this cycle, deletes too; null: the whole copy, without deletes. */
  readonly since: number | null;
  /** Only what comes after this one. */
  readonly after: Position | null;
  readonly maxChanges: number;
  /** The page ends with the item that exceeds it. */
  readonly maxCharacters: number;
}

/** Where a page ended: whole copies go by key, changes by cycle and key. */
export interface Position {
  readonly cycle: number;
  readonly key: string;
}

export interface Page<Result> {
  readonly table: SynchronisationTable;
  readonly result: Result;
  readonly changes: readonly CopiedItem[];
  /** Null: that was all. */
  readonly next: Position | null;
}

/** An item of the staged or the active copy, as it changed. */
export interface CopiedItem {
  readonly key: string;
  /** JSON; null: deleted. */
  readonly value: string | null;
  /** That changed it last. */
  readonly cycle: number;
}

/** Which items of production. */
export interface ItemsQuery {
  readonly prefix: string;
  readonly after: string | null;
  readonly limit: number;
}

/** An item of production. */
export interface StoredItem extends ProductionRow {
  readonly key: string;
}

/**
 * For tests of what a death in the middle leaves behind: called inside the transaction, after each step. The embedded
 * database doesn't wait for it.
 */
export type AfterStep = (step: PlanStep) => void | Promise<void>;
