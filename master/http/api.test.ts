import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { ErrorBody, PageBody, ReadyBody, StatusBody } from '../../shared/http/bodies.js';
import { httpBounds } from '../../shared/http/bounds.js';
import { createServer, refuseUntilOpen } from '../../shared/http/server.js';
import {
  committed,
  FakeOriginal,
  memberView,
  RecordingLog,
  refused,
  tipAt,
} from '../../tests/integration/process/http-fakes.js';
import { documented, type Documented } from '../../tests/support/documented.js';
import { addMasterRoutes } from './api.js';

let server: FastifyInstance;
let held: Documented;
let original: FakeOriginal;
let log: RecordingLog;

beforeEach(() => {
  original = new FakeOriginal();
  log = new RecordingLog();
  server = createServer(log);
  held = documented(server, 'master');
  addMasterRoutes(server, { node: 'master', dataSets: new Map([['prices', original]]), whyNotLeading: () => null });
});

afterEach(async () => {
  await server.close();
  expect(held.problems, 'answers that the OpenAPI document does not describe').toEqual([]);
});

const json = { 'content-type': 'application/json' };

describe('changes', () => {
  test('a put answers with the outcome, and can be read', async () => {
    const put = await server.inject({
      method: 'PUT',
      url: '/v1/data/prices/sku-1',
      headers: json,
      payload: '{"cents": 999}',
    });
    expect(put.statusCode).toBe(200);
    expect(put.json()).toEqual({
      outcome: 'committed',
      epoch: 3,
      version: 1,
      chainId: tipAt(1).chain,
      durationMs: 1.235,
      votes: { yes: 2, no: 0, silent: 0 },
      durable: true,
    });
    const read = await server.inject('/v1/data/prices/sku-1');
    expect(read.json()).toEqual({ key: 'sku-1', value: { cents: 999 }, version: 1 });
    expect(read.headers).toMatchObject({ 'lockstep-epoch': '3', 'lockstep-version': '1', 'lockstep-current': 'true' });
  });

  test.each(['null', 'false', '0', '"text"', '[1,2]'])('a value may be any JSON: %s', async (payload) => {
    const put = await server.inject({ method: 'PUT', url: '/v1/data/prices/k', headers: json, payload });
    expect(put.statusCode).toBe(200);
    expect(original.calls[0]?.operations).toEqual([{ put: ['k', JSON.parse(payload)] }]);
  });

  test('a key may hold slashes, spaces and any script, percent-encoded', async () => {
    const key = 'a/b c/ключ?';
    await server.inject({
      method: 'PUT',
      url: `/v1/data/prices/${encodeURIComponent(key)}`,
      headers: json,
      payload: '1',
    });
    const read = await server.inject(`/v1/data/prices/${encodeURIComponent(key)}`);
    expect(read.json()).toMatchObject({ key, value: 1 });
  });

  test('a key of 512 bytes is taken, one more is refused', async () => {
    const longest = 'ü'.repeat(256);
    expect(
      (
        await server.inject({
          method: 'PUT',
          url: `/v1/data/prices/${encodeURIComponent(longest)}`,
          headers: json,
          payload: '1',
        })
      ).statusCode,
    ).toBe(200);
    const refusal = await server.inject({
      method: 'PUT',
      url: `/v1/data/prices/${encodeURIComponent(`${longest}x`)}`,
      headers: json,
      payload: '1',
    });
    expect(refusal.statusCode).toBe(400);
    expect(refusal.json<ErrorBody>().error).toMatchObject({ code: 'bad-input', field: 'key' });
  });

  test('conditions and options of a single change come in the query', async () => {
    await server.inject({
      method: 'PUT',
      url: '/v1/data/prices/k?ifVersion=4&timeoutMs=250&phases=one&wait=exposed&voters=2',
      headers: json,
      payload: '1',
    });
    expect(original.calls[0]).toEqual({
      operations: [{ put: ['k', 1], ifVersion: 4 }],
      options: { phases: 'one', wait: 'exposed', timeoutMs: 250, voters: 2 },
    });
    await server.inject({ method: 'DELETE', url: '/v1/data/prices/k?ifVersion=5' });
    expect(original.calls[1]).toEqual({ operations: [{ delete: 'k', ifVersion: 5 }], options: {} });
  });

  test('a batch passes its operations, options and idempotency key on', async () => {
    const operations = [
      { put: ['a', 1], ifAbsent: true },
      { delete: 'b', ifVersion: 2 },
    ];
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/changes/prices',
      headers: { 'idempotency-key': 'order-7' },
      payload: {
        operations,
        phases: 'two',
        timeoutMs: 100,
        voters: 'all',
        commitBy: 'unicast',
        abortBy: 'heartbeat',
        wait: 'decided',
      },
    });
    expect(answer.statusCode).toBe(200);
    expect(original.calls).toEqual([
      {
        operations,
        options: {
          phases: 'two',
          timeoutMs: 100,
          voters: 'all',
          commitBy: 'unicast',
          abortBy: 'heartbeat',
          wait: 'decided',
          idempotencyKey: 'order-7',
        },
      },
    ]);
  });

  test('a veto is 409 with who, why and which operations', async () => {
    original.answer = () => refused('b', 'cents must be positive', [0]);
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/changes/prices',
      payload: { operations: [{ put: ['sku-1', { cents: -5 }] }] },
    });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toEqual({
      outcome: 'aborted',
      reason: 'refused',
      refusals: [{ node: 'b', reason: 'cents must be positive', operations: [0] }],
      durationMs: 2,
    });
  });

  test('a condition that fails is 409 with what there is', async () => {
    original.answer = () => ({
      kind: 'aborted',
      reason: 'condition failed',
      refusals: [],
      failures: [{ operation: 0, key: 'k', actual: 9 }],
      durationMs: 0,
    });
    const answer = await server.inject({
      method: 'PUT',
      url: '/v1/data/prices/k?ifVersion=4',
      headers: json,
      payload: '1',
    });
    expect(answer.statusCode).toBe(409);
    expect(answer.json()).toMatchObject({
      reason: 'condition failed',
      failures: [{ operation: 0, key: 'k', actual: 9 }],
    });
  });

  test('an undecided change is 504, and the idempotency key tells later', async () => {
    original.answer = () => ({ kind: 'unknown', reason: 'the store failed', durationMs: 5 });
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/changes/prices',
      headers: { 'idempotency-key': 'k1' },
      payload: { operations: [{ delete: 'x' }] },
    });
    expect(answer.statusCode).toBe(504);
    expect(answer.json()).toEqual({ outcome: 'unknown', reason: 'the store failed', durationMs: 5 });
    original.remembered.set('k1', committed(8, 1));
    const later = await server.inject('/v1/changes/prices/k1');
    expect(later.statusCode).toBe(200);
    expect(later.json()).toMatchObject({ outcome: 'committed', version: 8 });
    original.remembered.set('k2', 'pending');
    expect((await server.inject('/v1/changes/prices/k2')).statusCode).toBe(202);
    expect((await server.inject('/v1/changes/prices/k3')).statusCode).toBe(404);
  });

  test('a master that does not lead answers 503 and says why', async () => {
    original.view = { ...original.view, phase: 'surveying' };
    const answer = await server.inject({ method: 'PUT', url: '/v1/data/prices/k', headers: json, payload: '1' });
    expect(answer.statusCode).toBe(503);
    expect(answer.json<ErrorBody>().error).toEqual({
      code: 'not-leading',
      message: 'master is asking its group whether it may lead; ask again in a moment',
    });
    expect(answer.headers['retry-after']).toBe('1');
    expect(original.calls).toEqual([]);
  });

  test.each([
    ['queue-full', 503],
    ['change-too-large', 413],
    ['bad-operation', 400],
    ['closed', 503],
  ] as const)('misuse that the data set finds: %s is %i', async (code, status) => {
    original.answer = () => {
      throw new LockstepError(code, 'what to do');
    };
    const answer = await server.inject({ method: 'PUT', url: '/v1/data/prices/k', headers: json, payload: '1' });
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toEqual({ error: { code, message: 'what to do' } });
  });

  test('our own bug is 500: nothing of it is shown, all of it is logged', async () => {
    original.answer = () => {
      throw new TypeError('secret detail');
    };
    const answer = await server.inject({ method: 'PUT', url: '/v1/data/prices/k', headers: json, payload: '1' });
    expect(answer.statusCode).toBe(500);
    expect(answer.body).not.toContain('secret');
    expect(answer.body).not.toContain('at ');
    expect(log.events).toMatchObject([
      { name: 'http-request-failed', level: 'error', fields: { reason: 'secret detail' } },
    ]);
  });
});

