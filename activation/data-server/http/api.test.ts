import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Validator } from '@seriousme/openapi-schema-validator';
import type { FastifyInstance, InjectOptions } from 'fastify';
import { addMetricsRoute } from '../../../shared/http/metrics.js';
import { openApiOf, operations } from '../../../shared/http/openapi/document.js';
import { createServer } from '../../../shared/http/server.js';
import { parseTokens, newToken } from '../../../shared/http/tokens.js';
import { RecordingLog } from '../../../tests/integration/process/http-fakes.js';
import { documented, type Documented } from '../../../tests/support/documented.js';
import { FakeClock } from '../../../tests/support/fake-clock.js';
import type { ActivationsBody, ChangesBody, CycleBody, ItemBody, ItemsBody, RollBody } from '../../core/bodies.js';
import { cycleBounds } from '../../core/bounds.js';
import { planLock } from '../../core/cycle.js';
import { DataServer } from '../data-server.js';
import { EmbeddedCycleStore } from '../lmdb-cycle-store.js';
import { addDataServerRoutes } from './routes.js';

const intervalMs = 60_000;

let folder: string;
let clock: FakeClock;
let log: RecordingLog;
let store: EmbeddedCycleStore;
let dataServer: DataServer;
let server: FastifyInstance;
let document: Documented;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-data-server-'));
  clock = new FakeClock(); // at 1000
  log = new RecordingLog();
  store = await EmbeddedCycleStore.open({ folder, intervalMs, originMs: 0, nowMs: clock.wallMs() });
  dataServer = new DataServer({ store, clock, log });
  server = createServer(log);
  document = documented(server, 'data-server');
  addDataServerRoutes(server, dataServer);
  addMetricsRoute(server, new Registry());
});

afterEach(async () => {
  // Whatever was answered in a test is as the document says.
  expect(document.problems).toEqual([]);
  await server.close();
  await dataServer.close();
  await rm(folder, { recursive: true, force: true });
});

async function ask<Body>(
  method: 'GET' | 'PUT' | 'POST' | 'DELETE',
  url: string,
  payload?: unknown,
): Promise<{ status: number; body: Body }> {
  const options: InjectOptions = { method, url, ...(payload === undefined ? {} : { payload: payload as object }) };
  const answer = await server.inject(options);
  return { status: answer.statusCode, body: answer.json<Body>() };
}

const roll = async (by = 's1'): Promise<RollBody> => (await ask<RollBody>('POST', '/v1/cycle/roll', { by })).body;
const put = async (key: string, value: unknown, rest: object = {}): Promise<unknown> =>
  (await ask('PUT', `/v1/items/${encodeURIComponent(key)}`, { value, ...rest })).body;
const changes = async (url: string): Promise<ChangesBody> => (await ask<ChangesBody>('GET', url)).body;
/** To the next activation, whenever it is. */
async function untilDue(): Promise<void> {
  const { body } = await ask<CycleBody>('GET', '/v1/cycle');
  clock.advance(Math.max(0, body.activateAtMs - clock.monotonicMs()));
}

test('the document is valid, and the routes are those that it names', async () => {
  const result = await new Validator().validate(structuredClone(openApiOf('data-server')) as Record<string, unknown>);
  expect(result.errors ?? []).toEqual([]);
  await server.ready();
  const own = operations.filter(({ at }) => at.includes('data-server'));
  expect([...document.routes].sort()).toEqual(own.map(({ method, path }) => `${method} ${path}`).sort());
  expect((await server.inject('/v1/openapi.json')).json()).toEqual(openApiOf('data-server'));
});

