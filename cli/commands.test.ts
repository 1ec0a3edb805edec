import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addMasterRoutes } from '../master/http/api.js';
import { LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import { createServer, listen } from '../shared/http/server.js';
import { parseTokens } from '../shared/http/tokens.js';
import { addSlaveRoutes } from '../slave/http/api.js';
import {
  committed,
  FakeCopy,
  FakeOriginal,
  memberView,
  RecordingLog,
  refused,
} from '../tests/integration/process/http-fakes.js';
import { runProgram } from './program.js';
import type { Shell } from './shell.js';

/** The commands over real HTTP, against routes whose data set is a stand-in. */

interface Run {
  readonly exitCode: ExitCode;
  readonly out: string;
  readonly err: string;
}

let folder: string;
let server: FastifyInstance;
let url: string;
let original: FakeOriginal;
let dataSets: Map<string, FakeOriginal>;
let input: readonly Uint8Array[];
let isInteractive: boolean;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-cli-'));
  original = new FakeOriginal();
  dataSets = new Map([['prices', original]]);
  server = createServer(new RecordingLog());
  addMasterRoutes(server, { node: 'master', dataSets, whyNotLeading: () => null });
  url = await listen(server, { host: '127.0.0.1', port: 0 });
  input = [];
  isInteractive = false;
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function lockstep(...parameters: string[]): Promise<Run> {
  return lockstepIn({ LOCKSTEP_TO: url }, ...parameters);
}

async function lockstepIn(environment: Readonly<Record<string, string>>, ...parameters: string[]): Promise<Run> {
  let out = '';
  let err = '';
  const shell: Shell = {
    out: (text) => {
      out += `${text}\n`;
    },
    err: (text) => {
      err += text;
    },
    isInteractive,
    fetch,
    input: (async function* () {
      yield* input;
    })(),
    exitCode: 0,
  };
  const before = process.env['LOCKSTEP_TO'];
  Object.assign(process.env, environment);
  try {
    await runProgram(shell, parameters);
  } finally {
    if (before === undefined) delete process.env['LOCKSTEP_TO'];
    else process.env['LOCKSTEP_TO'] = before;
  }
  return { exitCode: shell.exitCode, out, err };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('put, get, delete', () => {
  test('what was put can be got', async () => {
    expect(await lockstep('put', 'sku-1', '{"cents": 999}')).toEqual({
      exitCode: 0,
      out: 'committed · version 1 at 2/2 · 1.24 ms\n',
      err: '',
    });
    expect(await lockstep('get', 'sku-1')).toEqual({ exitCode: 0, out: '{"cents":999}\n', err: '' });
    expect((await lockstep('get', 'sku-1', '--json')).out).toBe('{"key":"sku-1","value":{"cents":999},"version":1}\n');
    expect((await lockstep('delete', 'sku-1')).exitCode).toBe(0);
    expect(await lockstep('get', 'sku-1')).toEqual({
      exitCode: 5,
      out: '',
      err: 'lockstep: there is no key sku-1 at version 2\n',
    });
  });

  test.each(['null', 'false', '-5', '"text"'])('a value may be %s', async (json) => {
    expect((await lockstep('put', 'k', json)).exitCode).toBe(0);
    expect((await lockstep('get', 'k')).out).toBe(`${json}\n`);
  });

  test('flags reach the change', async () => {
    await lockstep(
      'put',
      'k',
      '1',
      '--if-absent',
      '--phases',
      'one',
      '--timeout',
      '1.5s',
      '--voters',
      '2',
      '--wait',
      'exposed',
    );
    await lockstep('delete', 'k', '--if-version', '7');
    expect(original.calls).toEqual([
      {
        operations: [{ put: ['k', 1], ifAbsent: true }],
        options: {
          phases: 'one',
          timeoutMs: 1500,
          voters: 2,
          wait: 'exposed',
          idempotencyKey: expect.any(String) as string,
        },
      },
      { operations: [{ delete: 'k', ifVersion: 7 }], options: { idempotencyKey: expect.any(String) as string } },
    ]);
  });

  test('a veto names who, what and why, and exits with 3', async () => {
    original.answer = () => refused('b', 'put sku-1: cents must be positive', [0]);
    expect(await lockstep('put', 'sku-1', '{"cents": -5}')).toEqual({
      exitCode: 3,
      out: 'aborted: b refused put sku-1: cents must be positive\n',
      err: '',
    });
    original.answer = () => refused('b', 'cents must be positive', [0]);
    expect((await lockstep('put', 'sku-1', '1')).out).toBe('aborted: b refused put sku-1: cents must be positive\n');
    original.answer = () => ({
      kind: 'aborted',
      reason: 'timeout',
      refusals: [{ node: 'b' as never, reason: 'did not answer' }],
      durationMs: 1,
    });
    expect((await lockstep('put', 'sku-1', '1')).out).toBe('aborted: timeout: b: did not answer\n');
    original.answer = () => ({
      kind: 'aborted',
      reason: 'condition failed',
      refusals: [],
      failures: [{ operation: 0, key: 'k', actual: null }],
      durationMs: 1,
    });
    expect((await lockstep('delete', 'k', '--if-version', '1')).out).toBe(
      'aborted: the condition of delete k does not hold: the key does not exist\n',
    );
  });

  test('--json prints the answer as it is', async () => {
    original.answer = () => refused('b', 'no', [0]);
    const run = await lockstep('put', 'k', '1', '--json');
    expect([run.exitCode, JSON.parse(run.out)]).toEqual([
      3,
      {
        outcome: 'aborted',
        reason: 'refused',
        refusals: [{ node: 'b', reason: 'no', operations: [0] }],
        durationMs: 2,
      },
    ]);
  });

  test('not leading, misuse and bugs of the node each have their exit code', async () => {
    original.view = { ...original.view, phase: 'surveying' };
    const surveying = await lockstep('put', 'k', '1');
    expect(surveying).toEqual({
      exitCode: 17,
      out: '',
      err: 'lockstep: master is asking its group whether it may lead; ask again in a moment\n',
    });
    original.view = { ...original.view, phase: 'leading' };
    original.answer = () => {
      throw new LockstepError('bad-operation', 'operation 0 (key "k"): value is too deep');
    };
    expect((await lockstep('put', 'k', '1')).exitCode).toBe(2);
  });

  test('nobody there is 17 and says what to do', async () => {
    await server.close();
    const run = await lockstep('put', 'k', '1', '--data-set', 'prices');
    expect(run).toEqual({
      exitCode: 17,
      out: '',
      err: `lockstep: nobody answers at ${url} (ECONNREFUSED); start a node there, or name one with --to URL\n`,
    });
  });

  test('a slave refuses writes and names the master', async () => {
    const slave = createServer(new RecordingLog());
    const copy = new FakeCopy({ a: 1 }, 2);
    addSlaveRoutes(slave, { node: 's1', dataSets: new Map([['prices', copy]]) });
    const to = await listen(slave, { host: '127.0.0.1', port: 0 });
    try {
      expect(await lockstep('put', 'a', '2', '--to', to)).toEqual({
        exitCode: 2,
        out: '',
        err: 'lockstep: s1 is a slave and takes no changes; send them to its master, master\n',
      });
      expect((await lockstep('get', 'a', '--to', to)).out).toBe('1\n');
      expect((await lockstep('status', '--to', to)).out).toBe(
        'node  role   state    version  behind  last vote  in doubt  resyncs  last veto\ns1    slave  current  e3 v2    0       –          –         1 new    –\n',
      );
      const groupMs = Date.now() - 7_200_000;
      copy.clock = { earliestMs: groupMs - 0.42, groupMs, latestMs: groupMs + 0.42, errorMs: 0.42, era: 1 };
      expect((await lockstep('status', '--to', to)).out).toMatch(
        /\ngroup time \d{4}-\d\d-\d\dT[\d:.]+Z, 720\d s behind its time of day, known to ± 0\.42 ms\n$/,
      );
      expect((await lockstep('members', '--to', to)).exitCode).toBe(2);
    } finally {
      await slave.close();
    }
  });

  test('something that is no node is told from one', async () => {
    const stranger: Server = createHttpServer((_request, response) => response.end('<html>'));
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    try {
      const run = await lockstep('status', '--to', `127.0.0.1:${(stranger.address() as AddressInfo).port}`);
      expect(run.exitCode).toBe(17);
      expect(run.err).toContain('is no lockstep node');
    } finally {
      stranger.close();
    }
  });
});

describe('a change whose answer is lost', () => {
  test('is asked about by its key: committed', async () => {
    const cutting = await cutAfterChange();
    try {
      original.answer = null;
      const run = await lockstep('put', 'k', '1', '--data-set', 'prices', '--to', cutting.url);
      expect(run).toEqual({ exitCode: 0, out: 'committed · version 1 at 2/2 · 1.24 ms\n', err: '' });
      expect(original.calls).toHaveLength(1);
    } finally {
      await cutting.close();
    }
  });

  test('a node that says unknown exits with 4', async () => {
    original.answer = () => ({ kind: 'unknown', reason: 'the store failed', durationMs: 1 });
    expect(await lockstep('put', 'k', '1')).toEqual({ exitCode: 4, out: 'unknown: the store failed\n', err: '' });
  });

  /** Passes requests on, and cuts the connection instead of answering a change. */
  async function cutAfterChange(): Promise<{ readonly url: string; close(): Promise<void> }> {
    const proxy = createHttpServer((request, response) => {
      const chunks: Uint8Array[] = [];
      request.on('data', (chunk: Uint8Array) => chunks.push(chunk));
      request.on('end', () => {
        const headers = Object.fromEntries(
          Object.entries(request.headers).filter(([name]) => ['content-type', 'idempotency-key'].includes(name)),
        );
        void server
          .inject({
            method: request.method === 'POST' ? 'POST' : 'GET',
            url: request.url ?? '/',
            headers: headers as Record<string, string>,
            ...(chunks.length > 0 ? { payload: Buffer.concat(chunks) } : {}),
          })
          .then((answer) => {
            if (request.method === 'POST') request.socket.destroy();
            else response.writeHead(answer.statusCode, { 'content-type': 'application/json' }).end(answer.body);
          });
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    return {
      url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      close: () =>
        new Promise((resolve) => {
          proxy.closeAllConnections();
          proxy.close(() => resolve());
        }),
    };
  }
});

describe('load', () => {
  const lines = (count: number): string =>
    Array.from({ length: count }, (_, index) => JSON.stringify({ sku: `sku-${index}`, cents: index })).join('\n');

  test('a file goes in batches of 1,000, one after the other', async () => {
    const run = await lockstep('load', await file('products.ndjson', lines(2500)));
    expect(run.exitCode).toBe(0);
    expect(run.out).toMatch(/^ 2500 records · version 3 · committed at 2\/2 · \d+ ms\n$/);
    expect(run.err).toBe('');
    expect(original.calls.map((call) => call.operations.length)).toEqual([1000, 1000, 500]);
    expect(original.entry('sku-2499')?.value).toEqual({ sku: 'sku-2499', cents: 2499 });
  });

  test('--atomic makes one change of it', async () => {
    await lockstep('load', await file('products.ndjson', lines(2500)), '--atomic');
    expect(original.calls.map((call) => call.operations.length)).toEqual([2500]);
  });

  test('CSV by its name, standard input by -', async () => {
    expect((await lockstep('load', await file('products.CSV', 'sku,cents\na,1\nb,2\n'))).exitCode).toBe(0);
    expect(original.entry('b')?.value).toEqual({ sku: 'b', cents: 2 });
    input = [Buffer.from('{"id":"x'), Buffer.from('","n":1}\n')];
    expect((await lockstep('load', '-', '--json')).exitCode).toBe(0);
    expect(original.entry('x')?.value).toEqual({ id: 'x', n: 1 });
  });

  test('a malformed line is named, and nothing of the file is applied', async () => {
    const run = await lockstep('load', await file('products.ndjson', `${lines(1500)}\n{oops`));
    expect(run.exitCode).toBe(2);
    expect(run.err).toMatch(/^lockstep: line 1501: no JSON: .*; nothing was applied\n$/);
    expect(original.calls).toEqual([]);
  });

  test('an empty file is refused', async () => {
    expect((await lockstep('load', await file('empty.ndjson', '\n\n'))).exitCode).toBe(2);
  });

  test('a veto stops it, and says which part is in', async () => {
    original.answer = (operations) =>
      original.calls.length === 2
        ? refused('b', 'put sku-1001: too cheap', [1])
        : committed(original.calls.length, operations.length);
    const path = await file('products.ndjson', lines(2500));
    const run = await lockstep('load', path);
    expect(run.exitCode).toBe(3);
    expect(run.out).toBe(
      'aborted: b refused put sku-1001: too cheap\n 1000 of 2500 records are committed; it stopped at the change of lines 1001 to 2000\n',
    );
    original.calls.length = 0;
    const json = JSON.parse((await lockstep('load', path, '--json')).out) as unknown;
    expect(json).toMatchObject({
      outcome: 'aborted',
      records: 2500,
      committedRecords: 1000,
      refusedLines: [1002],
      firstLine: 1001,
      lastLine: 2000,
    });
  });

  test('progress is shown to people only', async () => {
    isInteractive = true;
    const run = await lockstep('load', await file('products.ndjson', lines(2000)));
    expect(run.err).toContain('\r 1000 of 2000 records · 50 %');
    expect(run.err.endsWith('\r\u001b[K')).toBe(true);
  });
});

describe('status, members, forget', () => {
  test('one table, every node in it', async () => {
    original.version = 1;
    original.view = {
      ...original.view,
      members: [
        memberView('a'),
        memberView('b', { lastVote: { version: 2, yes: false, reason: 'no' }, inDoubt: 1 }),
        memberView('c', { live: false, heardMsAgo: 12_400, tip: null, behind: null, lastVote: null }),
      ],
    };
    expect((await lockstep('status')).out).toBe(
      [
        'node    role    state          version  behind  last vote  in doubt  resyncs  last veto',
        'master  master  leading        e3 v1    –       –          –         –        –',
        'a       slave   current        e3 v1    0       yes        –         1 new    –',
        'b       slave   current        e3 v1    0       no (v2)    1         1 new    –',
        'c       slave   lost for 12 s  –        –       –          –         1 new    –',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await lockstep('status', '--json')).out)).toMatchObject({ node: 'master', role: 'master' });
  });

  test('members and forget', async () => {
    expect((await lockstep('members')).out).toContain(
      'a     current  e3 v1    12 ms ago  0.25 ms     0        1          –',
    );
    expect(await lockstep('forget', 'a')).toEqual({ exitCode: 0, out: 'a is forgotten in prices\n', err: '' });
    expect(original.forgotten).toEqual(['a']);
    expect(await lockstep('forget', 'zz')).toEqual({ exitCode: 5, out: '', err: 'lockstep: no member zz\n' });
  });

  test('with several data sets a command names one, or means default', async () => {
    const routes = new FakeOriginal();
    dataSets.set('routes', routes);
    expect(await lockstep('put', 'k', '1')).toEqual({
      exitCode: 2,
      out: '',
      err: `lockstep: --data-set is needed: ${url} has prices, routes\n`,
    });
    expect((await lockstep('put', 'k', '1', '--data-set', 'routes')).exitCode).toBe(0);
    expect(routes.calls).toHaveLength(1);
    expect((await lockstep('status')).out).toMatch(/^prices\nnode .*\n\nroutes\nnode /s);
    expect((await lockstep('status', '--data-set', 'nope')).err).toContain('there is prices, routes');
    dataSets.set('default', new FakeOriginal());
    expect((await lockstep('put', 'k', '1')).exitCode).toBe(0);
  });
});

describe('a node that wants tokens', () => {
  test('is asked with the one from the file, and says what is missing otherwise', async () => {
    const printed = (await lockstep('token', 'new', '--role', 'read')).out;
    const [, token = '', line = ''] = /^token: (\S+)\nline:  (.+)\n$/.exec(printed) ?? [];
    await server.close();
    server = createServer(new RecordingLog(), { tokens: parseTokens(line, 'here') });
    addMasterRoutes(server, { node: 'master', dataSets, whyNotLeading: () => null });
    url = await listen(server, { host: '127.0.0.1', port: 0 });
    const path = await file('token', `${token}\n`);
    expect((await lockstep('status', '--token-file', path)).exitCode).toBe(0);
    expect(await lockstep('status')).toMatchObject({
      exitCode: 2,
      err: expect.stringContaining('give --token-file') as string,
    });
    const refusal = await lockstep('put', 'k', '1', '--token-file', path);
    expect(refusal).toMatchObject({ exitCode: 2, err: expect.stringContaining('needs write') as string });
    expect(original.calls).toEqual([]);
  });
});

describe('usage: one line, exit code 2', () => {
  test.each<[readonly string[], RegExp]>([
    [['statu'], /^lockstep: unknown command 'statu' \(Did you mean status\?\); --help/],
    [['status', '--foo'], /^lockstep: unknown option '--foo'/],
    [['put', 'k'], /missing required argument 'json'/],
    [['put', 'k', '{bad'], /'\{bad' is invalid .* Give JSON/],
    [['put', 'k', '1', '--if-absent', '--if-version', '2'], /cannot be used with/],
    [['put', 'k', '1', '--timeout', 'soon'], /'--timeout <duration>' argument 'soon' is invalid. Give a duration/],
    [['get', 'k', '--to', 'ftp://x'], /'--to <url>' argument 'ftp:\/\/x' is invalid. Give the HTTP address/],
    [['load', '/nonexistent/file'], /^lockstep: load \/nonexistent\/file: can't be read/],
    [['load', 'f', '--format', 'xml'], /'xml' is invalid. Allowed choices are ndjson, csv/],
    [['master', '--port', '70000'], /'--port <port>' argument '70000' is invalid. Give a port/],
    [['master', '--group', '10.0.0.1:1'], /'10.0.0.1:1' is invalid. Give an IPv4 multicast address/],
    [['master', '--http', '0.0.0.0:7400'], /--http 0.0.0.0:7400 leaves this machine.*--insecure/],
    [
      ['master', '--http', '0.0.0.0:7400', '--http-tokens', '/nonexistent'],
      /--http-tokens \/nonexistent can't be read/,
    ],
    [['master', '--http-tls-cert', 'c.pem'], /--http-tls-cert and --http-tls-key belong together/],
    [['status', '--token-file', '/nonexistent'], /--token-file \/nonexistent can't be read/],
    [['status', '--ca', '/nonexistent'], /--ca \/nonexistent can't be read/],
    [['token', 'new', '--role', 'root'], /Allowed choices are read, write, admin/],
    [['master', '--peers', '192.0.2.9:1'], /--peers 192.0.2.9:1 leaves this machine/],
    [['master', '--lease', '1m'], /--lease 60000 ms is longer than \d+s/],
    [['master', '--reset-group', '--adopt-from', 'a'], /cannot be used with/],
    [['slave'], /required option '--name <name>' not specified/],
    [['slave', '--name', '..'], /--name .. makes no folder of its own; give --store too/],
    [['slave', '--name', 'a', '--validate', '/nonexistent.mjs'], /--validate \/nonexistent.mjs can't be loaded/],
  ])('%j', async (parameters, message) => {
    const run = await lockstep(...parameters);
    expect(run.exitCode).toBe(2);
    expect(run.err).toMatch(message);
    expect(run.err.trimEnd().split('\n')).toHaveLength(1);
    expect(run.err).not.toMatch(/\n\s+at /);
    expect(run.out).toBe('');
  });

  test('a validator module without a function is refused', async () => {
    const path = await file('rules.mjs', 'export const rules = [];');
    const run = await lockstep('slave', '--name', 'a', '--validate', path);
    expect([run.exitCode, run.err]).toEqual([2, expect.stringContaining('exports no function named validate')]);
  });

  test('help is no error', async () => {
    const run = await lockstep('put', '--help');
    expect([run.exitCode, run.out.includes('Usage: lockstep put'), run.err]).toEqual([0, true, '']);
  });
});