describe('bad input is 400, names the field, and changes nothing', () => {
  const put = { put: ['a', 1] };
  test.each([
    [{}, 'operations', 'operations: must be a list'],
    [[], 'body', 'body: must be an object'],
    [{ operations: [] }, 'operations', 'at least one'],
    [{ operations: [put, 5] }, 'operations[1]', 'operations[1]: must be'],
    [{ operations: [put, {}] }, 'operations[1]', 'either "put" or "delete"'],
    [{ operations: [{ put: ['a', 1], delete: 'a' }] }, 'operations[0]', 'either'],
    [{ operations: [{ put: ['a'] }] }, 'operations[0].put', '[key, value]'],
    [{ operations: [{ put: [5, 1] }] }, 'operations[0].put[0]', 'a text'],
    [{ operations: [{ put: ['', 1] }] }, 'operations[0].put[0]', 'at least one byte'],
    [{ operations: [{ put: ['\ud800', 1] }] }, 'operations[0].put[0]', 'surrogate'],
    [{ operations: [{ put: ['a', 1], ifVersion: 0 }] }, 'operations[0].ifVersion', 'at least 1'],
    [{ operations: [{ put: ['a', 1], ifAbsent: 1 }] }, 'operations[0].ifAbsent', 'true'],
    [{ operations: [{ put: ['a', 1], ifAbsent: true, ifVersion: 1 }] }, 'operations[0].ifAbsent', 'exclude'],
    [{ operations: [{ delete: 'a', ifAbsent: true }] }, 'operations[0].ifAbsent', 'no field of a delete'],
    [{ operations: [put], phase: 'two' }, 'phase', 'no field of a change'],
    [{ operations: [put], phases: 'three' }, 'phases', '"one" or "two"'],
    [{ operations: [put], timeoutMs: '5' }, 'timeoutMs', 'whole number'],
    [{ operations: [put], timeoutMs: 0 }, 'timeoutMs', 'whole number'],
    [{ operations: [put], voters: 'some' }, 'voters', '"all", "live"'],
    [{ operations: [put], wait: 'never' }, 'wait', '"decided"'],
    [{ operations: [put], commitBy: 'pigeon' }, 'commitBy', '"unicast"'],
  ])('%j', async (payload, field, message) => {
    const answer = await server.inject({ method: 'POST', url: '/v1/changes/prices', payload });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error).toMatchObject({ code: 'bad-input', field });
    expect(answer.json<ErrorBody>().error.message).toContain(message);
    expect(original.calls).toEqual([]);
  });

  test('malformed JSON is named with its position', async () => {
    const answer = await server.inject({
      method: 'PUT',
      url: '/v1/data/prices/k',
      headers: json,
      payload: '{"cents": }',
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error.code).toBe('bad-input');
    expect(answer.json<ErrorBody>().error.message).toMatch(/^body: is no JSON: .*'}'/);
  });

  test.each(['', '{"__proto__": 1}'])('body %j', async (payload) => {
    const answer = await server.inject({ method: 'PUT', url: '/v1/data/prices/k', headers: json, payload });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error.code).toBe('bad-input');
  });

  test.each([
    ['PUT', '/v1/data/prices/k?ifVersion=x', 'ifVersion'],
    ['PUT', '/v1/data/prices/k?ifAbsent=yes', 'ifAbsent'],
    ['PUT', '/v1/data/prices/k?ifAbsent=true&ifVersion=1', 'ifAbsent'],
    ['PUT', '/v1/data/prices/k?force=true', 'force'],
    ['DELETE', '/v1/data/prices/k?ifAbsent=true', 'ifAbsent'],
    ['GET', '/v1/data/prices?limit=0', 'limit'],
    ['GET', '/v1/data/prices?limit=10001', 'limit'],
    ['GET', '/v1/data/prices?limit=1&limit=2', 'limit'],
    ['GET', '/v1/data/prices?prefix=a&prefix=b', 'prefix'],
    ['GET', '/v1/data/prices?sort=up', 'sort'],
    ['GET', '/v1/data/prices/k?minVersion=-1', 'minVersion'],
    ['GET', '/v1/data/prices/%ff', 'url'],
  ] as const)('%s %s', async (method, url, field) => {
    const answer = await server.inject({ method, url, ...(method === 'PUT' ? { headers: json, payload: '1' } : {}) });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error).toMatchObject({ code: 'bad-input', field });
  });

  test('an idempotency key of 201 bytes', async () => {
    const answer = await server.inject({
      method: 'DELETE',
      url: '/v1/data/prices/k',
      headers: { 'idempotency-key': 'x'.repeat(201) },
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error.field).toBe('Idempotency-Key');
  });

  test('too many operations', async () => {
    const operations = Array.from({ length: httpBounds.operations + 1 }, () => ({ delete: 'k' }));
    const answer = await server.inject({ method: 'POST', url: '/v1/changes/prices', payload: { operations } });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error.message).toContain(`${httpBounds.operations + 1} operations`);
  });

  test('a body that is too large is 413, another media type 415', async () => {
    const large = await server.inject({
      method: 'POST',
      url: '/v1/reads/prices',
      headers: json,
      payload: `{"keys":["${'x'.repeat(httpBounds.readBodyBytes)}"]}`,
    });
    expect(large.statusCode).toBe(413);
    expect(large.json<ErrorBody>().error).toMatchObject({ code: 'change-too-large', field: 'body' });
    const form = await server.inject({
      method: 'PUT',
      url: '/v1/data/prices/k',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'a=1',
    });
    expect(form.statusCode).toBe(415);
    expect(form.json<ErrorBody>().error.message).toContain('application/json');
  });

  test('a web page of another origin changes nothing', async () => {
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/members/prices/a/forget',
      headers: { origin: 'http://evil.example', host: '127.0.0.1:7400' },
    });
    expect(answer.statusCode).toBe(403);
    expect(original.forgotten).toEqual([]);
    const own = await server.inject({
      method: 'POST',
      url: '/v1/members/prices/a/forget',
      headers: { origin: 'http://127.0.0.1:7400', host: '127.0.0.1:7400' },
    });
    expect(own.statusCode).toBe(200);
  });
});