test('an edit goes from production to staged to active, and each hop moves only what changed', async () => {
  expect(await put('tea', 450)).toEqual({ changed: 1 });
  expect(await put('tea', 450)).toEqual({ changed: 0 });
  const table = await ask<CycleBody>('GET', '/v1/cycle');
  expect(table.body).toMatchObject({
    cycle: 1,
    activateAtMs: intervalMs,
    active: { cycle: 0, activatedAtMs: null },
    items: { production: 1, staged: 0, active: 0 },
    waiting: 1,
    lock: null,
    worstRetrieval: null,
    intervalFits: true,
  });
  const early = await roll();
  expect(early).toMatchObject({ rolled: false, cycle: 1 });
  await untilDue();
  expect(await roll('s1')).toMatchObject({ rolled: true, cycle: 2, activateAtMs: 2 * intervalMs, waiting: 0 });
  expect(await roll('s2')).toMatchObject({ rolled: false, cycle: 2 });
  const { source } = table.body;
  const whole = await changes('/v1/cycle/staged');
  expect(whole).toMatchObject({ source, cycle: 2, from: null, changes: [{ put: ['tea', 450] }], next: null });
  const same = await changes(`/v1/cycle/staged?since=2&source=${source}`);
  expect(same).toMatchObject({ from: 2, cycle: 2, changes: [] });
  await ask('DELETE', '/v1/items/tea');
  await put('cup', { cents: 1200 });
  await untilDue();
  await roll();
  const step = await changes(`/v1/cycle/staged?since=2&source=${source}`);
  expect(step.from).toBe(2);
  expect(step.changes).toEqual(expect.arrayContaining([{ delete: 'tea' }, { put: ['cup', { cents: 1200 }] }]));
  expect(await changes('/v1/cycle/active')).toMatchObject({
    cycle: 2,
    activateAtMs: 2 * intervalMs,
    changes: [{ put: ['tea', 450] }],
  });
  // Another database's cycles say nothing here.
  expect(await changes('/v1/cycle/staged?since=2&source=elsewhere')).toMatchObject({ from: null });
  expect(log.events.map(({ name, fields }) => [name, fields['by'], fields['staged'], fields['activated']])).toEqual([
    ['cycle rolled', 's1', 1, 0],
    ['cycle rolled', 's1', 2, 1],
  ]);
});

test('a server that joins after the activation time, before anyone rolled, sees the new data', async () => {
  await put('tea', 450);
  await untilDue();
  await roll();
  await put('tea', 999);
  expect(await changes('/v1/cycle/active')).toMatchObject({ cycle: 1, changes: [] });
  await untilDue();
  // Nobody has rolled: the table still says so, and what is active shows all the same.
  const active = await changes('/v1/cycle/active');
  expect(active).toMatchObject({ cycle: 2, activateAtMs: 2 * intervalMs, changes: [{ put: ['tea', 450] }] });
  const table = await ask<CycleBody>('GET', '/v1/cycle');
  expect(table.body).toMatchObject({ cycle: 2, activateAtMs: 2 * intervalMs, active: { cycle: 1 } });
  await roll();
  const after = await changes('/v1/cycle/active');
  expect({ ...after, clock: null }).toEqual({ ...active, clock: null });
});

test('of many that ask at the activation time one rolls, and all get the same table', async () => {
  await put('tea', 450);
  await untilDue();
  const answers = await Promise.all(Array.from({ length: 30 }, async (_, index) => roll(`s${index}`)));
  expect(answers.filter(({ rolled }) => rolled)).toHaveLength(1);
  expect(new Set(answers.map(({ cycle, activateAtMs }) => `${cycle} ${activateAtMs}`))).toEqual(new Set(['2 120000']));
});

test('nobody runs for five intervals: one roll, and the next activation is in the future and on the grid', async () => {
  await put('tea', 450);
  clock.advance(5.5 * intervalMs);
  const rolled = await roll();
  expect(rolled).toMatchObject({ rolled: true, cycle: 2, activateAtMs: 6 * intervalMs });
  expect(await roll()).toMatchObject({ rolled: false });
  expect(log.events.at(-1)).toMatchObject({ name: 'cycle rolled', fields: { missed: 4 } });
});

test('while another process has the lock the answer is 409 with how long; when it died the lock runs out', async () => {
  await untilDue();
  const nowMs = clock.monotonicMs();
  await store.change(nowMs, (state) => planLock(state, { holder: 'dead', token: 'gone' }, nowMs));
  const refused = await ask('POST', '/v1/cycle/roll', { by: 's1' });
  expect(refused).toMatchObject({
    status: 409,
    body: {
      error: { code: 'locked', message: 'dead has the lock for 30000 ms more at most; ask again then' },
      lock: { holder: 'dead', untilMs: nowMs + cycleBounds.lockMs },
    },
  });
  expect((await ask<CycleBody>('GET', '/v1/cycle')).body.lock).toEqual({
    holder: 'dead',
    untilMs: nowMs + cycleBounds.lockMs,
  });
  expect(log.events.at(-1)).toMatchObject({ name: 'roll refused', fields: { by: 's1', holder: 'dead' } });
  clock.advance(cycleBounds.lockMs);
  expect(await roll()).toMatchObject({ rolled: true, lock: null });
});

