import { randomBytes } from 'node:crypto';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { StoreKey } from '../../shared/protocol/kernel/store.js';
import type { ItemEdit, RetrievalBody } from '../core/bodies.js';
import { cycleBounds } from '../core/bounds.js';
import { keepsRetrieval, newTable } from '../core/cycle.js';
import { editedRow, isDueRow, keyOf, liveDifference, type ProductionRow } from '../core/items.js';
import type { CopyName, CycleState, SynchronisationTable, Plan, PlanStep } from '../core/table.js';
import type {
  AfterStep,
  Changed,
  CopiedItem,
  CycleStore,
  ItemsQuery,
  NewDatabase,
  Page,
  PageChoice,
  PageRequest,
  StoredItem,
} from './cycle-store.js';
import { LmdbRecords } from './lmdb-records.js';
import { pageOf } from './page.js';

export interface EmbeddedStoreOptions extends NewDatabase {
  /** Made when it isn't there. */
  readonly folder: string;
}

/** An item of the staged or the active copy. */
interface CopyRow {
  readonly value: string | null;
  readonly notBeforeMs: number | null;
  readonly cycle: number;
}

/** That it waits is in the index, so that staging it writes nothing here. */
type ItemRow = Omit<ProductionRow, 'waiting'>;

interface Counts {
  readonly production: number;
  readonly staged: number;
  readonly active: number;
}

/** What this code writes and reads. Another number is refused: nothing is converted on the way. */
const format = 1;
const formatKey: StoreKey = ['cycle', 'format'];
const tableKey: StoreKey = ['cycle', 'table'];
const countsKey: StoreKey = ['cycle', 'counts'];

/**
 * The embedded database: LMDB in a folder. Its own transactions do what is asked of the port: a writer that dies leaves
 * nothing behind, and readers see one state.
 *
 * Keys: `production|staged|active KEY`; and what is found without looking at all items: `waiting KEY` for what isn't staged
 * yet, `staged-by|active-by CYCLE KEY` by the cycle of the last change, `staged-dated CYCLE KEY` for what has a date;
 * `retrieval NAME` and, the longest first, `retrieval-by -DURATION NAME`.
 */
export class EmbeddedCycleStore implements CycleStore {
  readonly #records: LmdbRecords;
  readonly #afterStep: AfterStep | undefined;
  /** What the transaction that runs adds; written once, at its end. */
  #added = { production: 0, staged: 0, active: 0 };

  private constructor(records: LmdbRecords, afterStep: AfterStep | undefined) {
    this.#records = records;
    this.#afterStep = afterStep;
  }

  /**
   * Rejects with `store-unusable` when the folder can't be written or its database is damaged, with `store-foreign` when it holds
   * something else, with `store-format` when another version of this program wrote it; nothing is touched then.
   */
  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedCycleStore> {
    const records = await LmdbRecords.open(options.folder);
    try {
      records.write(() => {
        prepare(records, options);
      });
    } catch (error) {
      await records.close();
      throw error;
    }
    return new EmbeddedCycleStore(records, options.afterStep);
  }

  async state(nowMs: number): Promise<CycleState> {
    return this.#records.read(() => this.#state(nowMs));
  }

  async change<Result>(nowMs: number, decide: (state: CycleState) => Plan<Result>): Promise<Changed<Result>> {
    return this.#write(() => {
      const { table, steps, result } = decide(this.#state(nowMs));
      const counts = { activated: 0, staged: 0 };
      for (const step of steps) {
        this.#take(step, counts);
        void this.#afterStep?.(step);
      }
      if (table !== null) this.#records.put(tableKey, table);
      this.#writeCounts();
      return { result, counts, state: this.#state(nowMs) };
    });
  }

