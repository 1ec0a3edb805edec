import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { DataServer } from '../../../activation/data-server/data-server.js';
import { addDataServerRoutes } from '../../../activation/data-server/http/routes.js';
import { EmbeddedCycleStore } from '../../../activation/data-server/lmdb-cycle-store.js';
import { addMasterRoutes } from '../../../master/http/api.js';
import { createServer, listen } from '../../../shared/http/server.js';
import { addSlaveRoutes } from '../../../slave/http/api.js';
import { FakeClock } from '../../support/fake-clock.js';
import { FakeCopy, FakeOriginal, RecordingLog } from '../process/http-fakes.js';
import { hold, stepsTarget, type FuzzTarget } from './target.js';

const host = '127.0.0.1';
const stuckMs = 10_000;

const roles = ['master', 'slave', 'data-server'] as const;

interface HttpStep {
  readonly role: (typeof roles)[number];
  readonly method: string;
  /** Everything that is written, in pieces; then this side is closed. */
  readonly pieces: readonly Uint8Array[];
}

const methods = ['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'get', 'BREW', ''];
const noise = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const word = fc.oneof(
  fc.constantFrom(
    'prices',
    'none',
    'k',
    'a/b',
    '..',
    '%00',
    '%zz',
    '%F0%9F%98%80',
    '%ff',
    '__proto__',
    'x'.repeat(3000),
  ),
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => encodeURIComponent(text)),
);
const query = fc.oneof(
  fc.constantFrom(
    '',
    '',
    '?ifVersion=-1',
    '?ifVersion=1e999',
    '?ifAbsent=true&ifVersion=1',
    '?limit=0',
    '?limit=99999999',
    '?minVersion=1&timeoutMs=0',
    '?since=1&source=x',
    '?since=-1',
    '?cycle=1&after=w1.k',
    '?cycle=1&after=s9.%00',
    '?cycle=1&after=w',
  ),
  fc.constantFrom(
    '?timeoutMs=0',
    '?phases=three',
    '?digest=true',
    '?voters=%00',
    '?__proto__=1',
    '?a[b]=c',
    '?prefix=%zz',
    `?${'a=1&'.repeat(500)}`,
  ),
);
const cycleRoutes = ['cycle', 'items', 'items/k'].concat(
  ['roll', 'staged', 'active', 'interval', 'promote', 'activate-now', 'retrievals', 'activations'].map(
    (name) => `cycle/${name}`,
  ),
);
const path = fc.oneof(
  { weight: 1, arbitrary: noise },
  {
    weight: 9,
    arbitrary: fc
      .tuple(
        fc.oneof(
          fc.constantFrom('data', 'changes', 'reads', 'members', 'status', 'livez', 'readyz', 'none'),
          fc.constantFrom(...cycleRoutes),
        ),
        fc.array(word, { maxLength: 3 }),
        query,
      )
      .map(
        ([route, words, rest]) =>
          `/${['livez', 'readyz'].includes(route) ? '' : 'v1/'}${[route, ...words].join('/')}${rest}`,
      ),
  },
);
const header = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('content-type: application/json', 'Content-Type: application/json; charset=utf-16'),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'content-type: text/plain',
      'content-length: -1',
      'content-length: 999999999999',
      'content-length: 5',
      'content-length: 5\r\ncontent-length: 6',
      'transfer-encoding: chunked',
      'transfer-encoding: chunked, chunked',
      'expect: 100-continue',
      'expect: more',
      'upgrade: websocket\r\nconnection: upgrade',
      'origin: http://elsewhere',
      'origin: null',
      'idempotency-key: k',
      `idempotency-key: ${'k'.repeat(300)}`,
      'idempotency-key:',
      'host:',
      'no colon here',
      ' folded: yes',
      'a\0b: c',
      `big: ${'b'.repeat(20_000)}`,
      'authorization: Bearer \u00e4',
      'authorization: Bearer',
      'authorization: Basic eDp5',
    ),
  },
  { weight: 1, arbitrary: noise },
);
const body = fc.oneof(
  fc.constant(''),
  fc.json({ maxDepth: 4 }),
  fc.constantFrom(
    '{"operations":[{"put":["k",1]}]}',
    '{"operations":[{"put":["k"]}]}',
    '{"operations":[]}',
    '{"operations":{"length":1e9}}',
    '{"operations":[null,[],{}]}',
    '{"operations":[{"delete":"k","ifVersion":1.5}]}',
    '{"keys":["k"]}',
    '{"keys":[1]}',
    '{"by":"s1"}',
    '{"by":"s1","cycle":1,"durationMs":5}',
    '{"by":"s1","cycle":1e99,"durationMs":-0}',
    '{"by":"s1","cycle":1,"reachedMs":1000.5,"errorMs":0.25,"late":false}',
    '{"by":"s2","cycle":9007199254740991,"reachedMs":-8640000000000000,"errorMs":0,"late":true}',
    '{"by":"s1","cycle":1,"reachedMs":1e308,"errorMs":-1e308,"late":1}',
    '{"intervalMs":1000}',
    '{"intervalMs":1e308,"originMs":-1e308}',
    '{"intervalMs":100,"originMs":-8640000000000000}',
    '{"inMs":0}',
    '{"inMs":31622400000}',
    '{"value":{"a":[null]},"notBeforeMs":8640000000000000}',
    '{"value":"\\ud800"}',
    '{"operations":[{"put":["k",1],"notBeforeMs":-1},{"delete":"k"}]}',
    '{"__proto__":{"a":1}}',
    '{"constructor":{"prototype":{}}}',
    '{',
    '"\\ud800"',
    '[',
    `${'['.repeat(50_000)}`,
    '1e400',
    '\ufeff{}',
    `{"operations":[{"put":["k",1]}],"timeoutMs":"1"}`,
  ),
  noise,
);