describe('reads', () => {
  beforeEach(async () => {
    await original.change([{ put: ['a1', 1] }, { put: ['a2', 2] }, { put: ['a3', 3] }, { put: ['b1', 4] }]);
  });

  test('pages follow each other, and the last one says so', async () => {
    const first = (await server.inject('/v1/data/prices?prefix=a&limit=2')).json<PageBody>();
    expect(first).toEqual({
      epoch: 3,
      version: 1,
      entries: [
        { key: 'a1', value: 1, version: 1 },
        { key: 'a2', value: 2, version: 1 },
      ],
      next: 'a2',
    });
    const second = (await server.inject(`/v1/data/prices?prefix=a&limit=2&after=${first.next ?? ''}`)).json<PageBody>();
    expect(second.entries).toEqual([{ key: 'a3', value: 3, version: 1 }]);
    expect(second.next).toBeNull();
  });

  test('many keys at one version; what is missing is named', async () => {
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/reads/prices',
      payload: { keys: ['b1', 'nope', 'a1'] },
    });
    expect(answer.json()).toEqual({
      epoch: 3,
      version: 1,
      entries: [
        { key: 'b1', value: 4, version: 1 },
        { key: 'a1', value: 1, version: 1 },
      ],
      missing: ['nope'],
    });
    expect(answer.headers['lockstep-version']).toBe('1');
  });

  test.each([
    [{ keys: 'a' }, 'keys'],
    [{ keys: [1] }, 'keys[0]'],
    [{ keys: [], more: 1 }, 'more'],
    [5, 'body'],
  ])('reads of %j are refused', async (payload, field) => {
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/reads/prices',
      headers: json,
      payload: JSON.stringify(payload),
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json<ErrorBody>().error.field).toBe(field);
  });

  test('unknown key, data set, route', async () => {
    const key = await server.inject('/v1/data/prices/nope');
    expect([key.statusCode, key.json<ErrorBody>().error.code, key.headers['lockstep-version']]).toEqual([
      404,
      'key-unknown',
      '1',
    ]);
    const dataSet = await server.inject('/v1/data/routes/nope');
    expect([dataSet.statusCode, dataSet.json<ErrorBody>().error]).toEqual([
      404,
      { code: 'data-set-unknown', message: "data set routes isn't registered here; there is prices", field: 'dataSet' },
    ]);
    const route = await server.inject('/v2/nothing');
    expect([route.statusCode, route.json<ErrorBody>().error.code]).toEqual([404, 'route-unknown']);
  });

  test('a version that does not exist yet is 504', async () => {
    const answer = await server.inject('/v1/data/prices/a1?minVersion=2');
    expect([answer.statusCode, answer.json<ErrorBody>().error.code]).toEqual([504, 'timed-out']);
  });

  test('a master that does not lead says that it may not be current', async () => {
    original.view = { ...original.view, phase: 'halted' };
    const answer = await server.inject('/v1/data/prices/a1');
    expect([answer.statusCode, answer.headers['lockstep-current']]).toEqual([200, 'false']);
  });
});

