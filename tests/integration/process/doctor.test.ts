import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomInt } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keyValue } from '../../../master/index.js';
import type { Finding } from '../../../cli/doctor/checks.js';
import { runProgram } from '../../../cli/program.js';
import type { Shell } from '../../../cli/shell.js';
import { exitCodes } from '../../../shared/protocol/kernel/errors.js';
import { createServer, listen } from '../../../shared/http/server.js';
import { addMasterRoutes } from '../../../master/http/api.js';
import { networkBody } from '../../../shared/runtime/network-status.js';
import { freePort, Loopback } from './loopback.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-doctor-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function doctor(...parameters: readonly string[]): Promise<{
  readonly exitCode: number;
  readonly findings: readonly Finding[];
  readonly of: (check: string) => Finding | undefined;
}> {
  const lines: string[] = [];
  const shell: Shell = {
    out: (text) => void lines.push(text),
    err: (text) => void lines.push(text),
    isInteractive: false,
    fetch: (...given) => fetch(...given),
    input: (async function* () {})(),
    exitCode: exitCodes.ok,
  };
  await runProgram(shell, ['doctor', '--json', '--store', join(folder, 'store'), ...parameters]);
  const { findings } = JSON.parse(lines.join('\n')) as { findings: readonly Finding[] };
  return { exitCode: shell.exitCode, findings, of: (name) => findings.find(({ check }) => check === name) };
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
