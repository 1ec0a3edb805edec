import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runLockstep, type CommandRun } from '../tests/support/run-lockstep.js';
import { configKeys, parseSwitch } from './config-keys.js';
import { peerList } from './flags.js';
import { nearest } from './nearest.js';

let folder: string;
let before: NodeJS.ProcessEnv;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-config-'));
  before = { ...process.env };
});

afterEach(async () => {
  process.env = before;
  await rm(folder, { recursive: true, force: true });
});

async function file(text: string): Promise<string> {
  const path = join(folder, 'node.yaml');
  await writeFile(path, text);
  return path;
}

interface Shown {
  readonly key: string;
  readonly value: unknown;
  readonly from: Readonly<Record<string, unknown>>;
}

async function shown(...parameters: string[]): Promise<ReadonlyMap<string, Shown>> {
  const run = await runLockstep(['config', 'show', ...parameters, '--json']);
  expect(run).toMatchObject({ exitCode: 0, err: '' });
  return new Map(
    (JSON.parse(run.out) as { settings: readonly Shown[] }).settings.map((setting) => [setting.key, setting]),
  );
}

describe('what is in force', () => {
  test('a flag wins over the environment, that over the file, and that over the default', async () => {
    const path = await file('name: f\nport: 1\nstore: ./f\nlogLevel: warn\n');
    Object.assign(process.env, { LOCKSTEP_PORT: '2', LOCKSTEP_STORE: './e', LOCKSTEP_LOG_FORMAT: '' });
    const settings = await shown('slave', '--config', path, '--port', '3');
    expect(
      ['name', 'port', 'store', 'logLevel', 'logFormat'].map((key) => [
        settings.get(key)?.value,
        settings.get(key)?.from,
      ]),
    ).toEqual([
      ['f', { kind: 'file', file: path, line: 1 }],
      [3, { kind: 'flag' }],
      ['./e', { kind: 'environment', variable: 'LOCKSTEP_STORE' }],
      ['warn', { kind: 'file', file: path, line: 4 }],
      ['text', { kind: 'default' }],
    ]);
  });

  test('lists come from one place, and the file may be named by the environment', async () => {
    process.env['LOCKSTEP_CONFIG'] = await file('dataSet:\n  - prices\n  - routes\npeers: 127.0.0.1:1,127.0.0.1:2\n');
    expect((await shown('master')).get('dataSet')?.value).toEqual(['prices', 'routes']);
    expect((await shown('master')).get('peers')?.value).toEqual(['127.0.0.1:1', '127.0.0.1:2']);
    expect((await shown('master', '--data-set', 'other')).get('dataSet')?.value).toEqual(['other']);
    process.env['LOCKSTEP_DATA_SET'] = 'x, y';
    expect((await shown('master')).get('dataSet')).toMatchObject({ value: ['x', 'y'], from: { kind: 'environment' } });
  });

  test('values are parsed as those of flags, and switches are true or false', async () => {
    const settings = await shown(
      'master',
      '--config',
      await file('timeout: 1.5s\nhttp: 127.0.0.1:0\nvoters: 2\ninsecure: true\ntakeOver: false\nname: 007\n'),
    );
    expect(
      ['timeout', 'http', 'voters', 'insecure', 'takeOver', 'name'].map((key) => settings.get(key)?.value),
    ).toEqual([1500, { host: '127.0.0.1', port: 0 }, 2, true, null, '007']);
    process.env['LOCKSTEP_INSECURE'] = 'false';
    expect((await shown('master')).get('insecure')?.value).toBe(null);
  });

  test('as a table, without what is secret', async () => {
    Object.assign(process.env, { LOCKSTEP_KEYS: 'very secret', LOCKSTEP_HTTP_TOKENS: 'very secret' });
    const run = await runLockstep(['config', 'show', 'slave', '--name', 'a', '--peers', '127.0.0.1:1']);
    expect(run.out).toMatch(/^key +value +from\nname +a +flag\n/);
    expect(run.out).toMatch(/^keys +\(set, not shown\) +LOCKSTEP_KEYS$/m);
    expect(run.out).toMatch(/^httpTokens +\(set, not shown\) +LOCKSTEP_HTTP_TOKENS$/m);
    expect(run.out).toMatch(/^store +\.\/data\/NAME +default$/m);
    const json = await runLockstep(['config', 'show', 'slave', '--json']);
    expect(run.out + json.out).not.toContain('very secret');
  });

  test('a slip in the name of a variable is told', async () => {
    process.env['LOCKSTEP_INTREFACE'] = '10.0.0.1';
    expect((await runLockstep(['config', 'show', 'master'])).err).toBe(
      'lockstep: LOCKSTEP_INTREFACE is no variable of this command: did you mean LOCKSTEP_INTERFACE?\n',
    );
  });

  test('every flag of a node is a key and a variable, by its declaration alone', () => {
    const command = new Command('master')
      .addOption(new Option('--new-thing <value>', 'of somebody else'))
      .addOption(new Option('--some-peers <list>', 'repeatable').argParser(peerList))
      .option('--a-switch', 'on');
    expect(configKeys(command).map(({ key, flag, variable, isList }) => [key, flag, variable, isList])).toEqual([
      ['newThing', '--new-thing', 'LOCKSTEP_NEW_THING', false],
      ['somePeers', '--some-peers', 'LOCKSTEP_SOME_PEERS', true],
      ['aSwitch', '--a-switch', 'LOCKSTEP_A_SWITCH', false],
    ]);
  });
});