describe('status and members', () => {
  test('status names every member with what it is at', async () => {
    original.view = {
      ...original.view,
      members: [
        memberView('a', {
          lastVote: { version: 2, yes: false, reason: 'no' },
          lastVeto: { version: 2, reason: 'no', atMs: 1_000_000_000_000 - performance.timeOrigin },
          tip: null,
          behind: null,
          behindMs: null,
          inDoubt: 1,
          oldestInDoubtMs: 12.34567,
        }),
      ],
    };
    const body = (await server.inject('/v1/status')).json<StatusBody>();
    expect(body).toMatchObject({
      node: 'master',
      role: 'master',
      dataSets: [{ dataSet: 'prices', phase: 'leading', epoch: 3, tip: null, stateDigest: 'd'.repeat(32) }],
    });
    expect(body.role === 'master' && body.dataSets[0]?.members[0]).toEqual({
      node: 'a',
      live: true,
      state: 'current',
      tip: null,
      behind: null,
      behindMs: null,
      heardMsAgo: 12.346,
      lastVote: { version: 2, yes: false, reason: 'no' },
      lastVeto: { version: 2, reason: 'no', at: '2001-09-09T01:46:40.000Z' },
      inDoubt: 1,
      oldestInDoubtMs: 12.346,
      roundTripMs: 0.25,
      repairs: 0,
      snapshots: 1,
      resyncs: { new: 1 },
    });
  });

  test('forget drops a member; an unknown one is 404', async () => {
    expect((await server.inject({ method: 'POST', url: '/v1/members/prices/a/forget' })).json()).toEqual({
      forgotten: 'a',
    });
    expect(original.forgotten).toEqual(['a']);
    expect((await server.inject({ method: 'POST', url: '/v1/members/prices/zz/forget' })).statusCode).toBe(404);
  });

  test('ready when it leads and may commit', async () => {
    expect((await server.inject('/readyz')).statusCode).toBe(200);
    original.view = { ...original.view, mayCommit: false };
    const waiting = await server.inject('/readyz');
    expect([waiting.statusCode, waiting.json<ReadyBody>().ready]).toEqual([503, false]);
    expect(waiting.json<ReadyBody>().reasons[0]).toContain('prices: master leads, and waits');
    expect((await server.inject('/livez')).json()).toEqual({ live: true });
  });

  test('until its store is open it is alive and not ready', async () => {
    const opening = createServer(log);
    refuseUntilOpen(opening, () => false);
    addMasterRoutes(opening, { node: 'master', dataSets: new Map(), whyNotLeading: () => null });
    expect((await opening.inject('/livez')).statusCode).toBe(200);
    expect((await opening.inject('/readyz')).statusCode).toBe(503);
    expect((await opening.inject('/v1/data/prices/a')).json<ErrorBody>().error.code).toBe('not-leading');
    await opening.close();
  });
});