  async page<Result>(choose: (table: SynchronisationTable) => PageChoice<Result>): Promise<Page<Result>> {
    return this.#records.read(() => {
      const table = this.#table();
      const { request, result } = choose(table);
      if (request === null) return { table, result, changes: [], next: null };
      return {
        table,
        result,
        ...pageOf(request.since === null ? this.#whole(request) : this.#since(request), request),
      };
    });
  }

  async edit(edits: readonly ItemEdit[]): Promise<number> {
    return this.#write(() => {
      const changed = new Set<string>();
      for (const edit of edits) {
        const key = keyOf(edit);
        const before = this.#item(key);
        const after = editedRow(before, edit);
        if (after === null) continue;
        changed.add(key);
        this.#added.production += liveDifference(before, after);
        this.#records.put(['production', key], {
          value: after.value,
          notBeforeMs: after.notBeforeMs,
        } satisfies ItemRow);
        if (before?.waiting !== true) this.#records.put(['waiting', key], true);
      }
      this.#writeCounts();
      return changed.size;
    });
  }

  async item(key: string): Promise<ProductionRow | null> {
    return this.#records.read(() => this.#item(key));
  }

  async items({ prefix, after, limit }: ItemsQuery): Promise<readonly StoredItem[]> {
    return this.#records.read(() => {
      const found: StoredItem[] = [];
      const start = after !== null && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) > 0 ? after : prefix;
      for (const { key, row } of this.#records.rows<ItemRow>(['production'], start === '' ? [] : [start])) {
        const name = String(key[1]);
        // In the order of bytes, all that have the prefix stand together.
        if ((found.length === limit || !name.startsWith(prefix)) && name !== after) break;
        if (row.value !== null && name !== after) found.push({ key: name, ...row, waiting: this.#isWaiting(name) });
      }
      return found;
    });
  }

  async recordRetrieval(report: RetrievalBody): Promise<void> {
    const records = this.#records;
    records.write(() => {
      const kept = records.get<RetrievalBody>(['retrieval', report.by]);
      if (keepsRetrieval(kept, report)) return;
      this.#forgetRetrieval(kept);
      records.put(['retrieval', report.by], report);
      records.put(['retrieval-by', -report.durationMs, report.by], true);
      if (records.countUnder(['retrieval']) <= cycleBounds.maxRetrievers) return;
      const others = [...records.rows<RetrievalBody>(['retrieval'])].filter(({ row }) => row.by !== report.by);
      this.#forgetRetrieval(others.reduce((oldest, each) => (each.row.atMs < oldest.row.atMs ? each : oldest)).row);
    });
  }

  async close(): Promise<void> {
    await this.#records.close();
  }

  #forgetRetrieval(kept: RetrievalBody | null): void {
    if (kept === null) return;
    this.#records.remove(['retrieval', kept.by]);
    this.#records.remove(['retrieval-by', -kept.durationMs, kept.by]);
  }

  #take(step: PlanStep, counts: { activated: number; staged: number }): void {
    switch (step.kind) {
      case 'activate':
        counts.activated += this.#activate(step.aboveCycle);
        return;
      case 'stage':
        counts.staged += this.#stage(step);
        return;
      case 'prune':
        this.#prune('staged', step.upToCycle);
        this.#prune('active', step.upToCycle);
    }
  }

  #activate(aboveCycle: number): number {
    const changed = [...this.#records.rows<true>(['staged-by'], [aboveCycle + 1])];
    for (const { key } of changed) {
      const name = String(key[2]);
      const row = this.#records.get<CopyRow>(['staged', name]);
      if (row !== null) this.#copy('active', name, row, this.#records.get<CopyRow>(['active', name]));
    }
    return changed.length;
  }

  #stage({ cycle, dueMs, keys }: PlanStep & { readonly kind: 'stage' }): number {
    const waiting = keys ?? [...this.#records.rows<true>(['waiting'])].map(({ key }) => String(key[1]));
    let staged = 0;
    for (const key of waiting) {
      const row = this.#item(key);
      if (row === null || !isDueRow(row, dueMs)) continue;
      this.#records.remove(['waiting', key]);
      if (row.value === null) this.#records.remove(['production', key]);
      const before = this.#records.get<CopyRow>(['staged', key]);
      // Edited back to what is staged: nothing to copy, here or at any hop that follows.
      if ((before?.value ?? null) === row.value) continue;
      this.#copy('staged', key, { value: row.value, notBeforeMs: row.notBeforeMs, cycle }, before);
      staged += 1;
    }
    return staged;
  }

  #copy(copy: CopyName, key: string, row: CopyRow, before: CopyRow | null): void {
    if (before !== null) {
      this.#records.remove([`${copy}-by`, before.cycle, key]);
      if (before.notBeforeMs !== null) this.#records.remove([`${copy}-dated`, before.cycle, key]);
    }
    this.#records.put([copy, key], row);
    this.#records.put([`${copy}-by`, row.cycle, key], true);
    if (row.notBeforeMs !== null) this.#records.put([`${copy}-dated`, row.cycle, key], row.notBeforeMs);
    this.#added[copy] += Number(row.value !== null) - Number(before !== null && before.value !== null);
  }

  #prune(copy: CopyName, upToCycle: number): void {
    const old: StoreKey[] = [];
    for (const { key } of this.#records.rows<true>([`${copy}-by`])) {
      if (Number(key[1]) > upToCycle) break;
      old.push(key);
    }
    for (const key of old) {
      const name = String(key[2]);
      if (this.#records.get<CopyRow>([copy, name])?.value !== null) continue;
      this.#records.remove(key);
      this.#records.remove([copy, name]);
    }
  }

  #state(nowMs: number): CycleState {
    const table = this.#table();
    let latestStagedDateMs: number | null = null;
    for (const { row } of this.#records.rows<number>(['staged-dated'], [table.active.cycle + 1]))
      latestStagedDateMs = Math.max(row, latestStagedDateMs ?? row);
    const waiting = this.#records.countUnder(['waiting']);
    return { ...table, items: this.#counts(), waiting, latestStagedDateMs, worstRetrieval: this.#worst(nowMs) };
  }

  #worst(nowMs: number): RetrievalBody | null {
    for (const { key } of this.#records.rows<true>(['retrieval-by'])) {
      const report = this.#records.get<RetrievalBody>(['retrieval', String(key[2])]);
      if (report !== null && report.atMs > nowMs - cycleBounds.retrievalMemoryMs) return report;
    }
    return null;
  }

  #item(key: string): ProductionRow | null {
    const row = this.#records.get<ItemRow>(['production', key]);
    return row === null ? null : { ...row, waiting: this.#isWaiting(key) };
  }

  #isWaiting(key: string): boolean {
    return this.#records.get<true>(['waiting', key]) !== null;
  }

  #write<Result>(work: () => Result): Result {
    this.#added = { production: 0, staged: 0, active: 0 };
    return this.#records.write(work);
  }

  #table(): SynchronisationTable {
    const table = this.#records.get<SynchronisationTable>(tableKey);
    if (table !== null) return table;
    throw new LockstepError('store-unusable', `the store ${this.#records.folder} has lost its table; restore it`);
  }

  #counts(): Counts {
    return this.#records.get<Counts>(countsKey) ?? { production: 0, staged: 0, active: 0 };
  }

  #writeCounts(): void {
    const { production, staged, active } = this.#counts();
    const added = this.#added;
    if (added.production === 0 && added.staged === 0 && added.active === 0) return;
    this.#records.put(countsKey, {
      production: production + added.production,
      staged: staged + added.staged,
      active: active + added.active,
    } satisfies Counts);
  }

  *#whole({ copy, after }: PageRequest): Iterable<CopiedItem> {
    for (const { key, row } of this.#records.rows<CopyRow>([copy], after === null ? [] : [after.key])) {
      const name = String(key[1]);
      if (row.value !== null && name !== after?.key) yield { key: name, value: row.value, cycle: row.cycle };
    }
  }

  *#since({ copy, since, after }: PageRequest): Iterable<CopiedItem> {
    const start = after === null ? [(since ?? 0) + 1] : [after.cycle, after.key];
    for (const { key } of this.#records.rows<true>([`${copy}-by`], start)) {
      const name = String(key[2]);
      const cycle = Number(key[1]);
      if (cycle === after?.cycle && name === after.key) continue;
      const row = this.#records.get<CopyRow>([copy, name]);
      if (row !== null) yield { key: name, value: row.value, cycle };
    }
  }
}

function prepare(records: LmdbRecords, { folder, intervalMs, originMs, nowMs }: EmbeddedStoreOptions): void {
  const found = records.get<unknown>(formatKey);
  if (found === format) return;
  if (found !== null) {
    const message = `the store ${folder} has format ${JSON.stringify(found)}, this program reads and writes format ${format}; give another folder, or use the program that made it; nothing was touched`;
    throw new LockstepError('store-format', message);
  }
  if (!records.isEmpty) {
    const message = `${folder} holds a database that is no data server's; give another folder; nothing was touched`;
    throw new LockstepError('store-foreign', message);
  }
  const source = randomBytes(16).toString('hex');
  records.put(formatKey, format);
  records.put(tableKey, newTable({ source, intervalMs, originMs }, nowMs));
  records.put(countsKey, { production: 0, staged: 0, active: 0 } satisfies Counts);
}
