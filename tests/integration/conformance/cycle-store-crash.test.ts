import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cycleBounds } from '../../../activation/core/bounds.js';
import { planLock } from '../../../activation/core/cycle.js';
import type { CycleStore } from '../../../activation/data-server/cycle-store.js';
import { EmbeddedCycleStore } from '../../../activation/data-server/lmdb-cycle-store.js';
import { PostgresqlCycleStore } from '../../../activation/data-server/postgresql-cycle-store.js';
import { PostgresqlServer, skipsPostgresql } from '../../support/postgresql-server.js';
import { contents, fresh, intervalMs, put, roll, startMs } from './cycle-store-tools.js';

const roller = fileURLToPath(new URL('cycle-roller.ts', import.meta.url));
const keys = 100;

/** Runs the roller until it kills itself, or is killed when `isEnough` says so; how many rounds it has told. */
async function run(
  place: string,
  where: string,
  whileItRuns: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const child = spawn(process.execPath, ['--import', 'tsx', roller, place, String(keys), where], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let rounds = 0;
  createInterface({ input: child.stdout }).on('line', (line) => (rounds = Number(line.split(' ')[1])));
  if (where === 'never') {
    await whileItRuns();
    child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return rounds;
}

function all(value: number): Readonly<Record<string, number>> {
  return Object.fromEntries(Array.from({ length: keys }, (_, index) => [`key ${index}`, value]));
}

/** What staged and active hold, read with the cycle that they belong to: it can only be what that cycle was made of. */
async function expectWhole(store: CycleStore): Promise<number> {
  for (const copy of ['staged', 'active'] as const) {
    const { changes, result } = await store.page((table) => ({
      request: { copy, since: null, after: null, maxChanges: 1000, maxCharacters: 1e6 },
      result: copy === 'staged' ? table.cycle : table.active.cycle,
    }));
    // Cycle 1 is the empty one that a database begins with; cycle N holds what round N − 1 wrote.
    const wanted = result < 2 ? {} : all(result - 1);
    expect(Object.fromEntries(changes.map(({ key, value }) => [key, Number(value)]))).toEqual(wanted);
  }
  return (await store.state(startMs)).cycle;
}

function deaths(open: (place: string) => Promise<CycleStore>, place: () => Promise<string>): void {
  test.each(['lock', 'activate', 'stage'])(
    'whoever rolls is killed after its %s: nothing of the roll is there, its lock runs out, and another one rolls',
    async (where) => {
      const at = await place();
      expect(await run(at, where)).toBe(2);
      const store = await open(at);
      try {
        expect(await expectWhole(store)).toBe(3);
        const dueMs = startMs + 3 * intervalMs;
        expect(await store.state(dueMs)).toMatchObject({ waiting: keys, lock: { holder: 'roller' } });
        const attempt = async (nowMs: number): Promise<unknown> =>
          (await store.change(nowMs, (state) => planLock(state, { holder: 'second', token: 'own' }, nowMs))).result;
        expect(await attempt(dueMs + 1)).toMatchObject({ kind: 'refused', code: 'locked' });
        const { counts } = await roll(store, dueMs + cycleBounds.lockMs);
        expect(counts).toEqual({ activated: keys, staged: keys });
        expect(await expectWhole(store)).toBe(4);
      } finally {
        await store.close();
      }
    },
    60_000,
  );

  test('another process that reads all the while sees whole cycles only, until the one that rolls is killed and after', async () => {
    const at = await place();
    const store = await open(at);
    try {
      const cycles = new Set<number>();
      await run(at, 'never', async () => {
        const endMs = performance.now() + 30_000;
        while (cycles.size < 8 && performance.now() < endMs) cycles.add(await expectWhole(store));
      });
      expect(cycles.size).toBeGreaterThanOrEqual(8);
      await expectWhole(store);
    } finally {
      await store.close();
    }
  }, 60_000);
}

describe('the embedded database of a data server', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-cycle-crash-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  deaths(
    (at) => EmbeddedCycleStore.open({ ...fresh, folder: at }),
    () => Promise.resolve(folder),
  );
});

describe.skipIf(skipsPostgresql('the death of a data server on PostgreSQL'))('PostgreSQL under a data server', () => {
  let server: PostgresqlServer;
  let databases = 0;
  beforeAll(async () => {
    server = await PostgresqlServer.start();
  }, 120_000);
  afterAll(async () => {
    await server.stop();
  }, 60_000);

  const place = (): Promise<string> => {
    databases += 1;
    return server.createDatabase(`crash_${databases}`);
  };
  deaths((url) => PostgresqlCycleStore.open({ ...fresh, url }), place);

  test('its connection is cut in the middle of a roll: nothing of it is there, and the store goes on with another', async () => {
    const url = await place();
    let cuts = 0;
    const afterStep = async (): Promise<void> => {
      if (cuts > 0) return;
      cuts += 1;
      const cut = await server.query<{ cut: boolean }>(
        'postgres',
        "SELECT pg_terminate_backend(pid) AS cut FROM pg_stat_activity WHERE datname = $1 AND state = 'idle in transaction'",
        [`crash_${databases}`],
      );
      expect(cut).toEqual([{ cut: true }]);
    };
    const lost: string[] = [];
    const store = await PostgresqlCycleStore.open({ ...fresh, url, afterStep, onLost: (reason) => lost.push(reason) });
    try {
      await store.edit([put('a', 1)]);
      await expect(roll(store, startMs + intervalMs)).rejects.toMatchObject({ code: 'store-unusable' });
      expect([await contents(store, 'staged'), (await store.state(startMs)).cycle]).toEqual([{}, 1]);
      await roll(store, startMs + intervalMs + cycleBounds.lockMs);
      expect(await contents(store, 'staged')).toEqual({ a: 1 });
      expect(lost).toEqual([]);
    } finally {
      await store.close();
    }
  }, 60_000);
});