test('an interval that retrieval does not fit into is refused with the figure, and said when it is there', async () => {
  const report = await ask<CycleBody>('POST', '/v1/cycle/retrievals', { by: 's7', cycle: 1, durationMs: 2500.5 });
  expect(report.body).toMatchObject({ worstRetrieval: { by: 's7', durationMs: 2500.5 }, intervalFits: true });
  const short = await ask('PUT', '/v1/cycle/interval', { intervalMs: 2500 });
  expect(short).toMatchObject({ status: 409, body: { error: { code: 'interval-too-short' } } });
  expect(JSON.stringify(short.body)).toContain('2501 ms at s7');
  const good = await ask<CycleBody>('PUT', '/v1/cycle/interval', { intervalMs: 7000, originMs: 500 });
  // From the next roll on: servers are armed for the instant that there is.
  expect(good.body).toMatchObject({ intervalMs: 7000, originMs: 500, activateAtMs: intervalMs });
  expect(log.events.at(-1)).toMatchObject({
    name: 'interval changed',
    fields: { wasMs: intervalMs, intervalMs: 7000 },
  });
  const long = await ask<CycleBody>('POST', '/v1/cycle/retrievals', { by: 's8', cycle: 1, durationMs: 7000 });
  expect(long.body.intervalFits).toBe(false);
  expect(log.events.at(-1)).toMatchObject({
    name: 'retrieval too long',
    level: 'warn',
    fields: { by: 's8', durationMs: 7000, intervalMs: 7000 },
  });
});

/** What a server reports of an activation. */
const shown = { by: 's1', cycle: 2, reachedMs: 60_000.25, errorMs: 0.5, late: false };

test('servers report when they showed a cycle; the answer tells how far apart that was, and how sure it is', async () => {
  expect((await ask<ActivationsBody>('GET', '/v1/cycle/activations')).body).toEqual({ activations: [] });
  for (const report of [
    shown,
    { ...shown, by: 's2', reachedMs: 60_003.75, errorMs: 1.25 },
    { ...shown, by: 's3', reachedMs: 75_000, errorMs: 40, late: true },
    { ...shown, by: 's1', cycle: 3, reachedMs: 120_000 },
  ]) {
    const { status, body } = await ask<ActivationsBody>('POST', '/v1/cycle/activations', report);
    expect(status).toBe(200);
    expect(body.activations[0]?.cycle).toBe(report.cycle);
  }
  const newest = { servers: 1, late: 0, earliestMs: 120_000, latestMs: 120_000, spreadMs: 0, worstErrorMs: 0.5 };
  const times = { earliestMs: 60_000.25, latestMs: 60_003.75, spreadMs: 3.5, worstErrorMs: 1.25 };
  expect((await ask<ActivationsBody>('GET', '/v1/cycle/activations')).body).toEqual({
    activations: [
      { cycle: 3, ...newest },
      { cycle: 2, servers: 2, late: 1, ...times },
    ],
  });
});

test('a promotion is another cycle; one that servers could not fetch in time is refused', async () => {
  await put('a', 1);
  await put('b', 2);
  const some = await ask('POST', '/v1/cycle/promote', { keys: ['a'] });
  expect(some).toMatchObject({ status: 200, body: { promoted: 1, cycle: 2, waiting: 1, activateAtMs: intervalMs } });
  expect(await changes('/v1/cycle/staged')).toMatchObject({ cycle: 2, changes: [{ put: ['a', 1] }] });
  const all = await server.inject({ method: 'POST', url: '/v1/cycle/promote' });
  expect(all.json()).toMatchObject({ promoted: 1, cycle: 3, waiting: 0 });
  clock.advance(intervalMs - 1000 - clock.monotonicMs());
  const late = await ask('POST', '/v1/cycle/promote', {});
  expect(late).toMatchObject({ status: 409, body: { error: { code: 'too-late' } } });
});

