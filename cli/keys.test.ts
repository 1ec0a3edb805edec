import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseKeyFile, type KeyFile, type KeyRole } from '../shared/protocol/secure/keys.js';
import { keyFileText, slaveFileOf } from '../shared/runtime/key-files.js';
import { runProgram } from './program.js';
import type { Shell } from './shell.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-keys-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function lockstep(...parameters: string[]): Promise<{ exitCode: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const shell: Shell = {
    out: (text) => (out += `${text}\n`),
    err: (text) => (err += text),
    isInteractive: false,
    fetch,
    input: (async function* () {})(),
    exitCode: 0,
  };
  await runProgram(shell, parameters);
  return { exitCode: shell.exitCode, out, err };
}

async function fileOf(role: KeyRole): Promise<KeyFile> {
  return parseKeyFile(await readFile(join(folder, `${role}.key`), 'utf8'), role);
}

function rotate(step: string): ReturnType<typeof lockstep> {
  return lockstep('key', 'rotate', '--in', folder, '--step', step);
}

async function states(role: KeyRole): Promise<readonly string[]> {
  return (await fileOf(role)).keys.map(({ id, state }) => `${id} ${state}`);
}

describe('keygen', () => {
  test('makes both files, which belong together, and says who may have which', async () => {
    const { exitCode, out } = await lockstep('keygen', '--out', folder);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/master\.key: for masters alone.*\n.*slave\.key: for slaves/);
    expect(slaveFileOf(await fileOf('master'))).toEqual(await fileOf('slave'));
  });

  test('replaces no keys', async () => {
    await lockstep('keygen', '--out', folder);
    const before = await fileOf('master');
    const again = await lockstep('keygen', '--out', folder);
    expect([again.exitCode, again.err]).toEqual([2, expect.stringContaining('is there already')]);
    expect(await fileOf('master')).toEqual(before);
  });

  test('no two runs make the same', async () => {
    await lockstep('keygen', '--out', join(folder, 'a'));
    await lockstep('keygen', '--out', join(folder, 'b'));
    const [a, b] = await Promise.all(['a', 'b'].map((name) => readFile(join(folder, name, 'master.key'), 'utf8')));
    expect(a).not.toBe(b);
  });
});

test('keygen and key rotate as JSON: the files, the keys without their secrets, and the next step', async () => {
  const made = await lockstep('keygen', '--out', folder, '--json');
  expect(JSON.parse(made.out)).toEqual({ master: join(folder, 'master.key'), slave: join(folder, 'slave.key') });
  const step = async (name: string): Promise<unknown> =>
    JSON.parse((await lockstep('key', 'rotate', '--in', folder, '--step', name, '--json')).out);
  expect(await step('add')).toEqual({
    keys: [
      { id: 1, state: 'current' },
      { id: 2, state: 'accepted' },
    ],
    next: 'switch',
  });
  expect(await step('switch')).toMatchObject({ next: 'retire' });
  expect(await step('retire')).toEqual({ keys: [{ id: 2, state: 'current' }], next: null });
});

describe('key rotate', () => {
  test('adds, switches and retires, in both files, and says what is next', async () => {
    await lockstep('keygen', '--out', folder);
    const first = (await fileOf('master')).keys[0];
    expect((await rotate('add')).out).toMatch(/keys 1 \(current\), 2\. .*--step switch/s);
    expect(await states('slave')).toEqual(['1 current', '2 accepted']);
    expect((await rotate('switch')).out).toMatch(/keys 1, 2 \(current\)\. .*--step retire/s);
    expect(await states('slave')).toEqual(['1 accepted', '2 current']);
    expect((await rotate('retire')).out).toMatch(/keys 2 \(current\)\. .*opens nothing/s);
    expect(await states('slave')).toEqual(['2 current']);
    const last = (await fileOf('master')).keys[0];
    expect(last?.packet).not.toBe(first?.packet);
    expect(last?.master.public).not.toBe(first?.master.public);
    expect(slaveFileOf(await fileOf('master'))).toEqual(await fileOf('slave'));
  });

  test('a step out of turn changes nothing, and names the one whose turn it is', async () => {
    await lockstep('keygen', '--out', folder);
    const turns = [
      ['switch', 'add'],
      ['retire', 'add'],
      ['add', null],
      ['add', 'switch'],
      ['retire', 'switch'],
      ['switch', null],
      ['add', 'retire'],
      ['switch', 'retire'],
      ['retire', null],
    ] as const;
    for (const [step, instead] of turns) {
      const before = keyFileText(await fileOf('master'));
      const run = await rotate(step);
      expect(run.exitCode).toBe(instead === null ? 0 : 2);
      if (instead === null) continue;
      expect(run.err).toContain(`--step ${instead}`);
      expect(keyFileText(await fileOf('master'))).toBe(before);
    }
  });

  test('mends a slave file that an earlier run was kept from writing', async () => {
    await lockstep('keygen', '--out', folder);
    const old = await readFile(join(folder, 'slave.key'), 'utf8');
    await rotate('add');
    await writeFile(join(folder, 'slave.key'), old);
    const run = await rotate('add');
    expect(run.exitCode).toBe(2);
    expect(run.err).toContain('did not match');
    expect(await states('slave')).toEqual(['1 current', '2 accepted']);
  });
});

describe('starting', () => {
  const [outside] = Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
  );

  test.runIf(outside !== undefined)(
    'on another interface than loopback needs keys, or the word that it does not',
    async () => {
      const run = await lockstep('master', '--interface', outside ?? '', '--store', join(folder, 'store'));
      expect(run.exitCode).toBe(2);
      expect(run.err).toContain(`--interface ${outside ?? ''} leaves this machine`);
      expect(run.err).toMatch(/--keys FILE.*--insecure/);
    },
  );

  test('with peers beyond this machine, too', async () => {
    const run = await lockstep('slave', '--name', 'a', '--peers', '192.0.2.1:7402', '--store', join(folder, 'store'));
    expect(run.exitCode).toBe(2);
    expect(run.err).toMatch(/--peers 192\.0\.2\.1:7402 leaves this machine.*--keys FILE.*--insecure/);
  });

  test('with keys that others may read, or of the other role, is refused before anything is opened', async () => {
    await lockstep('keygen', '--out', folder);
    const start = ['--http', '127.0.0.1:0', '--store', join(folder, 'store')];
    const slave = await lockstep('slave', '--name', 'a', ...start, '--keys', join(folder, 'master.key'));
    expect([slave.exitCode, slave.err]).toEqual([2, expect.stringContaining('give it slave.key')]);
    const master = await lockstep('master', ...start, '--keys', join(folder, 'slave.key'));
    expect([master.exitCode, master.err]).toEqual([2, expect.stringContaining('give this master master.key')]);
    await chmod(join(folder, 'master.key'), 0o644);
    const open = await lockstep('master', ...start, '--keys', join(folder, 'master.key'));
    expect([open.exitCode, open.err]).toEqual([2, expect.stringContaining(`chmod 600 ${join(folder, 'master.key')}`)]);
  });
});
