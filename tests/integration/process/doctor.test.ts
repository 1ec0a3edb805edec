import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomInt } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keyValue } from '../../../master/index.js';
import type { Finding } from '../../../cli/doctor/checks.js';
import { exitCodes } from '../../../shared/protocol/kernel/errors.js';
import { createServer, listen } from '../../../shared/http/server.js';
import { addMasterRoutes } from '../../../master/http/api.js';
import { networkBody } from '../../../shared/runtime/network-status.js';
import { runLockstep } from '../../support/run-lockstep.js';
import { freePort, Loopback } from './loopback.js';

let folder: string;
let before: NodeJS.ProcessEnv;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-doctor-'));
  before = { ...process.env };
});
afterEach(async () => {
  process.env = before;
  await rm(folder, { recursive: true, force: true });
});

interface Examined {
  readonly exitCode: number;
  readonly findings: readonly Finding[];
  readonly of: (check: string) => Finding | undefined;
}

function doctor(...parameters: readonly string[]): Promise<Examined> {
  return configured('--store', join(folder, 'store'), ...parameters);
}

/** With nothing but these flags, the environment and the file. */
async function configured(...parameters: readonly string[]): Promise<Examined> {
  const { exitCode, out, err } = await runLockstep(['doctor', '--json', ...parameters]);
  expect(err).toBe('');
  const { findings } = JSON.parse(out) as { findings: readonly Finding[] };
  return { exitCode, findings, of: (name) => findings.find(({ check }) => check === name) };
}

async function aGroup(): Promise<string> {
  return `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
}

test('on loopback without any node: multicast through this machine, and nobody else', async () => {
  const { exitCode, of } = await doctor('--group', await aGroup());
  expect(of('interface')?.level).toBe('ok');
  expect(of('multicast-here')?.level).toBe('ok');
  expect(of('nodes')).toMatchObject({ level: 'warn', fix: expect.stringContaining('--to') as string });
  expect(of('keys')?.level).toBe('ok');
  expect(['ok', 'warn']).toContain(of('disk')?.level);
  expect(exitCode).toBe(exitCodes.ok);
});

test('running nodes answer a probe, both ways, and the one asked tells its clock', async () => {
  await using loopback = await Loopback.start();
  const group = await aGroup();
  const master = await loopback.master({ group });
  await master.register('prices', keyValue<number>());
  await loopback.slave('s1', { group });
  const server = createServer({ record: () => undefined }, {});
  addMasterRoutes(server, {
    node: 'master',
    dataSets: new Map(),
    whyNotLeading: () => null,
    network: () => networkBody(master, Date.now() + 60_000),
  });
  try {
    const to = await listen(server, { host: '127.0.0.1', port: 0 });
    const { exitCode, of } = await doctor('--group', group, '--to', to);
    expect(of('node-master')).toMatchObject({ level: 'ok' });
    expect(of('node-s1')).toMatchObject({ level: 'ok' });
    expect(of('clock')).toMatchObject({ level: 'warn', fix: expect.stringContaining('chronyc') as string });
    expect(exitCode).toBe(exitCodes.ok);
  } finally {
    await server.close();
  }
});

test('an interface that is none, a taken port, a key that others may read, a store that is a file, a node that is none: each fails with its fix', async () => {
  const taken = createSocket('udp4');
  taken.bind(0, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const key = join(folder, 'slave.key');
    await writeFile(key, '{}');
    await chmod(key, 0o644);
    const dead = `http://127.0.0.1:${await freePort()}`;
    const { exitCode, of } = await doctor(
      '--group',
      await aGroup(),
      '--port',
      String(taken.address().port),
      '--keys',
      key,
      '--store',
      join(key, 'store'),
      '--to',
      dead,
    );
    expect(of('port-udp')).toMatchObject({
      level: 'fail',
      fix: expect.stringContaining(String(process.pid)) as string,
    });
    expect(of('keys')).toMatchObject({ level: 'fail', fix: `chmod 600 ${key}` });
    expect(of('disk')?.level).toBe('fail');
    expect(of('asked')?.level).toBe('fail');
    expect(exitCode).toBe(exitCodes.unwell);
  } finally {
    const closed = once(taken, 'close');
    taken.close();
    await closed;
  }
  const { exitCode, of } = await doctor('--interface', '192.0.2.1');
  expect(of('interface')).toMatchObject({ level: 'fail' });
  expect(of('keys')).toMatchObject({ level: 'fail', fix: expect.stringContaining('keygen') as string });
  expect(exitCode).toBe(exitCodes.unwell);
});

