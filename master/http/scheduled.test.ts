import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { NodeId } from '../../shared/protocol/kernel/ids.js';
import { createServer } from '../../shared/http/server.js';
import { FakeOriginal, RecordingLog, roundAccount, tipAt } from '../../tests/integration/process/http-fakes.js';
import { documented, type Documented } from '../../tests/support/documented.js';
import type { ArmedView } from '../service/core/view.js';
import { addMasterRoutes } from './api.js';

const activateAtMs = Date.UTC(2026, 11, 1, 9);
const activateAt = '2026-12-01T09:00:00.000Z';
const missing = ['b' as NodeId];

let server: FastifyInstance;
let held: Documented;
let original: FakeOriginal;

beforeEach(() => {
  original = new FakeOriginal();
  server = createServer(new RecordingLog());
  held = documented(server, 'master');
  addMasterRoutes(server, { node: 'master', dataSets: new Map([['prices', original]]), whyNotLeading: () => null });
});

afterEach(async () => {
  await server.close();
  expect(held.problems, 'answers that the OpenAPI document does not describe').toEqual([]);
});

const armedView: ArmedView = {
  ...{
    round: { epoch: { number: 3, claimant: 'c'.repeat(32) }, number: 7 },
    tip: tipAt(5),
    version: 5,
    activateAtMs,
    inMs: 1234.5678,
  },
  ...{ phase: 'armed', voters: [], armed: 1, of: 2, missing },
};

test('a change with an instant answers with who is armed', async () => {
  original.answer = () => ({
    ...{
      kind: 'armed',
      tip: tipAt(5),
      activateAtMs,
      votes: { yes: 2, no: 0, silent: 0 },
      arming: { armed: 1, of: 2, missing },
    },
    ...{ durationMs: 3.21987, durable: true, operations: 1 },
  });
  const body = { operations: [{ put: ['k', 1] }], activateAt: '2026-12-01T10:00:00+01:00' };
  const answer = await server.inject({ method: 'POST', url: '/v1/changes/prices', payload: body });
  expect(answer.statusCode).toBe(200);
  expect(answer.json()).toMatchObject({
    ...{ outcome: 'armed', version: 5, activateAt, arming: { armed: 1, of: 2, missing: ['b'] }, durationMs: 3.22 },
  });
  expect(original.calls[0]?.options.activateAt).toEqual(new Date(activateAtMs));
  const single = {
    method: 'PUT',
    url: `/v1/data/prices/k?activateAt=${encodeURIComponent('+1.5s')}`,
    payload: '1',
  } as const;
  await server.inject({ ...single, headers: { 'content-type': 'application/json' } });
  expect(original.calls[1]?.options.activateAt).toEqual({ inMs: 1500 });
});

test.each([
  ['no zone', '2026-12-01T09:00:00'],
  ['no date', 'tomorrow'],
  ['a day that there is not', '2026-13-41T09:00:00Z'],
  ['a number', activateAtMs],
  ['no time from now', '-5s'],
])('an instant with %s is refused, and named', async (_, instant) => {
  const payload = { operations: [{ delete: 'k' }], activateAt: instant };
  const answer = await server.inject({ method: 'POST', url: '/v1/changes/prices', payload });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({ error: { code: 'bad-input', field: 'activateAt' } });
  expect(original.calls).toEqual([]);
});

test('an instant in one phase is refused', async () => {
  const payload = { operations: [{ delete: 'k' }], activateAt, phases: 'one' };
  const answer = await server.inject({ method: 'POST', url: '/v1/changes/prices', payload });
  expect(answer.json()).toMatchObject({ error: { code: 'bad-input', field: 'activateAt' } });
});

test('an instant that is too early or too late names the nearest that can be', async () => {
  const payload = { operations: [{ delete: 'k' }], activateAt };
  for (const [code, at] of [
    ['instant-too-early', { earliestAtMs: activateAtMs }],
    ['instant-too-late', { latestAtMs: activateAtMs }],
  ] as const) {
    original.answer = () => {
      throw new LockstepError(code, 'not then', at);
    };
    const answer = await server.inject({ method: 'POST', url: '/v1/changes/prices', payload });
    expect(answer.statusCode).toBe(400);
    const name = code === 'instant-too-early' ? 'earliestAt' : 'latestAt';
    expect(answer.json()).toEqual({ error: { code, message: 'not then', [name]: activateAt } });
  }
});

test('status and rounds tell what is armed, and how the newest one went', async () => {
  original.view = {
    ...original.view,
    armed: armedView,
    activation: { version: 4, activateAtMs, exposed: 1, of: 2, missing, spreadMs: 0.4, boundMs: 3.1 },
  };
  const status = (await server.inject('/v1/status')).json<{ dataSets: readonly unknown[] }>();
  expect(status.dataSets[0]).toMatchObject({
    armed: { version: 5, activateAt, inMs: 1234.568, phase: 'armed', armed: 1, of: 2, missing: ['b'] },
    activation: { version: 4, activateAt, exposed: 1, of: 2, missing: ['b'], spreadMs: 0.4, boundMs: 3.1 },
  });
  original.rounds = [roundAccount(5, { outcome: 'armed', activation: { atMs: activateAtMs, armed: 1, of: 2 } })];
  const rounds = (await server.inject('/v1/rounds/prices')).json<{ rounds: readonly unknown[] }>();
  expect(rounds.rounds[0]).toMatchObject({ outcome: 'armed', activation: { at: activateAt, armed: 1, of: 2 } });
});

test('the old state is not called current once the instant of an armed change has passed, until the change shows', async () => {
  const current = async (view: Partial<ArmedView> | null): Promise<unknown> => {
    original.view = { ...original.view, armed: view === null ? null : { ...armedView, ...view } };
    return (await server.inject('/v1/data/prices')).headers['lockstep-current'];
  };
  expect(await current(null)).toBe('true');
  expect(await current({ inMs: 0.5 })).toBe('true');
  expect(await current({ inMs: -0.5 })).toBe('false');
  expect(await current({ inMs: -0.5, phase: 'cancelling' })).toBe('false');
  expect(await current({ inMs: -0.5, phase: 'activating' })).toBe('true');
  // All have confirmed that they are not armed any more.
  expect(await current({ inMs: -0.5, phase: 'withdrawing' })).toBe('true');
});

test('a cancellation that succeeds is 200, one that does not 409, one of nothing 404', async () => {
  const cancel = async (version: number, payload?: object) =>
    server.inject({
      method: 'POST',
      url: `/v1/armed/prices/${version}/cancel`,
      ...(payload === undefined ? {} : { payload }),
    });
  original.view = { ...original.view, armed: armedView };
  const done = await cancel(5);
  expect([done.statusCode, done.json()]).toEqual([200, { outcome: 'cancelled', version: 5, durationMs: 3.22 }]);
  original.cancellation = { kind: 'stands', version: 5, activateAtMs, missing, durationMs: 2000 };
  const stands = await cancel(5, { timeoutMs: 500 });
  expect([stands.statusCode, stands.json()]).toEqual([
    409,
    { outcome: 'stands', version: 5, activateAt, missing: ['b'], durationMs: 2000 },
  ]);
  expect((await cancel(6)).statusCode).toBe(404);
  expect((await cancel(5, { timeoutMs: 0 })).json()).toMatchObject({ error: { field: 'timeoutMs' } });
  expect((await cancel(5, { force: true })).json()).toMatchObject({ error: { field: 'force' } });
});
