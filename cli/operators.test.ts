import { userInfo } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addMasterRoutes } from '../master/http/api.js';
import { createServer, listen } from '../shared/http/server.js';
import type { ExitCode } from '../shared/protocol/kernel/errors.js';
import type { RoundId } from '../shared/protocol/kernel/ids.js';
import { roundKey } from '../shared/protocol/kernel/ids.js';
import { addSlaveRoutes } from '../slave/http/api.js';
import type { SlaveView } from '../slave/service/core/view.js';
import { FakeCopy, FakeOriginal, RecordingLog } from '../tests/integration/process/http-fakes.js';
import { runProgram } from './program.js';
import type { Shell } from './shell.js';

/** What an operator says in a master's place, over real HTTP, at a slave whose copy is a stand-in. */

interface Run {
  readonly exitCode: ExitCode;
  readonly out: string;
  readonly err: string;
}

const round: RoundId = { epoch: { number: 3, claimant: '9f2c01aa'.padEnd(32, '0') }, number: 12 };
const other: RoundId = { ...round, number: 13 };

let servers: FastifyInstance[];
let copies: Map<string, FakeCopy>;
let copy: FakeCopy;
let url: string;

async function serve(add: (server: FastifyInstance) => void): Promise<string> {
  const server = createServer(new RecordingLog());
  servers.push(server);
  add(server);
  return listen(server, { host: '127.0.0.1', port: 0 });
}

beforeEach(async () => {
  servers = [];
  copy = new FakeCopy({}, 6);
  copies = new Map([['prices', copy]]);
  url = await serve((server) => {
    addSlaveRoutes(server, { node: 'a', dataSets: copies });
  });
});

afterEach(async () => {
  for (const server of servers) await server.close();
});

async function lockstep(...parameters: string[]): Promise<Run> {
  let out = '';
  let err = '';
  const shell: Shell = {
    out: (text) => {
      out += `${text}\n`;
    },
    err: (text) => {
      err += text;
    },
    isInteractive: false,
    fetch,
    input: (async function* () {})(),
    exitCode: 0,
  };
  await runProgram(shell, [...parameters, '--to', url]);
  return { exitCode: shell.exitCode, out, err };
}

function doubtful(of: RoundId, version: number): SlaveView['inDoubt'][number] {
  const { tip } = new FakeCopy({}, version);
  if (tip === null) throw new Error('a round leads to a version');
  return { round: of, to: tip, ageMs: 80_000, voters: 2, masterCannotTell: true };
}

function expectOneLine(run: Run): void {
  expect(run.err.trimEnd().split('\n')).toHaveLength(1);
  expect(run.err).not.toMatch(/\n\s+at /);
  expect(run.out).toBe('');
}

