/**
 * The tables of a data server in PostgreSQL. Keys are bytes, so that their order is the same whatever the collation; values are
 * JSON as text, so that they come back as they went in. What waits, what has a date and what changed after a cycle is found by
 * indexes, never by looking at everything.
 */
export const schemaFormat = 1;

export const schema = `
  CREATE TABLE IF NOT EXISTS lockstep_cycle (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL,
    source text NOT NULL,
    cycle bigint NOT NULL,
    activate_at_ms bigint NOT NULL,
    interval_ms bigint NOT NULL,
    origin_ms bigint NOT NULL,
    active_cycle bigint NOT NULL,
    activated_at_ms bigint,
    pruned_cycle bigint NOT NULL,
    lock_holder text,
    lock_token text,
    lock_until_ms bigint,
    production_items bigint NOT NULL DEFAULT 0,
    staged_items bigint NOT NULL DEFAULT 0,
    active_items bigint NOT NULL DEFAULT 0
  );
  CREATE TABLE IF NOT EXISTS lockstep_production (
    key bytea PRIMARY KEY, value text, not_before_ms bigint, waiting boolean NOT NULL
  );
  CREATE INDEX IF NOT EXISTS lockstep_production_waiting ON lockstep_production (key) WHERE waiting;
  CREATE TABLE IF NOT EXISTS lockstep_staged (
    key bytea PRIMARY KEY, value text, not_before_ms bigint, cycle bigint NOT NULL
  );
  CREATE INDEX IF NOT EXISTS lockstep_staged_by_cycle ON lockstep_staged (cycle, key);
  CREATE INDEX IF NOT EXISTS lockstep_staged_dated ON lockstep_staged (cycle) WHERE not_before_ms IS NOT NULL;
  CREATE TABLE IF NOT EXISTS lockstep_active (
    key bytea PRIMARY KEY, value text, not_before_ms bigint, cycle bigint NOT NULL
  );
  CREATE INDEX IF NOT EXISTS lockstep_active_by_cycle ON lockstep_active (cycle, key);
  CREATE TABLE IF NOT EXISTS lockstep_retrieval (
    name text PRIMARY KEY, cycle bigint NOT NULL, duration_ms double precision NOT NULL, at_ms double precision NOT NULL
  );
  CREATE INDEX IF NOT EXISTS lockstep_retrieval_by_duration ON lockstep_retrieval (duration_ms DESC);
`;

export const firstTable = `
  INSERT INTO lockstep_cycle (
    format, source, cycle, activate_at_ms, interval_ms, origin_ms, active_cycle, activated_at_ms, pruned_cycle
  ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
`;

export const writeTable = `
  UPDATE lockstep_cycle SET
    cycle = $1, activate_at_ms = $2, interval_ms = $3, origin_ms = $4, active_cycle = $5, activated_at_ms = $6,
    pruned_cycle = $7, lock_holder = $8, lock_token = $9, lock_until_ms = $10
`;

/** Whoever changes anything has this row first: then nobody else changes anything. */
export const takeTurn = 'SELECT 1 FROM lockstep_cycle FOR UPDATE';

/**
 * The same for a roll, which copies as much as there is: one that is given up for taking long would be begun again and again. A
 * lock that runs out meanwhile does no harm, since nobody else gets this row.
 */
export const takeLongTurn = `SET LOCAL statement_timeout = '1h'; ${takeTurn}`;

/** $1: retrievals before this are too old to count. */
export const readState = `
  SELECT c.*,
    (SELECT count(*) FROM lockstep_production WHERE waiting) AS waiting,
    (SELECT max(not_before_ms) FROM lockstep_staged WHERE not_before_ms IS NOT NULL AND cycle > c.active_cycle) AS latest_date,
    r.name AS retrieval_name, r.cycle AS retrieval_cycle, r.duration_ms, r.at_ms
  FROM lockstep_cycle c
  LEFT JOIN LATERAL (
    SELECT * FROM lockstep_retrieval WHERE at_ms > $1 ORDER BY duration_ms DESC LIMIT 1
  ) r ON true
`;

export const activate = `
  INSERT INTO lockstep_active (key, value, not_before_ms, cycle)
    SELECT key, value, not_before_ms, cycle FROM lockstep_staged WHERE cycle > $1
  ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, not_before_ms = excluded.not_before_ms, cycle = excluded.cycle
`;

const due = `
  waiting AND (not_before_ms IS NULL OR not_before_ms <= $1) AND ($2::bytea[] IS NULL OR key = ANY ($2::bytea[]))
`;

/** What is edited back to what is staged moves nothing, here or at any hop that follows. */
export const stage = `
  INSERT INTO lockstep_staged (key, value, not_before_ms, cycle)
    SELECT p.key, p.value, p.not_before_ms, $3::bigint
    FROM (SELECT * FROM lockstep_production WHERE ${due}) p LEFT JOIN lockstep_staged s ON s.key = p.key
    WHERE p.value IS DISTINCT FROM s.value
  ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, not_before_ms = excluded.not_before_ms, cycle = excluded.cycle
`;

/** After `stage`, with the same parameters but the cycle. */
export const stageDeletes = `DELETE FROM lockstep_production WHERE value IS NULL AND ${due}`;
export const stageRest = `UPDATE lockstep_production SET waiting = false WHERE ${due}`;

export const editRows = `
  INSERT INTO lockstep_production (key, value, not_before_ms, waiting)
    SELECT key, value, not_before_ms, true
    FROM unnest($1::bytea[], $2::text[], $3::bigint[]) AS edit (key, value, not_before_ms)
  ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, not_before_ms = excluded.not_before_ms, waiting = true
`;

export const forgetRetrievals = `
  DELETE FROM lockstep_retrieval WHERE name IN (
    SELECT name FROM lockstep_retrieval WHERE name <> $1 ORDER BY at_ms DESC OFFSET $2
  )
`;
