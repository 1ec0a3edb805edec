import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from './clock.js';
import { openTcpBulk, type TcpBulk, type TcpBulkOptions } from './tcp-bulk.js';
import { failedFrame, FrameReader, frameHead, frameKinds } from './tcp-frames.js';

const host = '127.0.0.1';
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function bulk(options: Partial<TcpBulkOptions> = {}): Promise<TcpBulk> {
  const opened = await openTcpBulk({ host, clock: new SystemClock(), ...options });
  open.push(opened);
  return opened;
}

/** A server of the test's own that answers a fetch with these bytes, and goes on as told. */
async function answering(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    answer(socket);
  });
  server.listen(0, host);
  await once(server, 'listening');
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  const bound = server.address();
  return `${host}:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += Buffer.from(chunk).toString();
  return text;
}

function signal(): AbortSignal {
  return new AbortController().signal;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`${what}: not in time`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A collection now, in a process that wasn't started to allow it. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

describe('a long stream', () => {
  test('is not kept in memory: what was sent is let go before the end', async () => {
    const server = await bulk();
    const client = await bulk();
    const sent: WeakRef<Uint8Array>[] = [];
    const chunks = 100;
    async function* source(): AsyncGenerator<Uint8Array, void, void> {
      for (let index = 0; index < chunks; index += 1) {
        await Promise.resolve();
        const chunk = new Uint8Array(64 * 1024);
        sent.push(new WeakRef(chunk));
        yield chunk;
      }
    }
    server.offer('token', source, 5000, () => undefined);
    let read = 0;
    let alive = Infinity;
    for await (const piece of client.fetch(`${host}:${server.port}`, 'token', signal())) {
      read += piece.byteLength;
      if (read < (chunks - 10) * 64 * 1024 || alive < Infinity) continue;
      // A weak reference that was read in this turn stays until the next.
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
      alive = sent.filter((reference) => reference.deref() !== undefined).length;
    }
    expect(sent).toHaveLength(chunks);
    expect(alive).toBeLessThan(chunks / 2);
  });
});

describe('frames', () => {
  test('come out whole whatever the pieces', () => {
    const bytes = Buffer.concat([
      frameHead('chunk', 5),
      Buffer.from('hello'),
      frameHead('chunk', 0),
      failedFrame('why'),
      frameHead('end', 0),
    ]);
    for (let size = 1; size <= bytes.byteLength; size += 1) {
      const reader = new FrameReader();
      const frames: unknown[] = [];
      for (let at = 0; at < bytes.byteLength; at += size) {
        reader.push(bytes.subarray(at, at + size));
        for (let frame = reader.read(); frame !== null; frame = reader.read()) {
          frames.push(frame.kind === 'chunk' ? Buffer.from(frame.bytes).toString() : frame);
        }
      }
      expect(frames).toEqual(['hello', '', { kind: 'failed', reason: 'why' }, { kind: 'end' }]);
    }
  });

  test("that can't be are refused before their bytes are waited for", () => {
    for (const [kind, length] of [
      [9, 0],
      [0, 0],
      [frameKinds.chunk, 2 ** 31],
      [frameKinds.end, 1],
      [frameKinds.failed, 5000],
    ] as const) {
      const head = Buffer.alloc(5);
      head.writeUInt8(kind, 0);
      head.writeUInt32BE(length, 1);
      const reader = new FrameReader();
      reader.push(head);
      expect(() => reader.read()).toThrow(expect.objectContaining({ code: 'bad-input' }));
    }
  });
});

describe('serving', () => {
  test('at most so many at once; the others wait their turn', async () => {
    const server = await bulk({ transfers: 2 });
    const client = await bulk();
    let running = 0;
    let most = 0;
    let finish: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (finish = resolve));
    async function* source(): AsyncIterable<Uint8Array> {
      running += 1;
      most = Math.max(most, running);
      await gate;
      yield Buffer.from('x');
      running -= 1;
    }
    const fetched = Array.from({ length: 6 }, (_, index) => {
      server.offer(`token ${index}`, source, 5000, () => undefined);
      return collect(client.fetch(`${host}:${server.port}`, `token ${index}`, signal()));
    });
    await until(() => running === 2, 'two of them');
    finish();
    expect(await Promise.all(fetched)).toEqual(['x', 'x', 'x', 'x', 'x', 'x']);
    expect(most).toBe(2);
  });

  test('whoever says nothing, or garbage, is dropped, and the others are served', async () => {
    const server = await bulk({ idleMs: 50 });
    const client = await bulk();
    const silent = connect(server.port, host);
    const endless = connect(server.port, host);
    const dropped = [silent, endless].map((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      return new Promise((resolve) => socket.on('close', resolve));
    });
    endless.write('x'.repeat(10_000));
    server.offer(
      'token',
      async function* () {
        yield Buffer.from('served');
      },
      5000,
      () => undefined,
    );
    expect(await collect(client.fetch(`${host}:${server.port}`, 'token', signal()))).toBe('served');
    await Promise.all(dropped);
  });

  test('a fetcher that stops reading is given up after the idle time, and another takes its place', async () => {
    const server = await bulk({ idleMs: 100, transfers: 1 });
    const client = await bulk();
    const ended: (Error | null)[] = [];
    server.offer(
      'stuck',
      async function* () {
        for (;;) yield new Uint8Array(256 * 1024);
      },
      5000,
      (error) => ended.push(error),
    );
    const stuck = connect(server.port, host);
    stuck.on('error', () => undefined);
    stuck.write('stuck\n');
    stuck.pause();
    server.offer(
      'next',
      async function* () {
        yield Buffer.from('served');
      },
      5000,
      () => undefined,
    );
    await until(() => ended.length === 1, 'the stuck one is given up');
    expect(ended[0]).toMatchObject({ code: 'timed-out' });
    expect(await collect(client.fetch(`${host}:${server.port}`, 'next', signal()))).toBe('served');
    stuck.destroy();
  });

  test('an offer under a token that is none, or taken, ends with an error at once', async () => {
    const server = await bulk();
    const ended: unknown[] = [];
    const source = async function* (): AsyncIterable<Uint8Array> {
      yield Buffer.from('x');
    };
    for (const token of ['', 'two\nlines', 'x'.repeat(300)])
      server.offer(token, source, 5000, (error) => ended.push(error));
    server.offer('token', source, 5000, () => undefined);
    server.offer('token', source, 5000, (error) => ended.push(error));
    expect(ended).toEqual([]);
    await until(() => ended.length === 4, 'all four');
    for (const error of ended) expect(error).toMatchObject({ code: 'bad-input' });
  });

  test('a port that is taken is an error of its own', async () => {
    const { port } = await bulk();
    await expect(openTcpBulk({ host, port, clock: new SystemClock() })).rejects.toMatchObject({
      code: 'address-in-use',
    });
    await expect(openTcpBulk({ host: '203.0.113.7', clock: new SystemClock() })).rejects.toMatchObject({
      code: 'bad-option',
    });
  });
});

describe('fetching', () => {
  const cases: readonly (readonly [string, (socket: Socket) => void, string])[] = [
    [
      'a stream without an end frame',
      (socket) => socket.end(Buffer.concat([frameHead('chunk', 2), Buffer.from('ab')])),
      'unreachable',
    ],
    ['half a frame', (socket) => socket.end(Buffer.concat([frameHead('chunk', 20), Buffer.from('ab')])), 'unreachable'],
    ['a reset', (socket) => socket.resetAndDestroy(), 'unreachable'],
    ['another protocol', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), 'bad-input'],
    ['silence', (socket) => socket.resume(), 'timed-out'],
    ['silence in the middle of a frame', (socket) => socket.write(frameHead('chunk', 20)), 'timed-out'],
  ];
  for (const [what, answer, code] of cases) {
    test(`${what} is ${code}`, async () => {
      const client = await bulk({ idleMs: 80 });
      const address = await answering(answer);
      await expect(collect(client.fetch(address, 'token', signal()))).rejects.toMatchObject({ code });
    });
  }

  test('what is no address is bad-input; a closed port and a closed node say so', async () => {
    const client = await bulk();
    const gone = await bulk();
    await gone.close();
    await expect(collect(client.fetch('nowhere', 'token', signal()))).rejects.toMatchObject({ code: 'bad-input' });
    await expect(collect(client.fetch(`${host}:${gone.port}`, 'token', signal()))).rejects.toMatchObject({
      code: 'unreachable',
    });
    await expect(collect(gone.fetch(`${host}:${client.port}`, 'token', signal()))).rejects.toMatchObject({
      code: 'closed',
    });
  });

  test('a node that closes ends its fetches; an aborted one says who it was', async () => {
    const client = await bulk();
    const address = await answering((socket) => socket.resume());
    const fetched = collect(client.fetch(address, 'token', signal()));
    const controller = new AbortController();
    const aborted = collect(client.fetch(address, 'token', controller.signal));
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toMatchObject({
      code: 'aborted-by-caller',
      message: expect.stringContaining('enough') as unknown,
    });
    const rejected = expect(fetched).rejects.toMatchObject({ code: 'closed' });
    await client.close();
    await rejected;
  });
});