test('an activation by hand: at once, or in so long', async () => {
  await put('a', 1);
  await ask('POST', '/v1/cycle/promote');
  const now = await server.inject({ method: 'POST', url: '/v1/cycle/activate-now' });
  expect(now.json()).toMatchObject({ cycle: 3, active: { cycle: 2, activatedAtMs: 1000 }, activateAtMs: intervalMs });
  const later = await ask<CycleBody>('POST', '/v1/cycle/activate-now', { inMs: 20_000 });
  expect(later.body).toMatchObject({ cycle: 3, activateAtMs: 21_000, active: { cycle: 2 } });
  const hasty = await ask('POST', '/v1/cycle/activate-now', { inMs: 5 });
  expect(hasty).toMatchObject({ status: 409, body: { error: { code: 'too-late' } } });
});

test('a dated item waits for the activation that covers its date, and no activation by hand shows it earlier', async () => {
  await put('sale', 'new', { notBeforeMs: 2.5 * intervalMs });
  expect((await ask<ItemBody>('GET', '/v1/items/sale')).body).toEqual({
    key: 'sale',
    value: 'new',
    notBeforeMs: 150_000,
    waiting: true,
  });
  await untilDue();
  expect(await roll()).toMatchObject({ activateAtMs: 120_000, waiting: 1 });
  await untilDue();
  expect(await roll()).toMatchObject({ activateAtMs: 180_000, waiting: 0 });
  expect(await changes('/v1/cycle/staged')).toMatchObject({ changes: [{ put: ['sale', 'new'] }] });
  const hasty = await ask('POST', '/v1/cycle/activate-now', { inMs: 10_000 });
  expect(hasty).toMatchObject({ status: 409, body: { error: { code: 'dated-later' } } });
  expect(await changes('/v1/cycle/active')).toMatchObject({ changes: [] });
  await untilDue();
  expect(await changes('/v1/cycle/active')).toMatchObject({ changes: [{ put: ['sale', 'new'] }] });
});

test('pages: each names where the next begins, and a cycle that moved on says so', async () => {
  const keys = Array.from({ length: 25 }, (_, index) => `key ${String(index).padStart(2, '0')}`);
  expect((await ask('POST', '/v1/items', { operations: keys.map((key) => ({ put: [key, key] })) })).body).toEqual({
    changed: 25,
  });
  await untilDue();
  await roll();
  const read = async (base: string): Promise<readonly unknown[]> => {
    const first = await changes(base);
    const found = [...first.changes];
    for (let { next } = first; next !== null;) {
      const page: ChangesBody = await changes(`${base}&cycle=${first.cycle}&after=${encodeURIComponent(next)}`);
      found.push(...page.changes);
      next = page.next;
    }
    return found;
  };
  const { source } = await changes('/v1/cycle/staged');
  const wanted = keys.map((key) => ({ put: [key, key] }));
  expect(await read('/v1/cycle/staged?limit=10')).toEqual(wanted);
  expect(await read(`/v1/cycle/staged?limit=7&since=1&source=${source}`)).toEqual(wanted);
  const first = await changes('/v1/cycle/staged?limit=10');
  const rest = `/v1/cycle/staged?limit=10&cycle=2&after=${encodeURIComponent(first.next ?? '')}`;
  expect((await ask('GET', rest)).status).toBe(200);
  // A page of a whole copy is never continued as changes.
  expect((await ask('GET', `${rest}&since=1&source=${source}`)).status).toBe(409);
  await untilDue();
  await roll();
  expect(await ask('GET', rest)).toMatchObject({ status: 409, body: { error: { code: 'cycle-moved' } } });
  // What was staged is active now: a page of it goes on.
  expect((await ask('GET', rest.replace('staged', 'active'))).status).toBe(200);
});

test('production is listed, read, edited and emptied', async () => {
  await ask('POST', '/v1/items', {
    operations: [{ put: ['a/1', 1] }, { put: ['a/2', null], notBeforeMs: 5 }, { put: ['b', []] }],
  });
  const first = await ask<ItemsBody>('GET', '/v1/items?prefix=a/&limit=1');
  expect(first.body).toEqual({ items: [{ key: 'a/1', value: 1, notBeforeMs: null, waiting: true }], next: 'a/1' });
  const second = await ask<ItemsBody>('GET', `/v1/items?prefix=a/&limit=1&after=${encodeURIComponent('a/1')}`);
  expect(second.body).toEqual({ items: [{ key: 'a/2', value: null, notBeforeMs: 5, waiting: true }], next: null });
  expect((await ask('DELETE', '/v1/items/b')).body).toEqual({ changed: 1 });
  expect((await ask('DELETE', '/v1/items/b')).body).toEqual({ changed: 0 });
  expect(await ask('GET', '/v1/items/b')).toMatchObject({ status: 404, body: { error: { code: 'key-unknown' } } });
});

