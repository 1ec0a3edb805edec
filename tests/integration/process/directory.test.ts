import { mkdir, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StatusBody } from '../../../shared/http/bodies.js';
import { exitCodes } from '../../../shared/protocol/kernel/errors.js';
import { read, write } from '../../support/directory-tools.js';
import { eventually, ProcessGroup, type Ended } from './lockstep-process.js';

/** A folder that goes from a real master to real slaves, as an operator uses it from the shell. */

const testMs = 120_000;

/** What a reader sees who goes through the link once, as a service does when it starts. */
async function versionSeen(target: string): Promise<string> {
  const folder = await realpath(target);
  const [first, second] = await Promise.all(
    ['first.conf', 'sub/second.conf'].map((name) => readFile(join(folder, name), 'utf8')),
  );
  return first === second ? (first ?? '') : `a mixture of ${first} and ${second}`;
}

async function shows(target: string, text: string): Promise<void> {
  await eventually(`${target} at ${text}`, async () =>
    (await versionSeen(target).catch(() => '')) === text ? true : undefined,
  );
}

/** A node says where it listens before it has joined, and a publish to fewer voters than it asks for is refused at once. */
async function joined(to: string, count: number): Promise<void> {
  await eventually(`${count} live members`, async () => {
    const status = (await (await fetch(`${to}/v1/status`)).json()) as StatusBody;
    const members = status.role === 'master' ? (status.dataSets[0]?.members ?? []) : [];
    return members.filter(({ live }) => live).length >= count ? true : undefined;
  });
}

