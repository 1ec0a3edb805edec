import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testKeyFile } from '../../tests/integration/sim/keys.js';
import { groupKeys, parseKeyFile } from '../protocol/secure/keys.js';
import { drawKey, keyFileText, masterFile, readKeys, slaveFileOf, writeKeyFile } from './key-files.js';
import { NodeKeys } from './node-keys.js';
import type { EventRecord } from './ports.js';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-keys-'));
  path = join(folder, 'master.key');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const good = testKeyFile('master', { ids: [1, 2] });
const [first, second] = good.keys;
if (first === undefined || second === undefined) throw new Error('two keys were made');
const secrets = good.keys.flatMap(({ packet, master }) => [packet, master.private ?? '']);

describe('a key file', () => {
  test('that was drawn is read as it was written, by its owner alone', async () => {
    const file = masterFile([drawKey(7, 'current')]);
    await writeKeyFile(path, file, { fresh: true });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await readKeys({ file: path })).keys).toEqual(file);
    expect(groupKeys(file, 'master', 'x').current.id).toBe(7);
    const slaves = slaveFileOf(file);
    expect(keyFileText(slaves)).not.toContain(file.keys[0]?.master.private);
    expect(groupKeys(slaves, 'slave', 'x').current.masterPrivate).toBeNull();
  });

  test.each([0o640, 0o604, 0o644, 0o660, 0o666, 0o610])('of mode %o is refused, with what to do', async (mode) => {
    await writeKeyFile(path, good, { fresh: true });
    await chmod(path, mode);
    await expect(readKeys({ file: path })).rejects.toMatchObject({
      code: 'bad-option',
      message: `the key file ${path} may be read by others (mode ${mode.toString(8)}); chmod 600 ${path}`,
    });
  });

  test('that is missing, or far too large, is refused with its name', async () => {
    await expect(readKeys({ file: path })).rejects.toMatchObject({
      code: 'bad-option',
      message: expect.stringContaining(path) as string,
    });
    await writeFile(path, 'x'.repeat(70_000), { mode: 0o600 });
    await expect(readKeys({ file: path })).rejects.toMatchObject({
      message: `${path} is too large for a key file: 70000 bytes`,
    });
  });

  test('is never written over by a fresh one; another replaces it whole', async () => {
    await writeKeyFile(path, good, { fresh: true });
    await expect(writeKeyFile(path, testKeyFile('master'), { fresh: true })).rejects.toMatchObject({
      code: 'bad-option',
      message: expect.stringContaining('is there already') as string,
    });
    expect((await readKeys({ file: path })).keys).toEqual(good);
    await writeKeyFile(path, testKeyFile('master'), { fresh: false });
    expect((await readKeys({ file: path })).keys).toEqual(testKeyFile('master'));
  });

  const bad: readonly (readonly [string, unknown])[] = [
    ['it is no JSON', '{'],
    ['the file must be an object', []],
    ['the file lacks the field "keys"', { lockstep: 'keys', format: 1, role: 'master' }],
    ['the file has the field "Keys"', { ...good, Keys: [] }],
    ['"lockstep" must be "keys"', { ...good, lockstep: 'key' }],
    ['format 2', { ...good, format: 2 }],
    ['"role" must be', { ...good, role: 'admin' }],
    ['"keys" must be a list', { ...good, keys: [] }],
    ['keys[1].id must be', { ...good, keys: [first, { ...second, id: 0 }] }],
    ['keys[1].id must be', { ...good, keys: [first, { ...second, id: 65_536 }] }],
    ['keys[0].state must be', { ...good, keys: [{ ...first, state: 'old' }, second] }],
    ['exactly one of the keys', { ...good, keys: [first, { ...second, state: 'current' }] }],
    ['exactly one of the keys', { ...good, keys: [{ ...first, state: 'accepted' }, second] }],
    ['the same "id"', { ...good, keys: [first, { ...second, id: 1 }] }],
    ['the same "packet"', { ...good, keys: [first, { ...second, packet: first.packet }] }],
    ['keys[0].packet must be 64', { ...good, keys: [{ ...first, packet: first.packet.slice(1) }, second] }],
    ['keys[0].packet must be 64', { ...good, keys: [{ ...first, packet: first.packet.toUpperCase() }, second] }],
    [
      'keys[0].master lacks the field "private"',
      { ...good, keys: [{ ...first, master: { public: first.master.public } }, second] },
    ],
    ['keys[0].master has the field "private"', { ...good, role: 'slave' }],
  ];
  test.each(bad)('with a mistake is refused, naming it and the remedy, and no key: %s', (what, value) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    let message = '';
    try {
      parseKeyFile(text, 'the key file x');
    } catch (error) {
      message = error instanceof Error ? error.message : '';
    }
    expect(message).toContain('the key file x');
    expect(message).toContain(what);
    expect(message).toMatch(/; (make keys with|use the program)/);
    for (const secret of secrets) expect(message).not.toContain(secret);
  });

  test('whose halves do not belong together, or of the other role, is refused', () => {
    const mixed = { ...good, keys: [{ ...first, master: { ...first.master, public: second.master.public } }, second] };
    expect(() => groupKeys(mixed, 'master', 'x')).toThrow("isn't the public half");
    expect(() => groupKeys(testKeyFile('slave'), 'master', 'x')).toThrow('give this master master.key');
    expect(() => groupKeys(good, 'slave', 'x')).toThrow('give it slave.key');
  });
});

test('a running node takes a changed file up; a bad one is refused with a record, and the old keys stay', async () => {
  const events: EventRecord[] = [];
  const log = { record: (event: EventRecord) => void events.push(event) };
  await writeKeyFile(path, testKeyFile('master'), { fresh: true });
  const keys = await NodeKeys.load({ file: path }, 'master');
  await writeKeyFile(path, testKeyFile('master', { ids: [1, 2], current: 2 }), { fresh: false });
  await keys.reload(log);
  expect([...keys.current.byId.keys()]).toEqual([1, 2]);
  expect(keys.current.current.id).toBe(2);
  await writeFile(path, '{}', { mode: 0o600 });
  await expect(keys.reload(log)).rejects.toMatchObject({ code: 'bad-option' });
  expect(keys.current.current.id).toBe(2);
  expect(events).toMatchObject([
    { name: 'keys-changed', fields: { inUse: '1, 2 (current)' } },
    { name: 'keys-refused', level: 'error', fields: { inUse: '1, 2 (current)' } },
  ]);
});
