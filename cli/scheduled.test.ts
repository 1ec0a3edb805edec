import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { addMasterRoutes } from '../master/http/api.js';
import { addPublishRoutes, servedDirectory, type ServedDirectory } from '../master/http/publish.js';
import type { ArmedView } from '../master/service/core/view.js';
import { LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { NodeId } from '../shared/protocol/kernel/ids.js';
import { createServer, listen } from '../shared/http/server.js';
import { FakeOriginal, RecordingLog, roundAccount, tipAt } from '../tests/integration/process/http-fakes.js';
import { runLockstep } from '../tests/support/run-lockstep.js';
import { runProgram } from './program.js';
import type { Shell } from './shell.js';

const activateAtMs = Date.UTC(2026, 11, 1, 9);
const missing = ['b' as NodeId];
const round = { epoch: { number: 3, claimant: 'c'.repeat(32) }, number: 7 };

let server: FastifyInstance;
let original: FakeOriginal;
let url: string;

beforeEach(async () => {
  original = new FakeOriginal();
  server = createServer(new RecordingLog());
  addMasterRoutes(server, { node: 'master', dataSets: new Map([['prices', original]]), whyNotLeading: () => null });
  url = await listen(server, { host: '127.0.0.1', port: 0 });
});

afterEach(() => server.close());

async function lockstep(...parameters: string[]): Promise<{ exitCode: ExitCode; out: string; err: string }> {
  let [out, err] = ['', ''];
  const shell: Shell = {
    out: (text) => void (out += `${text}\n`),
    err: (text) => void (err += text),
    isInteractive: false,
    fetch,
    input: (async function* () {})(),
    exitCode: 0,
  };
  await runProgram(shell, [...parameters, '--to', url]);
  return { exitCode: shell.exitCode, out, err };
}

const armedAtOneOfTwo: ArmedView = {
  round,
  tip: tipAt(5),
  version: 5,
  activateAtMs,
  inMs: 60_000,
  phase: 'armed',
  voters: [],
  armed: 1,
  of: 2,
  missing,
};

test('put --at says who is armed, and for when', async () => {
  original.answer = () => ({
    ...{
      kind: 'armed',
      tip: tipAt(5),
      activateAtMs,
      votes: { yes: 2, no: 0, silent: 0 },
      arming: { armed: 1, of: 2, missing },
    },
    ...{ durationMs: 12.4, durable: true, operations: 1 },
  });
  const run = await lockstep('put', 'k', '1', '--at', '+5s');
  expect(run).toEqual({
    exitCode: 0,
    out: 'armed · version 5 for 2026-12-01T09:00:00.000Z · armed 1/2 (not b) · 12 ms\n',
    err: '',
  });
  expect(original.calls[0]?.options.activateAt).toEqual({ inMs: 5000 });
  await lockstep('delete', 'k', '--at', '2026-12-01T09:00:00Z');
  expect(original.calls[1]?.options.activateAt).toEqual(new Date(activateAtMs));
});

test('an instant that is none never leaves, and one that can not be is told in one line', async () => {
  const none = await lockstep('put', 'k', '1', '--at', '9 o’clock');
  expect(none.exitCode).toBe(2);
  expect(none.err).toContain('such as 2026-12-01T09:00:00Z');
  expect(original.calls).toEqual([]);
  original.answer = () => {
    throw new LockstepError('instant-too-early', 'the earliest possible instant is 2026-12-01T09:00:00.000Z');
  };
  const early = await lockstep('put', 'k', '1', '--at', '+1s');
  expect(early).toEqual({
    exitCode: 2,
    out: '',
    err: 'lockstep: the earliest possible instant is 2026-12-01T09:00:00.000Z\n',
  });
});

test('load --at puts the whole file in one change, for one instant', async () => {
  const votes = { yes: 2, no: 0, silent: 0 };
  original.answer = (operations) => ({
    ...{ kind: 'armed', tip: tipAt(5), activateAtMs, votes, arming: { armed: 2, of: 2, missing: [] } },
    ...{ durationMs: 12.4, durable: true, operations: operations.length },
  });
  const lines = Array.from({ length: 2500 }, (_, index) => `{"key":"k${index}","value":${index}}\n`).join('');
  const input = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(lines);
  };
  const run = await runLockstep(['load', '-', '--at', '2026-12-01T09:00:00Z', '--to', url], { input: input() });
  expect(run).toMatchObject({ exitCode: 0, err: '' });
  expect(run.out).toMatch(/^ 2500 records · version 5 · armed 2\/2 for 2026-12-01T09:00:00.000Z · \d+ ms\n$/);
  expect(original.calls.map(({ operations, options }) => [operations.length, options.activateAt])).toEqual([
    [2500, new Date(activateAtMs)],
  ]);
  const json = await runLockstep(['load', '-', '--at', '+9s', '--json', '--to', url], { input: input() });
  expect(JSON.parse(json.out)).toMatchObject({ outcome: 'armed', records: 2500, changes: 1 });
  const batches = await lockstep('load', 'none.ndjson', '--at', '+9s', '--batch', '10');
  expect([batches.exitCode, batches.out]).toEqual([2, '']);
  expect(batches.err).toContain("'--batch <records>' cannot be used with option '--at <instant>'");
  const huge = async function* (): AsyncGenerator<Uint8Array> {
    for (let index = 0; index <= 100_000; index += 1) yield Buffer.from(`{"key":"k${index}"}\n`);
  };
  const tooMany = await runLockstep(['load', '-', '--at', '+9s', '--to', url], { input: huge() });
  expect([tooMany.exitCode, tooMany.out]).toEqual([2, '']);
  expect(tooMany.err).toBe('lockstep: --at takes at most 100000 records, this file has 100001; split the file\n');
});