async function published(to: string, options: object): Promise<unknown> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${to}/v1/publish/default`, { method: 'POST', headers, body: JSON.stringify(options) });
  return answer.json();
}

test(
  'a folder is published to every slave, vetoed by one, and switched under the eyes of readers',
  async () => {
    await using group = await ProcessGroup.start();
    const conf = join(group.folder, 'conf');
    const edit = (text: string): Promise<void> => write(conf, { 'first.conf': text, 'sub/second.conf': text });
    await edit('version 1');
    const master = group.master('--directory', 'conf/');
    const to = await group.ready(master);
    const check =
      'test -z "$LOCKSTEP_KEYS" && test -f first.conf && if grep -q bad "$LOCKSTEP_STAGED/first.conf"; then echo "first.conf: bad" >&2; exit 3; fi';
    const a = group.slave('a', '--directory', 'srv/a');
    const b = group.startWith(
      { LOCKSTEP_TOKEN: 'secret' },
      'slave',
      '--name',
      'b',
      '--group',
      group.group,
      '--directory',
      'srv/b',
      '--check',
      check,
    );
    await Promise.all([a, b].map((slave) => group.url(slave)));
    await joined(to, 2);
    const targets = ['srv/a', 'srv/b'].map((name) => join(group.folder, name));
    const publish = (...flags: string[]): ReturnType<ProcessGroup['run']> =>
      group.run(['publish', '--to', to, ...flags]);

    expect((await publish('--dry-run')).out).toBe('+ first.conf\n+ sub\n+ sub/second.conf\n');
    const first = await publish('--voters', '2', '--wait', 'exposed');
    expect(first).toMatchObject({ exitCode: 0, err: '' });
    expect(first.out).toMatch(/^committed · version 1 at 2\/2 · .* · 3 added, 0 changed, 0 removed\n$/);
    for (const target of targets) await shows(target, 'version 1');
    expect((await publish()).out).toBe('nothing to publish: the folder is as in version 1\n');

    // Readers look all the time while versions come, and see one or another, whole.
    let reading = true;
    const seen = new Set<string>();
    const readers = targets.map(async (target) => {
      let looks = 0;
      for (; reading; looks += 1) seen.add(await versionSeen(target));
      return looks;
    });
    for (let version = 2; version <= 7; version += 1) {
      await edit(`version ${version}`);
      expect(await published(to, { voters: 'all', wait: 'exposed' })).toMatchObject({ outcome: 'committed', version });
    }
    for (const target of targets) await shows(target, 'version 7');
    reading = false;
    for (const looks of await Promise.all(readers)) expect(looks).toBeGreaterThan(8);
    expect([...seen].filter((text) => !/^version \d$/.test(text))).toEqual([]);
    expect(seen.size).toBeGreaterThan(2);

    await edit('bad');
    const refused = await publish('--voters', 'all');
    expect(refused).toMatchObject({ exitCode: exitCodes.aborted, out: 'aborted: b refused: first.conf: bad\n' });
    expect(await published(to, { voters: 'all' })).toMatchObject({ outcome: 'aborted', files: { count: 2 } });
    for (const target of targets) await shows(target, 'version 7');

    // What is of keys and values says so, and what is of every data set works.
    const at = await group.url(a);
    const wrong = await group.run(['put', 'k', '1', '--to', to]);
    expect(wrong).toMatchObject({ exitCode: exitCodes.usage, out: '' });
    expect(wrong.err).toContain('default is a directory and holds no keys; change its folder, then publish it');
    for (const url of [
      `${to}/v1/data/default/k`,
      `${to}/v1/data/default`,
      `${at}/v1/data/default`,
      `${to}/v1/feed/default`,
      `${at}/v1/feed/default?since=1`,
      `${to}/v1/changes/default/x`,
    ])
      expect((await fetch(url)).status).toBe(409);
    expect((await group.run(['get', 'k', '--to', at])).err).toContain(`read its files at this slave in ${targets[0]}`);
    expect((await fetch(`${at}/v1/publish/default`, { method: 'POST' })).status).toBe(404);
    const table = (await group.run(['status', '--to', to])).out;
    expect(table).toMatch(/^a +slave +current +e1 v7 +0 /m);
    expect(table).toMatch(/^b +slave +current +e1 v7 +0 +no \(v9\)/m);
    expect((await group.run(['members', '--to', to])).exitCode).toBe(0);
    const status = (await (await fetch(`${at}/v1/status`)).json()) as StatusBody;
    expect(status.dataSets[0]).toMatchObject({ entries: 2, state: 'current' });
    await group.ready(a, '?current=true');

    // Killed, it comes back with what it had, and takes what it lacks; the master goes on from its own disk.
    a.signal('SIGKILL');
    await a.ended;
    await shows(targets[0] ?? '', 'version 7');
    await edit('version 10');
    expect(await published(to, { phases: 'one' })).toMatchObject({ outcome: 'committed' });
    await shows(targets[1] ?? '', 'version 10');
    await shows(targets[0] ?? '', 'version 7');
    group.slave('a', '--directory', 'srv/a');
    await shows(targets[0] ?? '', 'version 10');
    master.signal('SIGTERM');
    expect((await master.ended).exitCode).toBe(0);
    const next = await group.ready(group.master('--directory', 'conf', '--watch'));
    expect(await (await fetch(`${next}/v1/publish/default`)).json()).toMatchObject({ count: 0 });
    await edit('version 11');
    await rm(join(conf, 'sub'), { recursive: true });
    await write(conf, { 'sub/second.conf': 'version 11' });
    for (const target of targets) await shows(target, 'version 11');
    for (const target of targets)
      expect(await read(target)).toEqual({ 'first.conf': 'version 11', 'sub/second.conf': 'version 11' });
    expect((await readdir(join(group.folder, 'srv'))).sort()).toEqual(['.a.lockstep', '.b.lockstep', 'a', 'b']);
  },
  testMs,
);

test(
  'what can not be a directory is said in one line, before anything is touched',
  async () => {
    await using group = await ProcessGroup.start();
    await mkdir(join(group.folder, 'taken'));
    await writeFile(join(group.folder, 'taken', 'own.conf'), 'mine');
    const taken = await group.slave('a', '--directory', 'taken').ended;
    expect(taken).toMatchObject({ exitCode: exitCodes.storeUnusable, out: '' });
    expect(taken.err).toMatch(/taken is a folder of its own, .*mv .*nothing was touched\n$/);
    expect(await read(join(group.folder, 'taken'))).toEqual({ 'own.conf': 'mine' });
    const missing = await group.master('--directory', 'nowhere').ended;
    expect(missing).toMatchObject({ exitCode: exitCodes.storeUnusable });
    expect(missing.err).toMatch(/--directory nowhere can't be read: .*give the folder to replicate\n$/);
    for (const [flags, message] of [
      [['master', '--watch'], /--watch needs a folder/],
      [['master', '--directory', 'taken', '--data-set', 'x', '--data-set', 'y'], /--directory taken is one data set/],
      [['slave', '--name', 'a', '--check', 'true'], /--check judges a folder; give --directory/],
      [['slave', '--name', 'a', '--directory', 'd', '--validate', 'v.mjs'], /for a folder give --check/],
    ] as const) {
      const ended = await group.run(flags);
      expect(ended.exitCode).toBe(exitCodes.usage);
      expect(ended.err).toMatch(message);
    }
    const to = await group.ready(group.master());
    const wrong = await group.run(['publish', '--to', to]);
    expect(wrong).toMatchObject({ exitCode: exitCodes.usage });
    expect(wrong.err).toContain('default holds keys and values, and no folder to publish');
  },
  testMs,
);

test(
  'a store of the other kind, and a folder of another slave, are refused at the start; what they hold stays',
  async () => {
    await using group = await ProcessGroup.start();
    const conf = join(group.folder, 'conf');
    await write(conf, { 'first.conf': 'version 1', 'sub/second.conf': 'version 1' });
    const keys = group.master('--store', 'of-keys');
    await group.ready(keys);
    keys.signal('SIGTERM');
    expect((await keys.ended).exitCode).toBe(0);
    const to = await group.ready(group.master('--directory', 'conf', '--store', 'of-folders'));
    const a = group.slave('a', '--directory', 'srv/a');
    await group.url(a);
    await joined(to, 1);
    expect(await published(to, { voters: 1, wait: 'exposed' })).toMatchObject({ outcome: 'committed' });
    const target = join(group.folder, 'srv/a');

    // While the first one runs, and when it is gone: its versions are still its own.
    const second = (): Promise<Ended> => group.slave('b', '--directory', 'srv/a').ended;
    const refusals = [await second()];
    a.signal('SIGTERM');
    expect((await a.ended).exitCode).toBe(0);
    refusals.push(await second());
    for (const { exitCode, out, err } of refusals) {
      expect([exitCode, out]).toEqual([exitCodes.storeFormat, '']);
      expect(err).toMatch(/srv\/a is where the slave a shows its folder, and this is b; .*nothing was touched\n$/);
    }
    expect(await versionSeen(target)).toBe('version 1');
    expect(await readdir(join(group.folder, 'data'))).toEqual(['a']);

    for (const [started, message] of [
      [group.master('--store', 'of-folders'), /of-folders holds default as a folder of files; give its --directory/],
      [group.slave('a'), /holds default as a folder of files/],
    ] as const) {
      const ended = await started.ended;
      expect([ended.exitCode, ended.out]).toEqual([exitCodes.storeFormat, '']);
      expect(ended.err).toMatch(message);
    }
    const folders = await group.master('--store', 'of-keys', '--directory', 'conf').ended;
    expect([folders.exitCode, folders.out]).toEqual([exitCodes.storeFormat, '']);
    expect(folders.err).toMatch(
      /of-keys holds default as keys and values, which --directory conf is not; .*touched\n$/,
    );
    expect(await versionSeen(target)).toBe('version 1');
  },
  testMs,
);
