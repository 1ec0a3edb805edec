import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RecordingLog } from '../../tests/integration/process/http-fakes.js';
import type { ReadyCheckBody } from './bodies.js';
import { createServer } from './server.js';
import { addHealthRoutes } from './ready.js';

let server: FastifyInstance;
let isCurrent: boolean;
let asked: boolean[];

beforeEach(() => {
  isCurrent = false;
  asked = [];
  server = createServer(new RecordingLog());
  addHealthRoutes(server, (mustBeCurrent): readonly ReadyCheckBody[] => {
    asked.push(mustBeCurrent);
    return [
      { name: 'prices', ok: true, text: 'is served' },
      { name: 'routes', ok: !mustBeCurrent || isCurrent, text: isCurrent ? 'is current' : 'is behind' },
    ];
  });
});

afterEach(async () => {
  await server.close();
});

test('answers at once, and only asks for what is current when told to', async () => {
  expect((await server.inject('/readyz')).json()).toEqual({ ready: true, reasons: [] });
  const strict = await server.inject('/readyz?current');
  expect([strict.statusCode, strict.json()]).toEqual([503, { ready: false, reasons: ['routes: is behind'] }]);
  expect((await server.inject('/readyz?current=false')).statusCode).toBe(200);
  expect(asked).toEqual([false, true, false]);
});

test('verbose names each check on a line of its own', async () => {
  const answer = await server.inject('/readyz?verbose&current');
  expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect([answer.statusCode, answer.body]).toEqual([503, '[+]prices is served\n[-]routes is behind\nnot ready\n']);
  expect((await server.inject('/readyz?verbose')).body).toMatch(/\nready\n$/);
});

test('verbose in JSON, for who accepts that', async () => {
  const answer = await server.inject({ url: '/readyz?verbose&current', headers: { accept: 'application/json' } });
  expect(answer.json()).toEqual({
    ready: false,
    reasons: ['routes: is behind'],
    checks: [
      { name: 'prices', ok: true, text: 'is served' },
      { name: 'routes', ok: false, text: 'is behind' },
    ],
  });
});

test('with a timeout it waits until it is so', async () => {
  const answer = server.inject('/readyz?current&timeout=1m').then((response) => response);
  await expect.poll(() => asked.length, { timeout: 5000 }).toBeGreaterThan(2);
  isCurrent = true;
  expect((await answer).statusCode).toBe(200);
});

test('… or until the time is up', async () => {
  const startMs = performance.now();
  const answer = await server.inject('/readyz?current&timeout=100ms');
  expect([answer.statusCode, answer.json()]).toEqual([503, { ready: false, reasons: ['routes: is behind'] }]);
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(95);
});

test('a shutdown ends the wait', async () => {
  const answer = server.inject('/readyz?current&timeout=1m').then((response) => response);
  await expect.poll(() => asked.length, { timeout: 5000 }).toBeGreaterThan(1);
  await server.close();
  expect((await answer).statusCode).toBe(503);
});

test('no more wait at once than are allowed', async () => {
  const waiting = Array.from({ length: 64 }, () =>
    server.inject('/readyz?current&timeout=1m').then((answer) => answer),
  );
  await expect.poll(() => asked.length, { timeout: 5000 }).toBeGreaterThanOrEqual(64);
  const refused = await server.inject('/readyz?current&timeout=1s');
  expect([refused.statusCode, refused.json<{ error: { code: string } }>().error.code]).toEqual([503, 'queue-full']);
  isCurrent = true;
  for (const answer of await Promise.all(waiting)) expect(answer.statusCode).toBe(200);
});

test.each([
  ['timeout=5', 'timeout'],
  ['timeout=61s', 'timeout'],
  ['timeout=2m', 'timeout'],
  ['current=yes', 'current'],
  ['curent', 'curent'],
])('?%s is refused, naming %s', async (query, field) => {
  const answer = await server.inject(`/readyz?${query}`);
  expect([answer.statusCode, answer.json<{ error: { field: string } }>().error.field]).toEqual([400, field]);
});
