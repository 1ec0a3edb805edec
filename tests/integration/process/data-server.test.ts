import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ChangesBody, CycleBody, RollBody } from '../../../activation/core/bodies.js';
import { PostgresqlServer, skipsPostgresql } from '../../support/postgresql-server.js';
import { eventually, ProcessGroup } from './lockstep-process.js';

/** `lockstep data-server` as a process of its own. */

const testMs = 90_000;

async function ask<Body>(
  url: string,
  method = 'GET',
  body?: unknown,
): Promise<{ readonly status: number; readonly body: Body }> {
  const sent =
    body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(url, { method, ...sent });
  return { status: answer.status, body: (await answer.json()) as Body };
}

async function rollWhenDue(url: string): Promise<RollBody> {
  return eventually('a roll', async () => {
    const { body } = await ask<RollBody>(`${url}/v1/cycle/roll`, 'POST', { by: 'a test' });
    return body.rolled ? body : undefined;
  });
}

/** The same with each database. */
async function tour(group: ProcessGroup, place: readonly string[]): Promise<void> {
  const flags = ['data-server', ...place, '--interval', '1s', '--http', '127.0.0.1:0'];
  const first = group.start(...flags);
  const url = await group.url(first);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  const edits = await ask(`${url}/v1/items`, 'POST', {
    operations: [{ put: ['tea', 450] }, { put: ['cup', { cents: 1200 }] }],
  });
  expect(edits).toEqual({ status: 200, body: { changed: 2 } });
  const rolled = await rollWhenDue(url);
  expect(rolled).toMatchObject({ items: { production: 2, staged: 2, active: 0 }, intervalMs: 1000 });
  expect(rolled.activateAtMs % 1000).toBe(0);
  // Killed, and started again: everything that was answered is there.
  first.signal('SIGKILL');
  await first.ended;
  const second = group.start(...flags);
  const again = await group.url(second);
  const kept = await ask<CycleBody>(`${again}/v1/cycle`);
  expect(kept.body).toMatchObject({ source: rolled.source, cycle: rolled.cycle, items: { production: 2, staged: 2 } });
  expect(kept.body.clock.id).not.toBe(rolled.clock.id);
  const staged = await ask<ChangesBody>(`${again}/v1/cycle/staged`);
  expect(staged.body.changes).toEqual(
    expect.arrayContaining([{ put: ['tea', 450] }, { put: ['cup', { cents: 1200 }] }]),
  );
  await rollWhenDue(again);
  const active = await ask<ChangesBody>(`${again}/v1/cycle/active`);
  expect(active.body.changes).toHaveLength(2);
  const metrics = await (await fetch(`${again}/metrics`)).text();
  expect(metrics).toMatch(/^lockstep_cycle_items\{copy="active"\} 2$/m);
  expect(metrics).toMatch(/^lockstep_cycle_rolls_total [1-9]/m);
  expect(metrics).toMatch(/^lockstep_cycle_database_up 1$/m);
  second.signal('SIGTERM');
  expect(await second.ended).toMatchObject({ exitCode: 0 });
}

test(
  'a data server keeps what it answered through a kill, serves health and metrics, and ends with 0',
  async () => {
    await using group = await ProcessGroup.start();
    await tour(group, ['--store', './three']);
  },
  testMs,
);

test(
  'an interval of the flags is for a new database; one that has another keeps it and says so',
  async () => {
    await using group = await ProcessGroup.start();
    const first = group.start('data-server', '--interval', '1h', '--http', '127.0.0.1:0');
    await group.url(first);
    first.signal('SIGTERM');
    await first.ended;
    await writeFile(join(group.folder, 'server.yaml'), 'interval: 5m\nhttp: 127.0.0.1:0\n');
    const second = group.start('data-server', '--config', 'server.yaml');
    const { body } = await ask<CycleBody>(`${await group.url(second)}/v1/cycle`);
    expect(body.intervalMs).toBe(3_600_000);
    expect(second.err).toContain('interval kept');
    second.signal('SIGTERM');
    expect((await second.ended).exitCode).toBe(0);
  },
  testMs,
);