const steps: fc.Arbitrary<HttpStep> = fc
  .record({
    role: fc.constantFrom(...roles),
    method: fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...methods.slice(0, 5)) },
      { weight: 1, arbitrary: fc.constantFrom(...methods) },
    ),
    path,
    version: fc.oneof(
      { weight: 12, arbitrary: fc.constant('HTTP/1.1') },
      { weight: 1, arbitrary: fc.constantFrom('HTTP/1.0', 'HTTP/2.0', 'HTTP/9', '') },
    ),
    headers: fc.array(header, { maxLength: 4 }),
    body,
    length: fc.constantFrom('true', 'true', 'true', 'none', 'chunked'),
    cut: fc.option(fc.nat(400), { freq: 6 }),
  })
  .map(({ role, method, path: target, version, headers, body: text, length, cut }) => {
    const bytes = Buffer.from(text);
    const own =
      length === 'true'
        ? [`content-length: ${bytes.length}`]
        : length === 'chunked'
          ? ['transfer-encoding: chunked']
          : [];
    const head = [`${method} ${target} ${version}`, 'host: x', 'connection: close', ...headers, ...own].join('\r\n');
    const sent =
      length === 'chunked'
        ? `${bytes.length.toString(16)}\r\n${bytes.toString('latin1')}\r\n0\r\n\r\n`
        : bytes.toString('latin1');
    const whole = Buffer.from(`${head}\r\n\r\n${sent}`, 'latin1');
    const kept = cut === null ? whole : whole.subarray(0, cut);
    return { role, method, pieces: [kept.subarray(0, kept.length >> 1), kept.subarray(kept.length >> 1)] };
  });

/** Real servers over stand-ins for the data: what is under test is everything up to them. */
class Subject {
  readonly #log = new RecordingLog();
  readonly #original = new FakeOriginal();
  readonly #servers: Record<HttpStep['role'], FastifyInstance>;
  readonly #ports = { master: 0, slave: 0, 'data-server': 0 };
  readonly #dataServer: DataServer;

