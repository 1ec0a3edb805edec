import type { QueryResult, QueryResultRow } from 'pg';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import { cycleBounds } from '../core/bounds.js';
import type { ProductionRow } from '../core/items.js';
import type { CopyName, CycleState, SynchronisationTable, PlanStep } from '../core/table.js';
import type { CopiedItem, PageRequest } from './cycle-store.js';
import * as sql from './postgresql-schema.js';

/** A connection, or a pool of them. */
export interface Asked {
  query<Row extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<Row>>;
}

/** Numbers of eight bytes come as texts. */
export interface TableRow {
  readonly format: number;
  readonly source: string;
  readonly cycle: string;
  readonly activate_at_ms: string;
  readonly interval_ms: string;
  readonly origin_ms: string;
  readonly active_cycle: string;
  readonly activated_at_ms: string | null;
  readonly pruned_cycle: string;
  readonly lock_holder: string | null;
  readonly lock_token: string | null;
  readonly lock_until_ms: string | null;
  readonly production_items: string;
  readonly staged_items: string;
  readonly active_items: string;
}

interface StateRow extends TableRow {
  readonly waiting: string;
  readonly latest_date: string | null;
  readonly retrieval_name: string | null;
  readonly retrieval_cycle: string | null;
  readonly duration_ms: number | null;
  readonly at_ms: number | null;
}

export interface ItemRow {
  readonly key: Buffer;
  readonly value: string | null;
  readonly not_before_ms: string | null;
  readonly waiting: boolean;
}

export interface RetrievalRow {
  readonly duration_ms: number;
  readonly at_ms: number;
}

export async function stateIn(asked: Asked, nowMs: number): Promise<CycleState> {
  const { rows } = await asked.query<StateRow>(sql.readState, [nowMs - cycleBounds.retrievalMemoryMs]);
  const table = tableIn(rows);
  const [row] = rows;
  if (row === undefined) throw lostTable();
  const items = {
    production: Number(row.production_items),
    staged: Number(row.staged_items),
    active: Number(row.active_items),
  };
  return {
    ...table,
    items,
    waiting: Number(row.waiting),
    latestStagedDateMs: numberOrNull(row.latest_date),
    worstRetrieval:
      row.retrieval_name === null || row.duration_ms === null || row.at_ms === null
        ? null
        : {
            by: row.retrieval_name,
            cycle: Number(row.retrieval_cycle),
            durationMs: row.duration_ms,
            atMs: row.at_ms,
          },
  };
}

export function tableIn(rows: readonly TableRow[]): SynchronisationTable {
  const [row] = rows;
  if (row === undefined) throw lostTable();
  const lock =
    row.lock_holder === null || row.lock_token === null || row.lock_until_ms === null
      ? null
      : { holder: row.lock_holder, token: row.lock_token, untilMs: Number(row.lock_until_ms) };
  return {
    source: row.source,
    cycle: Number(row.cycle),
    activateAtMs: Number(row.activate_at_ms),
    intervalMs: Number(row.interval_ms),
    originMs: Number(row.origin_ms),
    active: { cycle: Number(row.active_cycle), activatedAtMs: numberOrNull(row.activated_at_ms) },
    prunedCycle: Number(row.pruned_cycle),
    lock,
  };
}

export async function writeTable(client: Asked, table: SynchronisationTable): Promise<void> {
  const { lock } = table;
  await client.query(sql.writeTable, [
    ...numbersOf(table),
    lock?.holder ?? null,
    lock?.token ?? null,
    lock?.untilMs ?? null,
  ]);
}

/** In the order of the columns. */
export function numbersOf(table: SynchronisationTable): readonly (number | null)[] {
  const { cycle, activateAtMs, intervalMs, originMs, active, prunedCycle } = table;
  return [cycle, activateAtMs, intervalMs, originMs, active.cycle, active.activatedAtMs, prunedCycle];
}

export async function take(
  client: Asked,
  step: PlanStep,
  counts: { activated: number; staged: number },
): Promise<void> {
  switch (step.kind) {
    case 'activate':
      counts.activated += (await client.query(sql.activate, [step.aboveCycle])).rowCount ?? 0;
      return;
    case 'stage': {
      const due = [step.dueMs, step.keys === null ? null : step.keys.map((key) => Buffer.from(key))];
      counts.staged += (await client.query(sql.stage, [...due, step.cycle])).rowCount ?? 0;
      await client.query(sql.stageDeletes, due);
      await client.query(sql.stageRest, due);
      return;
    }
    case 'prune':
      for (const copy of ['staged', 'active'] as const)
        await client.query(`DELETE FROM lockstep_${copy} WHERE value IS NULL AND cycle <= $1`, [step.upToCycle]);
  }
}

export async function recount(client: Asked, copy: CopyName): Promise<void> {
  await client.query(
    `UPDATE lockstep_cycle SET ${copy}_items = (SELECT count(*) FROM lockstep_${copy} WHERE value IS NOT NULL)`,
  );
}

/**
 * At least as many rows as a page takes, and one more where there is one; of large values not many more. (A text has no more
 * characters there than here: with the sum up to the row before the one before, the row that ends the page is still read.)
 */
export async function rowsOf(asked: Asked, request: PageRequest): Promise<readonly CopiedItem[]> {
  const { copy, since, after, maxChanges, maxCharacters } = request;
  const isWhole = since === null;
  const order = isWhole ? 'key' : 'cycle, key';
  const wanted = isWhole
    ? 'value IS NOT NULL AND $1::bigint IS NULL AND ($2::bigint IS NULL OR key > $3)'
    : 'cycle > $1::bigint AND ($2::bigint IS NULL OR (cycle, key) > ($2, $3::bytea))';
  const { rows } = await asked.query<CopiedRow>(
    `SELECT key, value, cycle FROM (
       SELECT *, sum(length(value)) OVER (ORDER BY ${order} ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before
       FROM (SELECT * FROM lockstep_${copy} WHERE ${wanted} ORDER BY ${order} LIMIT $4) AS first
     ) AS summed WHERE coalesce(before, 0) < $5 ORDER BY ${order}`,
    [since, after?.cycle ?? null, after === null ? null : Buffer.from(after.key), maxChanges + 1, maxCharacters],
  );
  return rows.map(({ key, value, cycle }) => ({ key: key.toString(), value, cycle: Number(cycle) }));
}

interface CopiedRow {
  readonly key: Buffer;
  readonly value: string | null;
  readonly cycle: string;
}

export async function productionIn(asked: Asked, keys: readonly string[]): Promise<Map<string, ProductionRow>> {
  const { rows } = await asked.query<ItemRow>(
    'SELECT key, value, not_before_ms, waiting FROM lockstep_production WHERE key = ANY ($1::bytea[])',
    [keys.map((key) => Buffer.from(key))],
  );
  return new Map(rows.map((row) => [row.key.toString(), productionRow(row)]));
}

export function productionRow({ value, not_before_ms, waiting }: ItemRow): ProductionRow {
  return { value, notBeforeMs: numberOrNull(not_before_ms), waiting };
}

function numberOrNull(text: string | null): number | null {
  return text === null ? null : Number(text);
}

function lostTable(): LockstepError {
  return new LockstepError('store-unusable', 'the database has lost the row of lockstep_cycle; restore it');
}