test(
  'what keeps it from starting is said in one line, with its exit code',
  async () => {
    await using group = await ProcessGroup.start();
    await writeFile(join(group.folder, 'a file'), 'x');
    const cases = [
      [['--interval', '10x'], 2, 'Give a duration such as 10m, 1h or 7d'],
      [['--origin', '2026-12-01T03:00:00'], 2, 'Give an instant with its time zone'],
      [['--http', '0.0.0.0:0'], 2, 'would serve everybody; give --http-tokens'],
      [['--store', './x', '--postgresql', 'postgresql:///y'], 2, "cannot be used with option '--postgresql"],
      [['--postgresql', 'mysql://root@here/db'], 2, 'begins with postgresql://'],
      [
        ['--postgresql', 'postgresql://lockstep:secret@127.0.0.1:1/db'],
        11,
        "the database postgresql://127.0.0.1:1/db can't be used",
      ],
      [['--store', './a file'], 11, "can't be used"],
      [['--store', './master'], 12, 'holds a database that is no data server'],
    ] as const;
    const master = group.master('--store', './master');
    await group.url(master);
    master.signal('SIGTERM');
    await master.ended;
    for (const [flags, exitCode, text] of cases) {
      const ended = await group.run(['data-server', ...flags]);
      expect(ended.err, flags.join(' ')).toContain(text);
      expect(ended.err).not.toContain('secret');
      expect(ended.err.trim().split('\n')).toHaveLength(1);
      expect(ended, flags.join(' ')).toMatchObject({ exitCode, out: '' });
    }
  },
  testMs,
);

describe.skipIf(skipsPostgresql('lockstep data-server on PostgreSQL'))('on PostgreSQL', () => {
  let server: PostgresqlServer;
  beforeAll(async () => {
    server = await PostgresqlServer.start();
  }, 120_000);
  afterAll(async () => {
    await server.stop();
  }, 60_000);

  test(
    'a data server keeps what it answered through a kill, serves health and metrics, and ends with 0',
    async () => {
      await using group = await ProcessGroup.start();
      await tour(group, ['--postgresql', await server.createDatabase('tour')]);
    },
    testMs,
  );

  test(
    'two data servers on one database: of all that ask at the activation time one rolls',
    async () => {
      await using group = await ProcessGroup.start();
      const url = await server.createDatabase('pair');
      const flags = ['data-server', '--postgresql', url, '--interval', '1s', '--http', '127.0.0.1:0'];
      const urls = await Promise.all([0, 1].map(async () => group.url(group.start(...flags))));
      const [first = '', second = ''] = urls;
      for (let round = 0; round < 3; round += 1) {
        const { body: before } = await ask<CycleBody>(`${first}/v1/cycle`);
        const answers: { readonly status: number; readonly body: RollBody }[] = [];
        await eventually('a roll', async () => {
          const some = await Promise.all(
            Array.from({ length: 10 }, async (_, index) =>
              ask<RollBody>(`${index % 2 === 0 ? first : second}/v1/cycle/roll`, 'POST', { by: `s${index}` }),
            ),
          );
          answers.push(...some);
          return some.some(({ body }) => body.rolled) ? true : undefined;
        });
        const rolls = answers.filter(({ body }) => body.rolled);
        expect(rolls).toHaveLength(1);
        expect(rolls[0]?.body.cycle).toBe(before.cycle + 1);
        for (const { status, body } of answers)
          if (status !== 200) expect([status, body]).toMatchObject([409, { error: { code: 'locked' } }]);
      }
    },
    testMs,
  );

  test(
    'while the database is gone it answers 503 and is not ready; when it is back, so is the data server',
    async () => {
      await using group = await ProcessGroup.start();
      const own = await PostgresqlServer.start();
      try {
        const flags = ['--postgresql', await own.createDatabase('gone'), '--http', '127.0.0.1:0'];
        const running = group.start('data-server', ...flags);
        const url = await group.url(running);
        await ask(`${url}/v1/items/a`, 'PUT', { value: 1 });
        await own.pause();
        const down = await ask<{ error: { code: string; message: string } }>(`${url}/v1/cycle`);
        expect(down).toMatchObject({ status: 503, body: { error: { code: 'store-unusable' } } });
        expect((await fetch(`${url}/readyz`)).status).toBe(503);
        expect((await fetch(`${url}/livez`)).status).toBe(200);
        await own.resume();
        expect((await ask<CycleBody>(`${url}/v1/cycle`)).body.items.production).toBe(1);
        expect((await fetch(`${url}/readyz`)).status).toBe(200);
        expect(running.err).toMatch(/database failed[^]*database back/);
        running.signal('SIGTERM');
        expect((await running.ended).exitCode).toBe(0);
      } finally {
        await own.stop();
      }
    },
    testMs,
  );
});
