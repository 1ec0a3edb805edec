import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fetchTrusting } from '../../cli/fetch-trusting.js';
import { addMasterRoutes } from '../../master/http/api.js';
import {
  epoch,
  FakeCopy,
  FakeOriginal,
  RecordingLog,
  roundAccount,
  tipAt,
} from '../../tests/integration/process/http-fakes.js';
import { addSlaveRoutes } from '../../slave/http/api.js';
import { roundKey } from '../protocol/kernel/ids.js';
import { createServer, listen } from './server.js';
import { readTls } from './tls.js';
import { newToken, parseTokens, readTokens, roles, type Role } from './tokens.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-tokens-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const made = Object.fromEntries(roles.map((role) => [role, newToken(role)])) as Record<
  Role,
  ReturnType<typeof newToken>
>;
const tokens = parseTokens(
  `# a remark\n\n${roles.map((role) => `${made[role].line} of somebody`).join('\n')}\n`,
  'here',
);
const bearer = (role: Role): Record<string, string> => ({ authorization: `Bearer ${made[role].token}` });

describe('a server with tokens', () => {
  const master = createServer(new RecordingLog(), { tokens });
  const original = new FakeOriginal();
  original.rounds = [roundAccount(7, { outcome: 'open' })];
  addMasterRoutes(master, {
    node: 'm',
    dataSets: new Map([['prices', original]]),
    whyNotLeading: () => null,
  });
  const slave = createServer(new RecordingLog(), { tokens });
  const copy = new FakeCopy({ k: 1 }, 3);
  copy.state = 'diverged';
  const inDoubt = [{ round: { epoch, number: 4 }, to: tipAt(4), ageMs: 1, voters: 1, masterCannotTell: true }];
  const roundInDoubt = roundKey({ epoch, number: 4 });
  const word = '{"outcome":"commit","by":"ann","iUnderstand":true}';
  addSlaveRoutes(slave, { node: 's', dataSets: new Map([['prices', copy]]) });
  const body = { headers: { 'content-type': 'application/json' }, payload: '{"operations":[{"put":["k",1]}]}' };

  test.each([
    ['GET', '/v1/status', 'read', {}],
    ['GET', '/v1/data/prices', 'read', {}],
    ['POST', '/v1/reads/prices', 'read', { ...body, payload: '{"keys":["k"]}' }],
    ['PUT', '/v1/data/prices/k', 'write', { ...body, payload: '1' }],
    ['DELETE', '/v1/data/prices/k', 'write', {}],
    ['POST', '/v1/changes/prices', 'write', body],
    ['POST', '/v1/members/prices/a/forget', 'admin', {}],
    ['POST', '/v1/data/prices/discard', 'admin', {}],
    ['GET', '/v1/rounds/prices', 'read', {}],
    ['POST', '/v1/rounds/prices/7/roll-back', 'admin', {}],
    ['POST', `/v1/in-doubt/prices/${roundInDoubt}`, 'admin', { ...body, payload: word }],
  ] as const)('%s %s needs %s', async (method, url, needed, rest) => {
    const server = url.endsWith('discard') || url.includes('in-doubt') ? slave : master;
    for (const role of roles) {
      copy.inDoubt = inDoubt;
      const headers = { ...('headers' in rest ? rest.headers : {}), ...bearer(role) };
      const answer = await server.inject({ method, url, ...rest, headers });
      if (roles.indexOf(role) >= roles.indexOf(needed)) expect(answer.statusCode).toBe(200);
      else {
        expect(answer.statusCode).toBe(403);
        expect(answer.json()).toMatchObject({
          error: { code: 'forbidden', message: expect.stringContaining(`needs ${needed}`) as string },
        });
      }
    }
    const without = await server.inject({ method, url, ...rest });
    expect([without.statusCode, without.headers['www-authenticate']]).toEqual([401, 'Bearer realm="lockstep"']);
  });

  test.each(['/livez', '/readyz'])('%s stays open', async (url) => {
    expect((await master.inject(url)).statusCode).toBe(200);
  });

  test.each([
    'Bearer',
    'Bearer x',
    `Basic ${made.admin.token}`,
    `Bearer ${made.admin.line.split(' ')[1]}`,
    `Bearer ${'x'.repeat(5000)}`,
  ])('is not opened by %s', async (authorization) => {
    for (const url of ['/v1/status', '/nothing/here', '/livez/../v1/status']) {
      const answer = await master.inject({ url, headers: { authorization } });
      expect([answer.statusCode, answer.json()]).toMatchObject([401, { error: { code: 'unauthenticated' } }]);
    }
  });
});

describe('a file of tokens', () => {
  test('is read when only its owner may, and else refused with what to do', () => {
    const path = join(folder, 'tokens');
    writeFileSync(path, `${made.read.line}\n`, { mode: 0o600 });
    expect(readTokens(path).map(({ role }) => role)).toEqual(['read']);
    chmodSync(path, 0o644);
    expect(() => readTokens(path)).toThrow(/mode 644\); chmod 600/);
    expect(() => readTokens(join(folder, 'none'))).toThrow(/--http-tokens .*none can't be read/);
  });

  test.each(['', '# only remarks', 'root 00', `read ${'z'.repeat(64)}`, 'read secret'])(
    'is refused without showing it: %j',
    (text) => {
      expect(() => parseTokens(text, 'here')).toThrow(/^here /);
      expect(() => parseTokens(text, 'here')).not.toThrow(/secret/);
    },
  );
});

test('TLS serves whoever trusts its certificate, with a key that only its owner may read', async () => {
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-keyout',
      key,
      '-out',
      cert,
      ...subject,
    ],
    { stdio: 'ignore' },
  );
  chmodSync(key, 0o600);
  const server = createServer(new RecordingLog(), { tls: readTls(cert, key), tokens });
  addMasterRoutes(server, {
    node: 'm',
    dataSets: new Map([['prices', new FakeOriginal()]]),
    whyNotLeading: () => null,
  });
  try {
    const url = await listen(server, { host: '127.0.0.1', port: 0 });
    expect(url).toMatch(/^https:/);
    const trusting = fetchTrusting(readFileSync(cert));
    expect((await trusting(`${url}/livez`)).status).toBe(200);
    expect((await trusting(`${url}/v1/status`)).status).toBe(401);
    expect((await trusting(`${url}/v1/status`, { headers: bearer('read') })).status).toBe(200);
    await expect(fetch(`${url}/livez`)).rejects.toThrow('fetch failed');
  } finally {
    await server.close();
  }
  chmodSync(key, 0o640);
  expect(() => readTls(cert, key)).toThrow(/mode 640\); chmod 600/);
  chmodSync(key, 0o600);
  writeFileSync(cert, 'nothing');
  expect(() => readTls(cert, key)).toThrow(/make no pair/);
});