describe('lockstep resolve', () => {
  beforeEach(() => {
    copy.inDoubt = [doubtful(round, 7), doubtful(other, 8)];
  });

  test('decides the round that is named, says so, and puts on record who decided', async () => {
    expect(await lockstep('resolve', roundKey(round), 'commit', '--i-understand', '--by', 'ann')).toEqual({
      exitCode: 0,
      out: `round ${roundKey(round)} (version 7) is committed at this slave, by ann\n`,
      err: '',
    });
    expect(copy.resolved).toMatchObject([{ round, outcome: 'committed', by: 'ann' }]);
    expect(copy.inDoubt).toMatchObject([{ round: other }]);
  });

  test('aborts as well, by default in the name of the user of this machine, for programs as JSON', async () => {
    const run = await lockstep('resolve', roundKey(other), 'abort', '--i-understand', '--json');
    expect([run.exitCode, run.err]).toEqual([0, '']);
    expect(JSON.parse(run.out)).toMatchObject({
      round: roundKey(other),
      version: 8,
      outcome: 'aborted',
      by: userInfo().username,
    });
    expect(copy.resolved).toMatchObject([{ round: other, outcome: 'aborted' }]);
  });

  test.each<[readonly string[], ExitCode, RegExp]>([
    [[roundKey(round), 'commit'], 2, /resolve decides in the master's place.*start the master.*--i-understand/],
    [[roundKey(round), 'perhaps', '--i-understand'], 2, /'perhaps' is invalid.*Allowed choices are commit, abort/],
    [[roundKey(round), '--i-understand'], 2, /missing required argument 'outcome'/],
    [['--i-understand'], 2, /missing required argument 'round'/],
    [
      ['3.9f2c01aa.99', 'commit', '--i-understand'],
      5,
      /round 3\.9f2c01aa\.99 is not in doubt at a; in doubt is 3\.9f2c01aa\.12, 3\.9f2c01aa\.13/,
    ],
    [['../../status', 'commit', '--i-understand'], 5, /round \.\.\/\.\.\/status is not in doubt at a/],
    [[roundKey(round), 'commit', '--i-understand', '--data-set', 'nope'], 2, /data set nope isn't registered.*prices/],
    [[roundKey(round), 'commit', '--i-understand', '--by', ''], 2, /by: must say who decides/],
  ])('changes nothing when it is told %j', async (parameters, exitCode, message) => {
    const run = await lockstep('resolve', ...parameters);
    expect(run.err).toMatch(message);
    expect(run.exitCode).toBe(exitCode);
    expectOneLine(run);
    expect(copy.resolved).toEqual([]);
    expect(copy.inDoubt).toHaveLength(2);
  });

  test('says that nothing is in doubt when nothing is', async () => {
    copy.inDoubt = [];
    const run = await lockstep('resolve', roundKey(round), 'abort', '--i-understand');
    expect(run.err).toMatch(/is not in doubt at a; no round is/);
    expect(run.exitCode).toBe(5);
    expectOneLine(run);
  });

  test('passes on why the slave refuses', async () => {
    copy.resolveRefusal = 'the master m is heard and was not found unable to tell the outcome; it is being asked';
    const run = await lockstep('resolve', roundKey(round), 'commit', '--i-understand');
    expect(run.err).toContain(copy.resolveRefusal);
    expect(run.exitCode).not.toBe(0);
    expectOneLine(run);
    expect(copy.resolved).toEqual([]);
  });

  test('wants the data set named when there are several', async () => {
    copies.set('routes', new FakeCopy({}, 1));
    const run = await lockstep('resolve', roundKey(round), 'commit', '--i-understand');
    expect(run).toMatchObject({ exitCode: 2, err: `lockstep: --data-set is needed: ${url} has prices, routes\n` });
    expect(
      (await lockstep('resolve', roundKey(round), 'commit', '--i-understand', '--data-set', 'prices')).exitCode,
    ).toBe(0);
  });
});

describe('lockstep discard', () => {
  test('has a diverged copy put aside, and says where it was', async () => {
    copy.state = 'diverged';
    expect(await lockstep('discard')).toEqual({
      exitCode: 0,
      out: `prices at e3 v6 goes aside, into the folder "kept" of the slave's store\n`,
      err: '',
    });
    expect(copy.discarded).toBe(1);
    expect(JSON.parse((await lockstep('discard', '--json')).out)).toMatchObject({
      discarded: 'prices',
      was: { version: 6 },
    });
  });

  test('leaves a copy alone that has not diverged', async () => {
    const run = await lockstep('discard');
    expect(run.err).toMatch(/this copy is current at e3 v6; only a diverged copy is discarded/);
    expect(run.exitCode).not.toBe(0);
    expectOneLine(run);
    expect(copy.discarded).toBe(0);
  });

  test('knows no such data set', async () => {
    copy.state = 'diverged';
    const run = await lockstep('discard', '--data-set', 'nope');
    expect(run.err).toMatch(/data set nope isn't registered.*prices/);
    expect(run.exitCode).toBe(2);
    expectOneLine(run);
    expect(copy.discarded).toBe(0);
  });
});

test('at a master neither finds anything to do, and nothing happens', async () => {
  const original = new FakeOriginal();
  url = await serve((server) => {
    addMasterRoutes(server, {
      node: 'master',
      dataSets: new Map([['prices', original]]),
      whyNotLeading: () => null,
    });
  });
  for (const command of [['resolve', roundKey(round), 'commit', '--i-understand'], ['discard']]) {
    const run = await lockstep(...command);
    expect(run.exitCode).not.toBe(0);
    expectOneLine(run);
  }
  expect(original.calls).toEqual([]);
});
