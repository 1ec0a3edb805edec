import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { closeAll } from '../../shared/binary/serve.js';
import { createServer, listen, refuseUntilOpen } from '../../shared/http/server.js';
import { newToken, parseTokens } from '../../shared/http/tokens.js';
import { FakeOriginal, RecordingLog } from '../../tests/integration/process/http-fakes.js';
import { addMasterRoutes } from './api.js';
import { liveBounds } from './live.js';

const page = join(import.meta.dirname, '../dashboard/page');
const reader = newToken('read');
let server: FastifyInstance;
let isOpen: boolean;

function serve(tokens: boolean): FastifyInstance {
  const server = createServer(new RecordingLog(), tokens ? { tokens: parseTokens(reader.line, 'a test') } : {});
  refuseUntilOpen(server, () => isOpen);
  const dataSets = new Map([['prices', new FakeOriginal()]]);
  addMasterRoutes(server, { node: 'master', dataSets, whyNotLeading: () => null });
  return server;
}

beforeEach(() => {
  isOpen = true;
  server = serve(false);
});

afterEach(async () => {
  // As the binary ends: also connections that a client holds open without asking for anything.
  await closeAll(server, null);
});

describe('the files of the dashboard', () => {
  test('the page comes from /, with headers that let nothing in from elsewhere', async () => {
    const answer = await server.inject('/');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
    expect(answer.body).toBe(await readFile(join(page, 'index.html'), 'utf8'));
    const policy = String(answer.headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|\*|data:/);
    expect(answer.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  });

  test('every file of the page is served, and every file that the page names', async () => {
    const files = (await readdir(page)).filter((name) => /\.(js|css|svg|html)$/.test(name));
    const texts = await Promise.all(files.map((name) => readFile(join(page, name), 'utf8')));
    const named = texts.flatMap((text) =>
      [...text.matchAll(/(?:"\/dashboard\/|from '\.\/)([\w.-]+)["']/g)].map(([, name]) => name ?? ''),
    );
    const all = new Set([...files, ...named]);
    expect(all.size).toBeGreaterThan(20);
    for (const name of all) {
      const answer = await server.inject(`/dashboard/${name}`);
      expect(`${name} ${answer.statusCode}`).toBe(`${name} 200`);
    }
  });

  test('nothing of the page asks for anything from elsewhere', async () => {
    const files = (await readdir(page)).filter((name) => /\.(js|css|html)$/.test(name));
    for (const name of files) {
      const text = (await readFile(join(page, name), 'utf8')).replaceAll('http://www.w3.org/2000/svg', '');
      expect(`${name} ${/https?:\/\/\S*/.exec(text)?.[0] ?? 'stays here'}`).toBe(`${name} stays here`);
      expect(text).not.toMatch(/ style=| onclick=|eval\(|innerHTML/);
    }
  });

  test.each(['headline.test.ts', 'tsconfig.json', '..%2f..%2fmain.ts', '%2e%2e%2fpackage.json', 'constructor', ''])(
    'what is not the page is not served: %s',
    async (name) => {
      expect((await server.inject(`/dashboard/${name}`)).statusCode).toBe(404);
    },
  );

  test('who has it already is told so; who can unpack it gets it packed', async () => {
    const first = await server.inject({ url: '/dashboard/main.js', headers: { 'accept-encoding': 'gzip, br' } });
    expect(gunzipSync(first.rawPayload).toString()).toBe(await readFile(join(page, 'main.js'), 'utf8'));
    const again = await server.inject({
      url: '/dashboard/main.js',
      headers: { 'if-none-match': String(first.headers.etag) },
    });
    expect([again.statusCode, again.body]).toEqual([304, '']);
  });

  test('the page opens without a token, and while the store is being opened; its data does not', async () => {
    await server.close();
    isOpen = false;
    server = serve(true);
    expect((await server.inject('/')).statusCode).toBe(200);
    expect((await server.inject('/dashboard/main.js')).statusCode).toBe(200);
    const headers = { authorization: `Bearer ${reader.token}` };
    expect((await server.inject({ url: '/v1/live', headers })).statusCode).toBe(503);
    isOpen = true;
    expect((await server.inject('/v1/live')).statusCode).toBe(401);
    expect((await server.inject('/v1/status')).statusCode).toBe(401);
  });
});

describe('GET /v1/live', () => {
  test('a HEAD listens to nothing', async () => {
    expect((await server.inject({ method: 'HEAD', url: '/v1/live' })).statusCode).toBe(404);
  });

  test('streams over HTTP, and ends with a goodbye when the server closes', async () => {
    const url = await listen(server, { host: '127.0.0.1', port: 0 });
    const response = await fetch(`${url}/v1/live`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    const text = response.text();
    await server.close();
    const events = [...(await text).matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
    expect(events).toEqual(['status', 'rounds', 'bye']);
  });

  test('one listener too many is told so; when one leaves there is room again', async () => {
    const url = await listen(server, { host: '127.0.0.1', port: 0 });
    const controls = Array.from({ length: liveBounds.listeners }, () => new AbortController());
    const open = await Promise.all(controls.map(({ signal }) => fetch(`${url}/v1/live`, { signal })));
    expect(open.map(({ status }) => status)).toEqual(controls.map(() => 200));
    const refused = await fetch(`${url}/v1/live`);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ error: { code: 'queue-full' } });
    controls[0]?.abort();
    await expect
      .poll(async () => {
        const control = new AbortController();
        const { status } = await fetch(`${url}/v1/live`, { signal: control.signal });
        control.abort();
        return status;
      })
      .toBe(200);
    for (const control of controls) control.abort();
  });
});
