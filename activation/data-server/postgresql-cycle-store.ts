import { randomBytes } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { ItemEdit, RetrievalBody } from '../core/bodies.js';
import { cycleBounds } from '../core/bounds.js';
import { keepsRetrieval, newTable } from '../core/cycle.js';
import { editedRow, keyOf, liveDifference, type ProductionRow } from '../core/items.js';
import type { CycleState, SynchronisationTable, Plan } from '../core/table.js';
import type {
  AfterStep,
  Changed,
  CycleStore,
  ItemsQuery,
  NewDatabase,
  Page,
  PageChoice,
  StoredItem,
} from './cycle-store.js';
import { pageOf } from './page.js';
import {
  numbersOf,
  productionIn,
  productionRow,
  recount,
  rowsOf,
  stateIn,
  tableIn,
  take,
  writeTable,
  type ItemRow,
  type RetrievalRow,
  type TableRow,
} from './postgresql-rows.js';
import * as sql from './postgresql-schema.js';

export interface PostgresqlStoreOptions extends NewDatabase {
  /** `postgresql://user@host/database`; what it leaves open comes from the `PG…` variables of the environment. */
  readonly url: string;
  /** Called when a connection breaks while nobody uses it; another one is made when it's needed. */
  readonly onLost?: ((reason: string) => void) | undefined;
}

const connections = 8;
/** A server that doesn't answer is one that isn't there. */
const connectMs = 5000;
/** Reads and edits are bounded, so none takes so long; a roll isn't. */
const statementMs = 30_000;
/** Any number; two that make the tables at the same moment take turns by it. */
const makingTables = 20_060_042;

/** PostgreSQL as the database of a data server: the tables `lockstep_…` in the schema that the connection finds first. */
export class PostgresqlCycleStore implements CycleStore {
  readonly #pool: Pool;
  readonly #where: string;
  readonly #afterStep: AfterStep | undefined;
  #isClosed = false;

  private constructor(pool: Pool, where: string, afterStep: AfterStep | undefined) {
    this.#pool = pool;
    this.#where = where;
    this.#afterStep = afterStep;
  }

