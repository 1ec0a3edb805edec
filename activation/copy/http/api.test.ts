import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { Registry } from 'prom-client';
import { addMetricsRoute } from '../../../shared/http/metrics.js';
import { operations } from '../../../shared/http/openapi/document.js';
import { createServer } from '../../../shared/http/server.js';
import { RecordingLog } from '../../../tests/integration/process/http-fakes.js';
import { HttpDataServer } from '../../../tests/support/cycle-http.js';
import { documented, type Documented } from '../../../tests/support/documented.js';
import { parseMetrics } from '../../../tests/support/metrics.js';
import { CycleCopy } from '../cycle-copy.js';
import { registerCycleCopyMetrics } from '../metrics.js';
import { addCycleCopyRoutes } from './api.js';

let source: HttpDataServer;
let copy: CycleCopy;
let server: FastifyInstance;
let held: Documented;

beforeEach(async () => {
  source = await HttpDataServer.start({ firstInMs: 1500, intervalMs: 60_000 });
  source.model.put('a', { cents: 1 });
  source.model.put('b', [2]);
  source.model.contents.set(1, new Map(source.model.production));
  copy = await CycleCopy.open({ name: 's1', from: source.url });
  server = createServer(new RecordingLog());
  held = documented(server, 'cycle-copy');
  const registry = new Registry();
  registerCycleCopyMetrics(copy, { registry });
  addMetricsRoute(server, registry);
  addCycleCopyRoutes(server, { copy: () => copy, dataSet: 'prices', from: source.url });
  await server.ready();
});

afterEach(async () => {
  expect(held.problems).toEqual([]);
  await server.close();
  await copy.close();
  await source[Symbol.asyncDispose]();
});

describe('over HTTP, a copy of a pull cycle', () => {
  test('answers reads as a slave does, with the cycle as the version', async () => {
    await copy.reached(1, { timeoutMs: 8000 });
    const one = await server.inject('/v1/data/prices/a');
    expect(one.json()).toEqual({ key: 'a', value: { cents: 1 }, version: 1 });
    expect(one.headers).toMatchObject({ 'lockstep-version': '1', 'lockstep-current': 'true' });
    expect((await server.inject('/v1/data/prices?limit=1')).json()).toEqual({
      epoch: 0,
      version: 1,
      entries: [{ key: 'a', value: { cents: 1 }, version: 1 }],
      next: 'a',
    });
    const many = await server.inject({ method: 'POST', url: '/v1/reads/prices', payload: { keys: ['b', 'c'] } });
    expect(many.json()).toMatchObject({ version: 1, entries: [{ key: 'b', value: [2] }], missing: ['c'] });
    expect((await server.inject('/v1/data/prices/c')).statusCode).toBe(404);
    expect((await server.inject('/v1/data/other/a')).statusCode).toBe(404);
    expect((await server.inject('/v1/data/prices/a?minVersion=9&timeoutMs=20')).statusCode).toBe(504);
  });

  test('waits for a cycle that is asked for', async () => {
    expect((await server.inject('/v1/data/prices/a?minVersion=1&timeoutMs=8000')).json()).toMatchObject({ version: 1 });
  });

  test('gives an account of itself, to people and to a scraper', async () => {
    await copy.reached(1, { timeoutMs: 8000 });
    const status = (await server.inject('/v1/status')).json<Record<string, unknown>>();
    expect(status).toMatchObject({
      node: 's1',
      role: 'cycle-copy',
      dataSet: 'prices',
      state: 'current',
      reason: '',
      active: 1,
      entries: 2,
      lastActivation: { cycle: 1 },
    });
    const metrics = parseMetrics((await server.inject('/metrics')).body);
    const valueOf = (name: string): number | undefined => metrics.find((each) => each.name === name)?.samples[0]?.value;
    expect(valueOf('lockstep_cycle_copy_active')).toBe(1);
    expect(valueOf('lockstep_cycle_copy_activation_error_seconds')).toBeGreaterThan(0);
    expect(Math.abs(valueOf('lockstep_cycle_copy_activation_after_seconds') ?? NaN)).toBeLessThan(1);
  });

  test('is ready while it has something to serve, and says whether that is current', async () => {
    await copy.reached(1, { timeoutMs: 8000 });
    expect((await server.inject('/readyz?current')).json()).toEqual({ ready: true, reasons: [] });
    expect((await server.inject('/livez')).json()).toEqual({ live: true });
    await using lonely = await CycleCopy.open({ name: 's2', from: 'http://127.0.0.1:9' });
    const other = createServer(new RecordingLog());
    addCycleCopyRoutes(other, { copy: () => lonely, dataSet: 'prices', from: 'http://127.0.0.1:9' });
    const ready = await other.inject('/readyz');
    expect([ready.statusCode, ready.json()]).toEqual([
      503,
      { ready: false, reasons: ['prices: there is no copy yet'] },
    ]);
    await other.close();
  });

  test('takes no writes, and says who does', async () => {
    for (const [method, url] of [
      ['PUT', '/v1/data/prices/a'],
      ['DELETE', '/v1/data/prices/a'],
      ['POST', '/v1/changes/prices'],
    ] as const) {
      const answer = await server.inject({ method, url, payload: {} });
      expect([answer.statusCode, answer.json()]).toMatchObject([
        421,
        { error: { code: 'write-at-slave' }, master: source.url },
      ]);
    }
  });

  test('serves the routes of its document and no others', () => {
    const written = operations
      .filter(({ at }) => at.includes('cycle-copy'))
      .map(({ method, path }) => `${method} ${path}`);
    expect([...held.routes].sort()).toEqual([...written].sort());
  });
});