test('publish --at says who is armed, for when, and what changes then', async () => {
  const asked: unknown[] = [];
  const files = { added: ['a.conf'], changed: [], removed: ['b.conf'] };
  const folder = {
    ...{ tip: tipAt(4), size: 1, stateDigest: () => 'd', difference: () => Promise.resolve(files) },
    publish: (options: unknown) => {
      asked.push(options);
      return Promise.resolve({
        ...{ kind: 'armed', tip: tipAt(5), activateAtMs, votes: { yes: 2, no: 0, silent: 0 }, files },
        ...{ arming: { armed: 1, of: 2, missing }, durationMs: 12.4, durable: true },
      });
    },
    dataSet: { view: () => ({ phase: 'leading', mayCommit: true }) },
  } as unknown as ServedDirectory;
  const other = createServer(new RecordingLog());
  const api = {
    ...{ node: 'master', whyNotLeading: () => null },
    dataSets: new Map([['conf', servedDirectory('conf', folder)]]),
  };
  addMasterRoutes(other, api);
  addPublishRoutes(other, api, new Map([['conf', folder]]));
  const to = await listen(other, { host: '127.0.0.1', port: 0 });
  const run = await runLockstep(['publish', '--at', '+5s', '--data-set', 'conf', '--to', to]);
  expect(run).toEqual({
    exitCode: 0,
    out: 'armed · version 5 for 2026-12-01T09:00:00.000Z · armed 1/2 (not b) · 12 ms · 1 added, 0 changed, 1 removed\n',
    err: '',
  });
  expect(asked).toEqual([{ activateAt: { inMs: 5000 } }]);
  await other.close();
});

test('cancel says that nobody shows it, or why it stands', async () => {
  original.view = {
    ...original.view,
    armed: armedAtOneOfTwo,
  };
  expect(await lockstep('cancel', '5')).toEqual({
    exitCode: 0,
    out: 'version 5 is cancelled; nobody shows it\n',
    err: '',
  });
  original.cancellation = { kind: 'stands', version: 5, activateAtMs, missing, durationMs: 2000 };
  expect(await lockstep('cancel', 'v5', '--timeout', '2s')).toEqual({
    exitCode: 3,
    out: 'not cancelled: b did not confirm in time, so version 5 shows at 2026-12-01T09:00:00.000Z\n',
    err: '',
  });
  expect(JSON.parse((await lockstep('cancel', '5', '--json')).out)).toMatchObject({
    dataSet: 'prices',
    outcome: 'stands',
  });
  expect((await lockstep('cancel', '6')).exitCode).toBe(5);
});

test('status and history show armed n/n, and how the newest one went', async () => {
  original.view = {
    ...original.view,
    armed: armedAtOneOfTwo,
    activation: { version: 4, activateAtMs, exposed: 2, of: 2, missing: [], spreadMs: 0.41, boundMs: 3.1 },
  };
  const { out } = await lockstep('status');
  expect(out).toContain('version 5 shows at 2026-12-01T09:00:00.000Z, in 60 s: armed 1/2 (not b)\n');
  expect(out).toContain(
    'version 4 showed at 2026-12-01T09:00:00.000Z at 2/2, within 0.41 ms by their clocks, 3.1 ms at most\n',
  );
  original.rounds = [roundAccount(5, { outcome: 'armed', activation: { atMs: activateAtMs, armed: 1, of: 2 } })];
  const history = (await lockstep('history')).out;
  expect(history).toContain('armed 1/2');
  expect(history).toContain('shows at 2026-12-01T09:00:00.000Z');
});
