import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DataServer } from './data-server.js';
import { LmdbRecords } from './lmdb-records.js';
import { openCycleStore } from './open-cycle-store.js';
import { RecordingLog } from '../../tests/integration/process/http-fakes.js';

/** As if the package weren't installed. */
vi.mock('pg', () => {
  throw new Error("Cannot find package 'pg'");
});

const fresh = { intervalMs: 1000, originMs: 0, nowMs: 5000 };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-open-cycle-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const open = async (place: { readonly store?: string; readonly postgresql?: string }): Promise<unknown> =>
  openCycleStore(place, fresh, () => undefined);

test('without the package pg a database of PostgreSQL is refused with what to do, and nothing else needs it', async () => {
  await expect(open({ postgresql: 'postgresql://here/db' })).rejects.toMatchObject({
    code: 'bad-option',
    message: 'PostgreSQL needs the package pg, which is not installed here; npm install pg',
  });
  await using server = await DataServer.open({ store: folder });
  expect((await server.status()).cycle).toBe(1);
});

test('a new database is activated every ten minutes, on full ones, unless it is told otherwise', async () => {
  await using server = await DataServer.open({ store: folder });
  const { activateAtMs, intervalMs, originMs } = await server.status();
  expect([intervalMs, originMs, activateAtMs % 600_000]).toEqual([600_000, 0, 0]);
  expect(activateAtMs - server.clock.nowMs()).toBeLessThanOrEqual(600_000);
});

test.each([{}, { store: 'a', postgresql: 'postgresql://here/db' }])('one place has to be given: %j', async (place) => {
  await expect(open(place)).rejects.toMatchObject({ code: 'bad-option' });
});

test('a folder of another format, or of something else, is refused and stays as it is', async () => {
  const records = await LmdbRecords.open(folder);
  records.write(() => {
    records.put(['cycle', 'format'], 2);
  });
  await records.close();
  const error = { code: 'store-format', message: expect.stringContaining('has format 2') as string };
  await expect(open({ store: folder })).rejects.toMatchObject(error);
  await expect(open({ store: folder })).rejects.toMatchObject(error);
  const other = join(folder, 'other');
  const strange = await LmdbRecords.open(other);
  strange.write(() => {
    strange.put(['data', 'prices'], 1);
  });
  await strange.close();
  await expect(open({ store: other })).rejects.toMatchObject({ code: 'store-foreign' });
});

test('a file that is no database is refused', async () => {
  await writeFile(join(folder, 'data.mdb'), 'x'.repeat(10_000));
  await expect(open({ store: folder })).rejects.toMatchObject({ code: 'store-unusable' });
});

test.each([
  [{ intervalMs: 99 }],
  [{ intervalMs: 1.5 }],
  [{ intervalMs: 366 * 86_400_000 + 1 }],
  [{ originMs: Infinity }],
])('%j is refused before anything is opened', async (options) => {
  const untouched = join(folder, 'untouched');
  await expect(DataServer.open({ store: untouched, ...options })).rejects.toMatchObject({ code: 'bad-option' });
  await expect(
    LmdbRecords.open(untouched).then(async (records) => {
      const { isEmpty } = records;
      await records.close();
      return isEmpty;
    }),
  ).resolves.toBe(true);
});

test('a host serves it, and nobody else unless he says so; events reach who listens', async () => {
  const log = new RecordingLog();
  await using server = await DataServer.open({ store: folder, intervalMs: 100, log });
  const rolled: number[] = [];
  server.on('cycle rolled', ({ fields }) => rolled.push(fields.cycle));
  await expect(server.listen({ host: '0.0.0.0', port: 0 })).rejects.toMatchObject({ code: 'bad-option' });
  const { url } = await server.listen({ port: 0 });
  await server.edit([{ put: ['tea', { cents: 450 }] }]);
  const endMs = performance.now() + 10_000;
  while (rolled.length < 2 && performance.now() < endMs)
    await fetch(`${url}/v1/cycle/roll`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"by":"s1"}',
    });
  expect(rolled).toEqual([2, 3]);
  const active = await server.changes('active');
  expect(active).toMatchObject({ kind: 'changes', changes: [{ key: 'tea', value: '{"cents":450}' }] });
  await expect(server.changes('staged', { after: 'nonsense' })).rejects.toMatchObject({ code: 'bad-input' });
  await expect(server.edit([{ put: ['', 1] }])).rejects.toMatchObject({ code: 'bad-operation' });
});