  constructor(dataServer: DataServer) {
    this.#dataServer = dataServer;
    const master = createServer(this.#log);
    addMasterRoutes(master, {
      node: 'master',
      dataSets: new Map([['prices', this.#original]]),
      whyNotLeading: () => null,
    });
    const slave = createServer(this.#log);
    addSlaveRoutes(slave, { node: 'a', dataSets: new Map([['prices', new FakeCopy({ k: 1 }, 3)]]) });
    const third = createServer(this.#log);
    addDataServerRoutes(third, dataServer);
    this.#servers = { master, slave, 'data-server': third };
  }

  async feed(history: readonly HttpStep[]): Promise<void> {
    try {
      for (const role of roles)
        this.#ports[role] = Number(new URL(await listen(this.#servers[role], { host, port: 0 })).port);
      for (const step of history) judge(step, await exchange(this.#ports[step.role], step.pieces));
      for (const role of roles) {
        const answer = await exchange(this.#ports[role], [
          Buffer.from('GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'),
        ]);
        hold(answer.startsWith('HTTP/1.1 200 '), `the ${role} answers no more: ${answer.slice(0, 100)}`);
      }
      const failed = this.#log.events.find(({ name }) => name === 'http-request-failed');
      hold(failed === undefined, `a request failed by our own fault: ${JSON.stringify(failed)}`);
    } finally {
      await Promise.all(roles.map(async (role) => this.#servers[role].close()));
      await this.#dataServer.close();
    }
  }
}

/** Writes, closes this side, and gives all that was answered until the other side closed, too. */
function exchange(port: number, pieces: readonly Uint8Array[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host, allowHalfOpen: true });
    let answer = '';
    const late = setTimeout(() => {
      reject(new Error(`the server left a connection open for ${stuckMs} ms; it had said: ${answer.slice(0, 200)}`));
      socket.destroy();
    }, stuckMs);
    socket.setEncoding('latin1').on('data', (text: string) => {
      answer += text;
    });
    socket.on('error', () => undefined); // a reset is the server's right
    socket.on('close', () => {
      clearTimeout(late);
      resolve(answer);
    });
    socket.on('end', () => socket.end());
    for (const piece of pieces) socket.write(piece);
    socket.end();
  });
}

/** Every refusal is a typed problem; nothing is our own fault, and no stack trace gets out. */
function judge(step: HttpStep, answer: string): void {
  try {
    judgeAnswer(step, answer);
  } catch (error) {
    throw new Error(
      `the ${step.role} was sent ${JSON.stringify(Buffer.concat(step.pieces).toString('latin1').slice(0, 400))}`,
      {
        cause: error,
      },
    );
  }
}

function judgeAnswer(step: HttpStep, answer: string): void {
  hold(!/\n\s+at .*:\d+:\d+|node_modules|node:internal/.test(answer), `a stack trace got out: ${answer.slice(0, 500)}`);
  if (answer.length > 0) {
    const head = /^HTTP\/1\.1 (\d{3}) [\s\S]*?\r\n\r\n/.exec(answer);
    hold(head !== null, `no HTTP answer: ${answer.slice(0, 200)}`);
    const status = Number(head[1]);
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head[0])?.[1] ?? 0);
    const isChunked = /\r\ntransfer-encoding: chunked/i.test(head[0]);
    const raw = isChunked
      ? unchunked(answer.slice(head[0].length))
      : answer.slice(head[0].length, head[0].length + length);
    const text = Buffer.from(raw, 'latin1').toString();
    hold(status < 600 && status !== 500, `answered ${status}: ${text}`);
    if (status < 400) return;
    if (text.length > 0 || step.method !== 'HEAD')
      hold(isProblem(text), `${status} without a problem: ${answer.slice(0, 500)}`);
  }
}

function unchunked(text: string): string {
  const size = /^([0-9a-f]+)\r\n/i.exec(text);
  return size === null ? '' : text.slice(size[0].length, size[0].length + Number.parseInt(size[1] ?? '0', 16));
}

function isProblem(text: string): boolean {
  try {
    const body = JSON.parse(text) as {
      error?: { code?: unknown; message?: unknown };
      outcome?: unknown;
      ready?: unknown;
    };
    return (
      (typeof body.error?.code === 'string' && typeof body.error.message === 'string') ||
      body.outcome !== undefined ||
      body.ready !== undefined
    );
  } catch {
    return false;
  }
}

/** The data server has a real database: what it's sent goes all the way. */
async function feed(history: readonly HttpStep[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-fuzz-'));
  try {
    const clock = new FakeClock();
    const store = await EmbeddedCycleStore.open({ folder, intervalMs: 1000, originMs: 0, nowMs: clock.wallMs() });
    await new Subject(new DataServer({ store, clock })).feed(history);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export const http: FuzzTarget = stepsTarget({
  name: 'http',
  about:
    'malformed requests, paths, headers, lengths and bodies over TCP: to the HTTP servers of master, slave and data server',
  chunkInputs: 200,
  historyInputs: 40,
  shrinks: false,
  step: steps,
  feed,
});