describe('what is wrong', () => {
  /** The node doesn't start: the line is refused before anything is opened. */
  async function refusal(role: 'master' | 'slave', ...parameters: string[]): Promise<CommandRun> {
    const run = await runLockstep([role, ...parameters]);
    expect([run.exitCode, run.out]).toEqual([2, '']);
    expect(run.err.trimEnd().split('\n')).toHaveLength(1);
    return run;
  }

  test.each<[string, RegExp]>([
    ['name: a\nintreface: x\n', /node\.yaml line 2: unknown key 'intreface': did you mean 'interface'\?$/],
    ['name: a\n\n\ndata-set: x\n', /line 4: unknown key 'data-set': did you mean 'dataSet'\?$/],
    ['zzzzzz: 1\n', /line 1: unknown key 'zzzzzz': there is name, dataSet, store, /],
    ['name: a\nphases: one\n', /line 2: key 'phases' is for a master, and this is read by a slave$/],
    ['name: a\nport: 1\nname: b\n', /line 3: key 'name' is on line 1 already; give it once$/],
    ['port: seven\n', /line 1: port 'seven' is invalid\. Give a port from 1 to 65535, or 0 for any free one$/],
    ['port: [1, 2]\n', /line 1: port must be one value, and is a list$/],
    ['durability: tape\n', /line 1: durability 'tape' is invalid\. Allowed choices are disk, memory$/],
    ['insecure: "true"\n', /line 1: insecure must be true or false$/],
    ['store:\n', /line 1: store has no value; give one, or leave the key out$/],
    ['name: true\n', /line 1: name must be a text, and is true$/],
    ['dataSet: []\n', /line 1: dataSet is an empty list; name at least one$/],
    ['dataSet: [a, a]\n', /line 1: dataSet 'a' is invalid\. Give each data set once$/],
    ['peers:\n  - {host: x}\n', /line 2: peers must be a text, or a list of texts, and is keys and values$/],
    ['- name\n', /line 1: must be keys and values, such as port: 7402$/],
    ['name: a: b\n', /line 1: no YAML: /],
    ['a: 1\nb: 2\nc: 3\n', /line 1: unknown key 'a'.* \(and 2 more; lockstep config check .*node\.yaml lists them\)$/],
  ])('%j', async (text, message) => {
    expect((await refusal('slave', '--name', 'a', '--config', await file(text))).err.trimEnd()).toMatch(message);
  });

  test('in the environment, a missing file, and a name that nobody gives', async () => {
    process.env['LOCKSTEP_PORT'] = 'tcp://10.0.0.1:7400';
    expect((await refusal('master')).err).toMatch(/^lockstep: LOCKSTEP_PORT 'tcp:.*' is invalid\. Give a port/);
    process.env['LOCKSTEP_PORT'] = '';
    process.env['LOCKSTEP_INSECURE'] = 'maybe';
    expect((await refusal('master')).err).toMatch(/LOCKSTEP_INSECURE 'maybe' is invalid\. Give true or false/);
    delete process.env['LOCKSTEP_INSECURE'];
    expect((await refusal('master', '--config', '/nonexistent')).err).toMatch(
      /--config \/nonexistent can't be read \(ENOENT/,
    );
    process.env['LOCKSTEP_CONFIG'] = '/nonexistent';
    expect((await refusal('master')).err).toMatch(/LOCKSTEP_CONFIG \/nonexistent can't be read/);
    delete process.env['LOCKSTEP_CONFIG'];
    expect((await refusal('slave')).err).toMatch(
      /'--name <name>' not specified; give --name, set LOCKSTEP_NAME, or put name into/,
    );
  });

  test('two that exclude each other, wherever they come from', async () => {
    const path = await file('resetGroup: true\n');
    expect((await refusal('master', '--config', path, '--adopt-from', 'a')).err).toMatch(
      /--reset-group \(.*node\.yaml:1\) cannot be used with --adopt-from \(flag\); leave one out/,
    );
  });

  test('check tells all of it, and for whom a file is right', async () => {
    const path = await file('name: a\nport: x\nintreface: y\nphases: one\n');
    expect(await runLockstep(['config', 'check', path])).toEqual({
      exitCode: 2,
      out: '',
      err: `${path} line 2: port 'x' is invalid. Give a port from 1 to 65535, or 0 for any free one\n${path} line 3: unknown key 'intreface': did you mean 'interface'?\n`,
    });
    expect((await runLockstep(['config', 'check', path, '--for', 'slave'])).err).toContain(
      "line 4: key 'phases' is for a master",
    );
    const json = await runLockstep(['config', 'check', path, '--json']);
    expect([json.exitCode, json.err, JSON.parse(json.out)]).toEqual([
      2,
      '',
      {
        file: path,
        fits: [],
        problems: [
          { line: 2, message: "port 'x' is invalid. Give a port from 1 to 65535, or 0 for any free one" },
          { line: 3, message: "unknown key 'intreface': did you mean 'interface'?" },
        ],
      },
    ]);
    const check = async (text: string): Promise<string> =>
      (await runLockstep(['config', 'check', await file(text)])).out;
    expect(await check('name: a\n')).toMatch(/node\.yaml is right for a master and a slave\n$/);
    expect(await check('phases: one\n')).toMatch(/is right for a master\n$/);
    expect(await check('# nothing yet\n')).toMatch(/is right for a master and a slave\n$/);
  });
});

test.each([
  ['intreface', 'interface'],
  ['data_set', 'dataSet'],
  ['prot', 'port'],
  ['ports', 'port'],
  ['colour', null],
  ['', null],
])('nearest to %j is %j', (word, meant) => {
  expect(nearest(word, ['interface', 'dataSet', 'port', 'name'])).toBe(meant);
});

test.each([
  ['true', true],
  ['ON', true],
  ['0', false],
  ['no', false],
  ['perhaps', null],
])('the switch %s is %s', (text, value) => {
  expect(parseSwitch(text)).toBe(value);
});