test.each([
  ['POST', '/v1/cycle/roll', undefined, 'body'],
  ['POST', '/v1/cycle/roll', { by: '' }, 'by'],
  ['POST', '/v1/cycle/roll', { by: 'a\u0007' }, 'by'],
  ['POST', '/v1/cycle/roll', { by: 's1', force: true }, 'force'],
  ['PUT', '/v1/cycle/interval', {}, 'intervalMs'],
  ['PUT', '/v1/cycle/interval', { intervalMs: 99 }, 'intervalMs'],
  ['PUT', '/v1/cycle/interval', { intervalMs: 366 * 86_400_000 + 1 }, 'intervalMs'],
  ['PUT', '/v1/cycle/interval', { intervalMs: '10m' }, 'intervalMs'],
  ['PUT', '/v1/cycle/interval', { intervalMs: 1000, originMs: 0.5 }, 'originMs'],
  ['POST', '/v1/cycle/promote', { keys: [] }, 'keys'],
  ['POST', '/v1/cycle/promote', { keys: ['a', ''] }, 'keys[1]'],
  ['POST', '/v1/cycle/activate-now', { inMs: -1 }, 'inMs'],
  ['POST', '/v1/cycle/retrievals', { by: 's1', cycle: 1, durationMs: -1 }, 'durationMs'],
  ['POST', '/v1/cycle/retrievals', { by: 's1', durationMs: 1 }, 'cycle'],
  ['POST', '/v1/cycle/activations', undefined, 'body'],
  ['POST', '/v1/cycle/activations', [1], 'body'],
  ['POST', '/v1/cycle/activations', { ...shown, by: ' ' }, 'by'],
  ['POST', '/v1/cycle/activations', { ...shown, by: 's'.repeat(201) }, 'by'],
  ['POST', '/v1/cycle/activations', { ...shown, cycle: undefined }, 'cycle'],
  ['POST', '/v1/cycle/activations', { ...shown, cycle: 1.5 }, 'cycle'],
  ['POST', '/v1/cycle/activations', { ...shown, cycle: -1 }, 'cycle'],
  ['POST', '/v1/cycle/activations', { ...shown, reachedMs: '5' }, 'reachedMs'],
  ['POST', '/v1/cycle/activations', { ...shown, reachedMs: cycleBounds.latestInstantMs + 2 }, 'reachedMs'],
  ['POST', '/v1/cycle/activations', { ...shown, errorMs: -0.001 }, 'errorMs'],
  ['POST', '/v1/cycle/activations', { ...shown, errorMs: null }, 'errorMs'],
  ['POST', '/v1/cycle/activations', { ...shown, late: 'no' }, 'late'],
  ['POST', '/v1/cycle/activations', { ...shown, activateAtMs: 5 }, 'activateAtMs'],
  ['PUT', '/v1/items/a', {}, 'value'],
  ['PUT', '/v1/items/a', { value: 1, notBeforeMs: 'soon' }, 'notBeforeMs'],
  ['POST', '/v1/items', { operations: [{ put: ['a', 1], delete: 'a' }] }, 'operations[0]'],
  ['POST', '/v1/items', { operations: [{ delete: 'a', notBeforeMs: 5 }] }, 'operations[0].notBeforeMs'],
  ['GET', '/v1/cycle/staged?since=-1', undefined, 'since'],
  ['GET', '/v1/cycle/staged?after=nonsense&cycle=1', undefined, 'after'],
  ['GET', '/v1/cycle/staged?after=w1.a', undefined, 'cycle'],
  ['GET', '/v1/cycle/active?limit=10001', undefined, 'limit'],
  ['GET', '/v1/items?limit=0', undefined, 'limit'],
  ['GET', `/v1/items/${'x'.repeat(513)}`, undefined, 'key'],
] as const)('%s %s %j is refused, naming %s', async (method, url, payload, field) => {
  dataServer.reportActivation({ ...shown, by: 's0' });
  const before = await dataServer.status();
  const activations = dataServer.activations();
  const answer = await server.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({ error: { code: 'bad-input', field } });
  expect(await dataServer.status()).toEqual(before);
  expect(dataServer.activations()).toEqual(activations);
});

