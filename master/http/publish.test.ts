import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createServer } from '../../shared/http/server.js';
import type { ChainId, Epoch, NodeId, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { RecordingLog } from '../../tests/integration/process/http-fakes.js';
import { documented } from '../../tests/support/documented.js';
import type { PublishOutcome } from '../index.js';
import { addMasterRoutes } from './api.js';
import { addPublishRoutes, servedDirectory, type ServedDirectory } from './publish.js';

const epoch: Epoch = { number: 1, nonce: 'a'.repeat(32), node: 'm' as NodeId } as unknown as Epoch;
const tip: Tip = { epoch, version: 3 as Version, chain: 'c' as ChainId };
const files = { added: ['a.txt'], changed: [], removed: ['sub/b.txt'] };

let server: FastifyInstance;
let published: PublishOutcome;
let asked: unknown;
let problems: readonly string[];

beforeEach(async () => {
  server = createServer(new RecordingLog());
  ({ problems } = documented(server, 'master'));
  const folder = {
    tip,
    size: 2,
    stateDigest: () => 'd',
    difference: () => Promise.resolve(files),
    publish: (options: unknown) => {
      asked = options;
      return Promise.resolve(published);
    },
    dataSet: { view: () => ({ phase: 'leading', mayCommit: true }) },
  } as unknown as ServedDirectory;
  const api = {
    node: 'm',
    dataSets: new Map([['conf', servedDirectory('conf', folder)]]),
    whyNotLeading: () => null,
  };
  addMasterRoutes(server, api);
  addPublishRoutes(server, api, new Map([['conf', folder]]));
  await server.ready();
});
afterEach(async () => {
  await server.close();
  // Every answer is as the OpenAPI document says.
  expect(problems).toEqual([]);
});

test('a folder is published with the options of the request, and the answer names the files', async () => {
  const votes = { yes: 2, no: 0, silent: 0 };
  published = { kind: 'committed', tip, durationMs: 5, votes, durable: true, files } as unknown as PublishOutcome;
  const answer = await server.inject({
    method: 'POST',
    url: '/v1/publish/conf',
    payload: { allowEmpty: true, timeoutMs: 500 },
  });
  expect(answer.statusCode).toBe(200);
  expect(asked).toEqual({ allowEmpty: true, timeoutMs: 500 });
  expect(answer.json()).toMatchObject({ outcome: 'committed', version: 3, files: { added: ['a.txt'], count: 2 } });
});

test('one for an instant answers who is armed, and names the files that change then', async () => {
  const votes = { yes: 2, no: 0, silent: 0 };
  const arming = { armed: 1, of: 2, missing: ['s1'] };
  const activateAtMs = Date.UTC(2026, 11, 1, 9);
  const known = { kind: 'armed', tip, activateAtMs, votes, arming, durationMs: 5, durable: true, files };
  published = known as unknown as PublishOutcome;
  const payload = { activateAt: '2026-12-01T09:00:00Z' };
  const answer = await server.inject({ method: 'POST', url: '/v1/publish/conf', payload });
  expect([answer.statusCode, asked]).toEqual([200, { activateAt: new Date(activateAtMs) }]);
  expect(answer.json()).toMatchObject({
    ...{ outcome: 'armed', version: 3, activateAt: '2026-12-01T09:00:00.000Z', arming, files: { count: 2 } },
  });
  const wrong = await server.inject({ method: 'POST', url: '/v1/publish/conf', payload: { activateAt: 'soon' } });
  expect([wrong.statusCode, wrong.json<{ error: { field: string } }>().error.field]).toEqual([400, 'activateAt']);
});

test('one that everybody has already, one that is vetoed, and what it would change', async () => {
  published = { kind: 'unchanged', tip } as unknown as PublishOutcome;
  const unchanged = await server.inject({ method: 'POST', url: '/v1/publish/conf' });
  expect(unchanged.json()).toEqual({ outcome: 'unchanged', version: 3 });
  const refusals = [{ node: 's1', reason: 'nginx -t says no' }];
  published = { kind: 'aborted', reason: 'refused', refusals, durationMs: 5, files } as unknown as PublishOutcome;
  const vetoed = await server.inject({ method: 'POST', url: '/v1/publish/conf' });
  expect(vetoed.statusCode).toBe(409);
  expect(vetoed.json()).toMatchObject({ outcome: 'aborted', refusals });
  const difference = await server.inject('/v1/publish/conf');
  expect(difference.json()).toEqual({ ...files, count: 2 });
});

test('fields that are none, and data sets that are none, are refused with what there is', async () => {
  const wrong = await server.inject({ method: 'POST', url: '/v1/publish/conf', payload: { force: true } });
  expect(wrong.statusCode).toBe(400);
  expect(wrong.json()).toMatchObject({ error: { message: expect.stringContaining('allowEmpty') as string } });
  expect((await server.inject('/v1/publish/none')).statusCode).toBe(404);
});