test('settings come from the file, the environment and flags, as a node takes them, and each one says from where', async () => {
  const group = await aGroup();
  const taken = createSocket('udp4');
  taken.bind(0, '127.0.0.1');
  await once(taken, 'listening');
  try {
    const config = join(folder, 'node.yaml');
    const key = join(folder, 'gone.key');
    // Of a slave: what doctor itself has no use for is passed over.
    await writeFile(
      config,
      `name: a\nvalidate: v.mjs\nlogLevel: warn\ngroup: ${group}\ninterface: 192.0.2.1\nport: ${taken.address().port}\nkeys: ${key}\nstore: ${join(folder, 'of-file')}\n`,
    );
    const ofFile = await configured('--config', config);
    expect(ofFile.exitCode).toBe(exitCodes.unwell);
    expect(ofFile.of('interface')).toMatchObject({
      level: 'fail',
      text: expect.stringContaining('192.0.2.1') as string,
    });
    expect(ofFile.of('keys')).toMatchObject({ level: 'fail', text: expect.stringContaining(key) as string });
    expect(ofFile.of('disk')?.text).toContain(join(folder, 'of-file'));
    expect(ofFile.of('settings')?.text).toContain(`from ${config}`);

    Object.assign(process.env, { LOCKSTEP_CONFIG: config, LOCKSTEP_INTERFACE: '127.0.0.1' });
    const ofVariables = await configured('--store', join(folder, 'of-flag'));
    expect(ofVariables.of('interface')?.level).toBe('ok');
    expect(ofVariables.of('port-udp')).toMatchObject({
      level: 'fail',
      text: expect.stringContaining(`127.0.0.1:${taken.address().port}`) as string,
    });
    expect(ofVariables.of('disk')?.text).toContain(join(folder, 'of-flag'));
    expect(ofVariables.of('multicast-here')?.text).toContain(group);
    expect(ofVariables.of('settings')?.text).toMatch(
      /^group, port, keys from .*node\.yaml; interface from LOCKSTEP_INTERFACE; the rest are flags and defaults$/,
    );
    expect((await configured('--interface', '192.0.2.2')).of('interface')?.text).toContain('192.0.2.2');
  } finally {
    const closed = once(taken, 'close');
    taken.close();
    await closed;
  }
});

test('a file or a variable that no node would take is refused with its line', async () => {
  const config = join(folder, 'node.yaml');
  await writeFile(config, 'name: a\nintreface: 10.0.0.1\n');
  expect(await runLockstep(['doctor', '--config', config])).toMatchObject({
    exitCode: exitCodes.usage,
    out: '',
    err: `lockstep: ${config} line 2: unknown key 'intreface': did you mean 'interface'?\n`,
  });
  // Flags of doctor's own are no settings of a node.
  await writeFile(config, 'phases: one\nvalidate: v.mjs\njson: true\n');
  expect((await runLockstep(['doctor', '--config', config])).err).toContain("line 3: unknown key 'json'");
  await writeFile(config, 'timeout: soon\n');
  expect((await runLockstep(['doctor', '--config', config])).err).toContain("line 1: timeout 'soon' is invalid");
  process.env['LOCKSTEP_PORT'] = 'tcp://10.0.0.1:7400';
  expect((await runLockstep(['doctor'])).err).toContain("LOCKSTEP_PORT 'tcp:");
});
