import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { sameTip, showTip, type Delta, type MasterUserLayer, type Tip } from 'lockstep/master';

/** A change as it travels: prices by article; null takes one out of the range. */
export type PricePatch = Readonly<Record<string, number | null>>;

const schema = `
  CREATE TABLE IF NOT EXISTS price (sku text PRIMARY KEY, cents integer NOT NULL);
  CREATE TABLE IF NOT EXISTS price_proposal (version bigint PRIMARY KEY, patch jsonb NOT NULL);
  CREATE TABLE IF NOT EXISTS price_delta (version bigint PRIMARY KEY, prior bigint NOT NULL, patch jsonb NOT NULL);
  CREATE TABLE IF NOT EXISTS price_tip (one boolean PRIMARY KEY DEFAULT true CHECK (one), tip jsonb NOT NULL);
`;

/**
 * The original of a data set is a table in PostgreSQL. Versions and deltas come from tables, too:
 *
 * - `price` is what is committed; `price_tip` says at which version.
 * - `price_proposal` is what is being voted on. Nobody reads prices there, so an aborted one leaves no trace.
 * - `price_delta` is the history: which patch led from which version to which.
 *
 * A decision moves a proposal into the prices in one transaction with the tip (the contract's "one atomic durable write").
 */
export class PriceTable implements MasterUserLayer {
  readonly #pool: Pool;
  #tip: Tip | null = null;
  /** The highest version that this process has given. */
  #highest = 0;

  private constructor(connection: PoolConfig) {
    this.#pool = new Pool(connection);
    // A connection that breaks while nobody uses it is replaced; one in use makes its query fail.
    this.#pool.on('error', (error) => console.warn(`PostgreSQL: ${error.message}`));
  }

  static async connect(connection: PoolConfig): Promise<PriceTable> {
    const table = new PriceTable(connection);
    await table.#pool.query(schema);
    return table;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  /** Writes down what is to be voted on, and names its version. Then `replicate({ version })` is due. */
  async propose(patch: PricePatch): Promise<number> {
    // What is decided must fit the table: the decision stands, whatever the table makes of it.
    for (const [sku, cents] of Object.entries(patch))
      if (cents !== null && !(Number.isInteger(cents) && cents > 0 && cents < 2 ** 31))
        throw new RangeError(`${sku}: a price is a whole number of cents above 0, not ${cents}`);
    // Never the same twice in one process, also when the proposal before was dropped.
    this.#highest += 1;
    const version = this.#highest;
    await this.#pool.query('INSERT INTO price_proposal VALUES ($1, $2)', [version, JSON.stringify(patch)]);
    return version;
  }

  async prices(): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.#pool.query<{ sku: string; cents: number }>(
      'SELECT sku, cents FROM price ORDER BY sku',
    );
    return Object.fromEntries(rows.map(({ sku, cents }) => [sku, cents]));
  }

  async open(): Promise<Tip | null> {
    const { rows } = await this.#pool.query<{ tip: Tip }>('SELECT tip FROM price_tip');
    this.#tip = rows[0]?.tip ?? null;
    this.#highest = this.#tip?.version ?? 0;
    // What wasn't decided before this start never will be; what was comes back through `recover`.
    await this.#pool.query('DELETE FROM price_proposal');
    return this.#tip;
  }

  async recover(committed: Tip | null, missing: readonly Delta[]): Promise<void> {
    for (const step of missing) if (sameTip(step.from, this.#tip)) await this.committed(step);
    if (!sameTip(this.#tip, committed))
      throw new Error(
        `the table is at ${showTip(this.#tip)} and can't reach ${showTip(committed)}; restore its backup`,
      );
  }

  /** The proposal, when it is one step ahead; of older steps what the history says. */
  async delta(from: Tip | null, to: { readonly version: number }): Promise<Uint8Array | null> {
    const proposed = await this.#pool.query<{ patch: PricePatch }>(
      'SELECT patch FROM price_proposal WHERE version = $1',
      [to.version],
    );
    const known = await this.#pool.query<{ patch: PricePatch }>(
      'SELECT patch FROM price_delta WHERE version = $1 AND prior = $2',
      [to.version, from?.version ?? 0],
    );
    const patch = (sameTip(from, this.#tip) ? proposed.rows[0]?.patch : undefined) ?? known.rows[0]?.patch;
    return patch === undefined ? null : Buffer.from(JSON.stringify(patch));
  }

  async committed(change: Delta): Promise<void> {
    if (sameTip(change.to, this.#tip)) return;
    const patch = JSON.parse(Buffer.from(change.bytes).toString('utf8')) as PricePatch;
    const skus = Object.keys(patch);
    const put = skus.filter((sku) => patch[sku] !== null);
    const cents = put.map((sku) => patch[sku]);
    const { version } = change.to;
    await this.#transaction(async (client) => {
      await client.query('DELETE FROM price WHERE sku = ANY($1)', [skus]);
      await client.query('INSERT INTO price SELECT * FROM unnest($1::text[], $2::integer[])', [put, cents]);
      const step = [version, change.from?.version ?? 0, JSON.stringify(patch)];
      await client.query('INSERT INTO price_delta VALUES ($1, $2, $3)', step);
      await client.query('DELETE FROM price_proposal WHERE version <= $1', [version]);
      const tip = JSON.stringify(change.to);
      await client.query('INSERT INTO price_tip (tip) VALUES ($1) ON CONFLICT (one) DO UPDATE SET tip = excluded.tip', [
        tip,
      ]);
    });
    this.#tip = change.to;
  }

  async restore(_to: Tip | null, dropped: readonly number[]): Promise<void> {
    await this.#pool.query('DELETE FROM price_proposal WHERE version = ANY($1)', [dropped]);
  }

  /**
   * All prices at `at`. PostgreSQL keeps the picture: a transaction of its own that repeats its reads, begun at once and
   * before anything else can commit, since calls of the contract come one at a time.
   */
  async *snapshot(at: Tip): AsyncIterable<Uint8Array> {
    const client = await this.#pool.connect();
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const { rows } = await client.query<{ tip: Tip }>('SELECT tip FROM price_tip');
      if (!sameTip(rows[0]?.tip ?? null, at)) throw new Error(`the table went on from ${showTip(at)}; ask again`);
      let after = '';
      let before = '{';
      for (;;) {
        const page = await client.query<{ sku: string; cents: number }>(
          'SELECT sku, cents FROM price WHERE sku > $1 ORDER BY sku LIMIT 1000',
          [after],
        );
        if (page.rows.length === 0) break;
        const text = page.rows.map(({ sku, cents }) => `${JSON.stringify(sku)}:${cents}`).join(',');
        yield Buffer.from(`${before}${text}`);
        before = ',';
        after = page.rows.at(-1)?.sku ?? after;
      }
      yield Buffer.from(before === '{' ? '{}' : '}');
    } finally {
      // Closed, and its transaction with it, wherever the reader stopped.
      client.release(true);
    }
  }

  async #transaction(work: (client: PoolClient) => Promise<void>): Promise<void> {
    const client = await this.#pool.connect();
    let failure: Error | undefined;
    try {
      await client.query('BEGIN');
      await work(client);
      await client.query('COMMIT');
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error));
      throw error;
    } finally {
      // After a failure the connection is closed, which rolls back what it had begun.
      client.release(failure);
    }
  }
}
