import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErrorBody, ReadyBody, StatusBody } from '../../shared/http/bodies.js';
import { createServer } from '../../shared/http/server.js';
import { FakeCopy, RecordingLog, tipAt } from '../../tests/integration/process/http-fakes.js';
import { documented, type Documented } from '../../tests/support/documented.js';
import { addSlaveRoutes } from './api.js';

let server: FastifyInstance;
let held: Documented;
let copy: FakeCopy;

beforeEach(() => {
  copy = new FakeCopy({ a: 1, b: 2 }, 4);
  server = createServer(new RecordingLog());
  held = documented(server, 'slave');
  addSlaveRoutes(server, { node: 's1', dataSets: new Map([['prices', copy]]) });
});

afterEach(async () => {
  await server.close();
  expect(held.problems, 'answers that the OpenAPI document does not describe').toEqual([]);
});

test.each([
  ['PUT', '/v1/data/prices/a'],
  ['DELETE', '/v1/data/prices/a'],
  ['POST', '/v1/changes/prices'],
  ['POST', '/v1/members/prices/a/forget'],
] as const)('%s %s answers 421 and names the master, whatever the body is', async (method, url) => {
  const answer = await server.inject({ method, url, headers: { 'content-type': 'text/odd' }, payload: '{' });
  expect(answer.statusCode).toBe(421);
  expect(answer.json()).toEqual({
    error: { code: 'write-at-slave', message: 's1 is a slave and takes no changes; send them to its master, master' },
    master: 'master',
  });
});

test('without a master in sight a write says so', async () => {
  copy.master = null;
  const answer = await server.inject({ method: 'DELETE', url: '/v1/data/prices/a' });
  expect([answer.statusCode, answer.json<{ master: string | null }>().master]).toEqual([421, null]);
});

test('a read names its version and whether it is current', async () => {
  const current = await server.inject('/v1/data/prices/a');
  expect(current.json()).toEqual({ key: 'a', value: 1, version: 4 });
  expect(current.headers).toMatchObject({ 'lockstep-epoch': '3', 'lockstep-version': '4', 'lockstep-current': 'true' });
  copy.state = 'catching up';
  expect((await server.inject('/v1/data/prices')).headers['lockstep-current']).toBe('false');
});

test("minVersion waits for the version, to read one's own write", async () => {
  const answer = server.inject('/v1/data/prices/a?minVersion=6&timeoutMs=5000').then((response) => response);
  await expect.poll(() => copy.waiting).toBe(1);
  copy.arrive(6);
  expect((await answer).headers['lockstep-version']).toBe('6');
});

test('a version that does not come in time is 504, and says what there is', async () => {
  const answer = await server.inject('/v1/data/prices/a?minVersion=6&timeoutMs=0');
  expect([answer.statusCode, answer.json<ErrorBody>().error.code, answer.headers['lockstep-version']]).toEqual([
    504,
    'timed-out',
    '4',
  ]);
});

test('only a diverged copy is discarded', async () => {
  const refused = await server.inject({ method: 'POST', url: '/v1/data/prices/discard' });
  expect([refused.statusCode, copy.discarded]).toEqual([409, 0]);
  copy.state = 'diverged';
  const done = await server.inject({ method: 'POST', url: '/v1/data/prices/discard' });
  expect([done.statusCode, done.json(), copy.discarded]).toEqual([
    200,
    { discarded: 'prices', was: { epoch: 3, version: 4, chainId: tipAt(4).chain } },
    1,
  ]);
});

