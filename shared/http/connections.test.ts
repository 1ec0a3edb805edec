import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { FastifyInstance } from 'fastify';
import { eventually } from '../../tests/integration/process/lockstep-process.js';
import { RecordingLog } from '../../tests/integration/process/http-fakes.js';
import { httpBounds, type HttpBounds } from './bounds.js';
import { createServer, listen } from './server.js';

let server: FastifyInstance | null = null;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.close();
  server = null;
});

async function serve(bounds: Partial<HttpBounds>): Promise<string> {
  server = createServer(new RecordingLog(), { bounds: { ...httpBounds, ...bounds } });
  server.get('/livez', async () => ({ live: true }));
  server.post('/take', async (request) => ({ took: JSON.stringify(request.body).length }));
  return listen(server, { host: '127.0.0.1', port: 0 });
}

interface Peer {
  readonly socket: Socket;
  said: string;
  closed: boolean;
}

function open(url: string, text: string): Peer {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true });
  sockets.push(socket);
  const peer: Peer = { socket, said: '', closed: false };
  socket.setEncoding('latin1').on('data', (data: string) => (peer.said += data));
  socket.on('error', () => undefined);
  socket.on('close', () => (peer.closed = true));
  socket.on('end', () => socket.end());
  socket.write(text);
  return peer;
}

/** A byte now and then, for ever. */
function drip(peer: Peer, byte: string): void {
  const timer = setInterval(() => {
    if (peer.socket.writable) peer.socket.write(byte);
  }, 20);
  peer.socket.on('close', () => {
    clearInterval(timer);
  });
}

describe('slow clients', () => {
  test('that send a byte now and then are cut off, with the reason, and stop nobody meanwhile', async () => {
    const url = await serve({ headersTimeoutMs: 300, requestTimeoutMs: 600, slowCheckMs: 50 });
    const slowHeaders = Array.from({ length: 50 }, () => open(url, 'GET /livez HTTP/1.1\r\nhost: x\r\nx: '));
    const slowBodies = Array.from({ length: 50 }, () =>
      open(url, 'POST /take HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n"'),
    );
    const slow = [...slowHeaders, ...slowBodies];
    for (const peer of slow) drip(peer, 'a');
    expect(await (await fetch(`${url}/livez`)).json()).toEqual({ live: true });
    await eventually('all slow clients are cut off', () => (slow.every(({ closed }) => closed) ? true : undefined));
    for (const { said } of slow) {
      expect(said).toMatch(/^HTTP\/1\.1 408 /);
      expect(said).toContain('"code":"timed-out"');
    }
    expect(await (await fetch(`${url}/livez`)).json()).toEqual({ live: true });
  });

  test('that hold every connection are shown the door, and the others come in when they are gone', async () => {
    const url = await serve({ connections: 3, headersTimeoutMs: 300, slowCheckMs: 50 });
    const slow = Array.from({ length: 6 }, () => open(url, 'GET /livez HTTP/1.1\r\nx: '));
    await eventually('the surplus is closed', () =>
      slow.filter(({ closed }) => closed).length >= 3 ? true : undefined,
    );
    await eventually('a quick client is answered', async () =>
      (await fetch(`${url}/livez`).catch(() => null))?.ok === true ? true : undefined,
    );
  });
});

describe('bodies', () => {
  test('together are bounded: who comes with more is asked to come again, and is let in afterwards', async () => {
    const url = await serve({ allBodiesBytes: 1000 });
    const head = 'POST /take HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n';
    const first = open(url, `${head}content-length: 900\r\n\r\n"`);
    const tooMuch = async (): Promise<Response> =>
      fetch(`${url}/take`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify('b'.repeat(200)),
      });
    await eventually('the second is refused', async () => ((await tooMuch()).status === 503 ? true : undefined));
    const refused = await tooMuch();
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({ error: { code: 'queue-full' } });
    const unsized = open(url, `${head}transfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n`);
    await eventually('a body of no told length counts as the largest', () =>
      unsized.said.startsWith('HTTP/1.1 503') ? true : undefined,
    );
    first.socket.write(`${'a'.repeat(898)}"`);
    await eventually('the first is answered', () => (first.said.startsWith('HTTP/1.1 200') ? true : undefined));
    await eventually('the second comes in', async () => ((await tooMuch()).status === 200 ? true : undefined));
  });
});

describe('what is no request', () => {
  test.each([
    ['nonsense', 'hello\r\n\r\n', 400],
    ['two lengths', 'POST /take HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n', 400],
    ['huge headers', `GET / HTTP/1.1\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`, 431],
    ['an unknown expectation', 'GET /livez HTTP/1.1\r\nhost: x\r\nexpect: more\r\n\r\n', 417],
  ])('is answered with a problem, and the connection ends: %s', async (_name, text, status) => {
    const url = await serve({});
    const peer = open(url, text);
    await eventually('the connection ends', () => (peer.closed ? true : undefined));
    expect(peer.said).toContain(`HTTP/1.1 ${status} `);
    expect(peer.said).toMatch(/\{"error":\{"code":"bad-input","message":"/);
  });
});