test('a value that is no value of an item is refused with where', async () => {
  const deep = `${'['.repeat(65)}${']'.repeat(65)}`;
  const answer = await server.inject({
    method: 'PUT',
    url: '/v1/items/a',
    payload: `{"value":${deep}}`,
    headers: { 'content-type': 'application/json' },
  });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({ error: { code: 'bad-operation' } });
});

test('the stamps are of one steady clock, and the answer was under way between them', async () => {
  const first = (await ask<CycleBody>('GET', '/v1/cycle')).body.clock;
  clock.advance(250);
  const second = (await ask<CycleBody>('GET', '/v1/cycle')).body.clock;
  expect(second).toEqual({ id: first.id, receivedMs: first.receivedMs + 250, sentMs: first.sentMs + 250 });
  const started = new DataServer({ store, clock, log });
  expect(started.clock.id).not.toBe(first.id);
});

test('a database that does not answer is a 503 that says so, is not ready, and is told once', async () => {
  expect((await server.inject('/readyz')).statusCode).toBe(200);
  const broken = new DataServer({
    clock,
    log,
    store: new Proxy(store, {
      get: (target, name) =>
        name === 'state' || name === 'page' ? () => Promise.reject(failure) : (Reflect.get(target, name) as unknown),
    }),
  });
  const failure = new (await import('../../../shared/protocol/kernel/errors.js')).LockstepError(
    'store-unusable',
    'it is gone',
  );
  const other = createServer(log);
  addDataServerRoutes(other, broken);
  for (const url of ['/v1/cycle', '/v1/cycle/staged', '/v1/cycle/active']) {
    const answer = await other.inject(url);
    expect(answer.statusCode).toBe(503);
    expect(answer.json()).toEqual({ error: { code: 'store-unusable', message: 'it is gone' } });
    expect(answer.headers['retry-after']).toBe('1');
  }
  const ready = await other.inject('/readyz');
  expect(ready.statusCode).toBe(503);
  expect(ready.json()).toMatchObject({ ready: false, reasons: ['database: it is gone'] });
  expect(log.events.map(({ name }) => name)).toEqual(['database failed']);
  await other.close();
});

test('who copies may only read, roll and report; who edits may not move the instant', async () => {
  const tokens = { read: newToken('read'), write: newToken('write'), admin: newToken('admin') };
  const lines = Object.values(tokens)
    .map(({ line }) => line)
    .join('\n');
  const guarded = createServer(log, { tokens: parseTokens(lines, 'a test') });
  addDataServerRoutes(guarded, dataServer);
  const status = async (
    role: keyof typeof tokens,
    method: 'GET' | 'POST' | 'PUT',
    url: string,
    payload?: object,
  ): Promise<number> => {
    const headers = { authorization: `Bearer ${tokens[role].token}` };
    return (await guarded.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) })).statusCode;
  };
  const report = { by: 's1', cycle: 1, durationMs: 1 };
  expect(await status('read', 'POST', '/v1/cycle/roll', { by: 's1' })).toBe(200);
  expect(await status('read', 'POST', '/v1/cycle/retrievals', report)).toBe(200);
  expect(await status('read', 'POST', '/v1/cycle/activations', shown)).toBe(200);
  expect(await status('read', 'GET', '/v1/cycle/activations')).toBe(200);
  expect(await status('read', 'GET', '/v1/cycle/active')).toBe(200);
  expect(await status('read', 'PUT', '/v1/items/a', { value: 1 })).toBe(403);
  expect(await status('read', 'POST', '/v1/cycle/promote', {})).toBe(403);
  expect(await status('write', 'PUT', '/v1/items/a', { value: 1 })).toBe(200);
  expect(await status('write', 'POST', '/v1/cycle/promote', {})).toBe(200);
  expect(await status('write', 'PUT', '/v1/cycle/interval', { intervalMs: 60_000 })).toBe(403);
  expect(await status('write', 'POST', '/v1/cycle/activate-now', {})).toBe(403);
  expect(await status('admin', 'PUT', '/v1/cycle/interval', { intervalMs: 60_000 })).toBe(200);
  expect((await guarded.inject('/v1/cycle')).statusCode).toBe(401);
  expect((await guarded.inject('/readyz')).statusCode).toBe(200);
  await guarded.close();
});