test('an operator decides only a round that is in doubt, says who, and what is refused says why', async () => {
  const round = { epoch: { number: 3, claimant: 'c'.repeat(32) }, number: 7 };
  copy.inDoubt = [{ round, to: tipAt(5), ageMs: 61_000, voters: 2, masterCannotTell: false }];
  const url = '/v1/in-doubt/prices/3.cccccccc.7';
  const post = (payload: object, to = url): Promise<LightMyRequestResponse> =>
    server.inject({ method: 'POST', url: to, payload });
  const word = { outcome: 'commit', by: 'ann', iUnderstand: true };
  for (const [field, wrong] of [
    ['outcome', { ...word, outcome: 'perhaps' }],
    ['by', { ...word, by: ' ' }],
    ['iUnderstand', { ...word, iUnderstand: 'yes' }],
    ['why', { ...word, why: 'x' }],
  ] as const) {
    const answer = await post(wrong);
    expect([answer.statusCode, answer.json<ErrorBody>().error.field]).toEqual([400, field]);
  }
  const unknown = await post(word, '/v1/in-doubt/prices/3.cccccccc.8');
  expect([unknown.statusCode, unknown.json<ErrorBody>().error.message]).toEqual([
    404,
    'round 3.cccccccc.8 is not in doubt at s1; in doubt is 3.cccccccc.7',
  ]);
  copy.resolveRefusal = 'the master m is heard';
  const refused = await post(word);
  expect([refused.statusCode, refused.json<ErrorBody>().error]).toMatchObject([
    409,
    { code: 'bad-operation', message: 'the master m is heard' },
  ]);
  copy.resolveRefusal = null;
  const resolved = {
    round: '3.cccccccc.7',
    version: 5,
    outcome: 'committed',
    by: 'ann',
    at: '1970-01-01T00:00:00.000Z',
  };
  const done = await post(word);
  expect([done.statusCode, done.json()]).toEqual([200, resolved]);
  expect((await server.inject('/v1/status')).json()).toMatchObject({
    dataSets: [{ inDoubt: [], resolved: [resolved] }],
  });
});

test('ready while it serves, also when the master is away; ?current=true asks for more', async () => {
  copy.state = 'serving';
  expect((await server.inject('/readyz')).statusCode).toBe(200);
  const strict = await server.inject('/readyz?current=true');
  expect([strict.statusCode, strict.json<ReadyBody>().reasons]).toEqual([
    503,
    ['prices: the copy at e3 v4 is serving; for a test'],
  ]);
  copy.state = 'diverged';
  expect((await server.inject('/readyz')).statusCode).toBe(503);
  copy.state = 'catching up';
  copy.version = 0;
  expect((await server.inject('/readyz')).json()).toEqual({
    ready: false,
    reasons: ['prices: there is no copy yet; for a test'],
  });
});

test('status gives its account', async () => {
  copy.lastVeto = { version: 3, reason: 'no', atMs: 1_000_000_000_000 - performance.timeOrigin };
  expect((await server.inject('/v1/status')).json()).toEqual({
    node: 's1',
    role: 'slave',
    network: null,
    dataSets: [
      {
        dataSet: 'prices',
        state: 'current',
        tip: { epoch: 3, version: 4, chainId: tipAt(4).chain },
        heardOf: { epoch: 3, version: 4, chainId: tipAt(4).chain },
        master: 'master',
        entries: 2,
        stateDigest: 'e'.repeat(32),
        behind: 0,
        behindMs: 0,
        lastVote: null,
        lastVeto: { version: 3, reason: 'no', at: '2001-09-09T01:46:40.000Z' },
        armed: null,
        inDoubt: [],
        resolved: [],
        reason: '',
        repairs: 0,
        snapshots: 0,
        resyncs: { new: 1 },
        clock: null,
      },
    ],
  });
  expect((await server.inject('/livez')).statusCode).toBe(200);
});

test('group time is given as an interval, rounded outwards, and by what it is ahead of the time of day here', async () => {
  const groupMs = Date.now() + 3_600_000;
  copy.clock = { earliestMs: groupMs - 0.50049, groupMs, latestMs: groupMs + 0.50051, errorMs: 0.5005, era: 1 };
  const status = (await server.inject('/v1/status')).json<StatusBody>();
  const clock = status.role === 'slave' ? status.dataSets[0]?.clock : null;
  if (clock === null || clock === undefined) throw new Error('no clock');
  expect(clock.earliestMs).toBeLessThanOrEqual(groupMs - 0.5004);
  expect(clock.latestMs).toBeGreaterThanOrEqual(groupMs + 0.5005);
  expect(clock.latestMs - clock.earliestMs).toBeLessThan(1.01);
  expect(clock.errorMs).toBe(0.501);
  expect(clock.offsetMs).toBeGreaterThan(3_600_000 - 5000);
  expect(clock.offsetMs).toBeLessThanOrEqual(3_600_000.001);
});

test('the digest of a large copy is given when asked for', async () => {
  copy.claimedSize = 50_001;
  const digest = async (url: string): Promise<string | null | undefined> =>
    (await server.inject(url)).json<StatusBody>().dataSets[0]?.stateDigest;
  expect(await digest('/v1/status')).toBeNull();
  expect(await digest('/v1/status?digest=true')).toBe('e'.repeat(32));
});