  /**
   * Makes the tables when they aren't there. Rejects with `bad-option` when the package `pg` isn't installed or the address is
   * none, with `store-unusable` when the database can't be reached or used, with `store-format` when another version of this
   * program made the tables.
   */
  static async open(options: PostgresqlStoreOptions): Promise<PostgresqlCycleStore> {
    const where = whereOf(options.url);
    const { Pool: PoolClass } = await loadPg();
    const pool = new PoolClass({
      connectionString: options.url,
      max: connections,
      connectionTimeoutMillis: connectMs,
      statement_timeout: statementMs,
      // Whoever hangs in the middle of a transaction stops nobody: it's rolled back.
      idle_in_transaction_session_timeout: statementMs,
      application_name: 'lockstep data-server',
    });
    pool.on('error', (error) => options.onLost?.(errorText(error)));
    const store = new PostgresqlCycleStore(pool, where, options.afterStep);
    try {
      await store.#write(async (client) => prepare(client, where, options));
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
  }

  async state(nowMs: number): Promise<CycleState> {
    return this.#asking(async () => stateIn(this.#pool, nowMs));
  }

  async change<Result>(nowMs: number, decide: (state: CycleState) => Plan<Result>): Promise<Changed<Result>> {
    return this.#write(async (client) => {
      await client.query(sql.takeLongTurn);
      const before = await stateIn(client, nowMs);
      const { table, steps, result } = decide(before);
      const counts = { activated: 0, staged: 0 };
      if (table === null) return { result, counts, state: before };
      for (const step of steps) {
        await take(client, step, counts);
        await this.#afterStep?.(step);
      }
      await writeTable(client, table);
      if (counts.activated > 0) await recount(client, 'active');
      if (counts.staged > 0) await recount(client, 'staged');
      return { result, counts, state: await stateIn(client, nowMs) };
    });
  }

  async page<Result>(choose: (table: SynchronisationTable) => PageChoice<Result>): Promise<Page<Result>> {
    return this.#transaction('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', async (client) => {
      const { rows } = await client.query<TableRow>('SELECT * FROM lockstep_cycle');
      const table = tableIn(rows);
      const { request, result } = choose(table);
      if (request === null) return { table, result, changes: [], next: null };
      return { table, result, ...pageOf(await rowsOf(client, request), request) };
    });
  }

  async edit(edits: readonly ItemEdit[]): Promise<number> {
    return this.#write(async (client) => {
      await client.query(sql.takeTurn);
      const before = await productionIn(client, [...new Set(edits.map(keyOf))]);
      const after = new Map<string, ProductionRow>();
      for (const edit of edits) {
        const key = keyOf(edit);
        const row = editedRow(after.get(key) ?? before.get(key) ?? null, edit);
        if (row !== null) after.set(key, row);
      }
      if (after.size === 0) return 0;
      const rows = [...after.values()];
      await client.query(sql.editRows, [
        [...after.keys()].map((key) => Buffer.from(key)),
        rows.map(({ value }) => value),
        rows.map(({ notBeforeMs }) => notBeforeMs),
      ]);
      let added = 0;
      for (const [key, row] of after) added += liveDifference(before.get(key) ?? null, row);
      await client.query('UPDATE lockstep_cycle SET production_items = production_items + $1', [added]);
      return after.size;
    });
  }

  async item(key: string): Promise<ProductionRow | null> {
    return this.#asking(async () => (await productionIn(this.#pool, [key])).get(key) ?? null);
  }

  async items({ prefix, after, limit }: ItemsQuery): Promise<readonly StoredItem[]> {
    return this.#asking(async () => {
      const { rows } = await this.#pool.query<ItemRow>(
        `SELECT key, value, not_before_ms, waiting FROM lockstep_production
         WHERE value IS NOT NULL AND key >= $1 AND substr(key, 1, $2) = $1 AND ($3::bytea IS NULL OR key > $3)
         ORDER BY key LIMIT $4`,
        [Buffer.from(prefix), Buffer.byteLength(prefix), after === null ? null : Buffer.from(after), limit],
      );
      return rows.map((row) => ({ key: row.key.toString(), ...productionRow(row) }));
    });
  }

  async recordRetrieval(report: RetrievalBody): Promise<void> {
    await this.#write(async (client) => {
      await client.query(sql.takeTurn);
      const { rows } = await client.query<RetrievalRow>('SELECT * FROM lockstep_retrieval WHERE name = $1', [
        report.by,
      ]);
      const [kept] = rows;
      if (keepsRetrieval(kept === undefined ? null : { durationMs: kept.duration_ms, atMs: kept.at_ms }, report))
        return;
      await client.query(
        `INSERT INTO lockstep_retrieval (name, cycle, duration_ms, at_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET cycle = $2, duration_ms = $3, at_ms = $4`,
        [report.by, report.cycle, report.durationMs, report.atMs],
      );
      await client.query(sql.forgetRetrievals, [report.by, cycleBounds.maxRetrievers - 1]);
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#pool.end();
  }

  async #write<Result>(work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    return this.#transaction('BEGIN', work);
  }

  /** A connection that broke is dropped: its transaction is rolled back by the server. */
  async #transaction<Result>(begin: string, work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    return this.#asking(async () => {
      const client = await this.#pool.connect();
      // Told by the query that fails; unheard, it would end the process.
      const ignore = (): void => undefined;
      client.on('error', ignore);
      let failed = true;
      try {
        await client.query(begin);
        const result = await work(client);
        await client.query('COMMIT');
        failed = false;
        return result;
      } catch (error) {
        failed = await client.query('ROLLBACK').then(
          () => false,
          () => true,
        );
        throw error;
      } finally {
        client.off('error', ignore);
        client.release(failed);
      }
    });
  }

  async #asking<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#isClosed) throw new LockstepError('closed', `the database ${this.#where} is closed`);
    try {
      return await work();
    } catch (error) {
      if (error instanceof LockstepError) throw error;
      throw new LockstepError('store-unusable', `the database ${this.#where} can't be used: ${reasonOf(error)}`, {
        cause: error,
      });
    }
  }
}

async function loadPg(): Promise<{ readonly Pool: typeof Pool }> {
  try {
    return await import('pg');
  } catch (error) {
    const message = 'PostgreSQL needs the package pg, which is not installed here; npm install pg';
    throw new LockstepError('bad-option', message, { cause: error });
  }
}

/** For people, without what is secret in it. */
function whereOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed !== null && (parsed.protocol === 'postgresql:' || parsed.protocol === 'postgres:'))
    return `postgresql://${parsed.host}${parsed.pathname}`;
  throw new LockstepError(
    'bad-option',
    'the address of a PostgreSQL database begins with postgresql://, such as postgresql://user@host/database',
  );
}

async function prepare(client: PoolClient, where: string, options: PostgresqlStoreOptions): Promise<void> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [makingTables]);
  await client.query(sql.schema);
  const { rows } = await client.query<TableRow>('SELECT * FROM lockstep_cycle');
  const [found] = rows;
  if (found === undefined) {
    const table = newTable({ ...options, source: randomBytes(16).toString('hex') }, options.nowMs);
    await client.query(sql.firstTable, [sql.schemaFormat, table.source, ...numbersOf(table)]);
  } else if (found.format !== sql.schemaFormat) {
    const message = `the tables in ${where} have format ${found.format}, this program reads and writes format ${sql.schemaFormat}; give another database, or use the program that made them; nothing was touched`;
    throw new LockstepError('store-format', message);
  }
}

/** Several addresses that all refuse come as one error without a text. */
function reasonOf(error: unknown): string {
  const errors = error instanceof AggregateError ? error.errors : [error];
  return errors.map(errorText).join('; ');
}
