import { chmod, lstat, mkdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Loopback, until } from '../../tests/integration/process/loopback.js';
import {
  changeOf,
  chunksOf,
  CrashingFiles,
  read,
  temporaryFolder,
  write,
} from '../../tests/support/directory-tools.js';
import type { Delta } from '../../shared/protocol/kernel/ids.js';
import { realFiles, type Files } from '../../shared/directory/files.js';
import { directory as copyOf, type StagedFolder } from '../../slave/index.js';
import { directory } from '../index.js';
import { MasterDirectoryLayer } from './directory.js';

const conf = { 'a.conf': 'one', 'sub/b.conf': 'two', 'sub/empty/': '' };

test('a folder is published, changed, refused and published again; each slave shows one whole version', async () => {
  await using temporary = await temporaryFolder();
  await using group = await Loopback.start();
  const folder = join(temporary.path, 'conf');
  await write(folder, conf);
  await chmod(join(folder, 'a.conf'), 0o750);
  const master = await (await group.master()).register('conf', directory({ folder }));
  const asked: StagedFolder[] = [];
  const check = async (staged: StagedFolder): Promise<true | string> => {
    asked.push(staged);
    const text = await readFile(join(staged.folder, 'a.conf'), 'utf8').catch(() => '');
    return text.includes('bad') ? 'a.conf: line 1: bad' : true;
  };
  const target = join(temporary.path, 'srv', 'conf');
  const slave = await (await group.slave('a')).register('conf', copyOf({ target, check }));

  const first = await master.publish({ voters: 1, wait: 'exposed' });
  expect(first).toMatchObject({
    kind: 'committed',
    files: { added: ['a.conf', 'sub', 'sub/b.conf', 'sub/empty'], changed: [], removed: [] },
  });
  await slave.reached(1);
  expect(await read(target)).toEqual(conf);
  expect((await stat(join(target, 'a.conf'))).mode & 0o777).toBe(0o550);
  expect(await master.publish()).toMatchObject({ kind: 'unchanged', tip: { version: 1 } });
  expect(await master.difference()).toEqual({ added: [], changed: [], removed: [] });

  await writeFile(join(folder, 'a.conf'), 'bad');
  await write(folder, { 'c d/"\n\\é.conf': 'odd' });
  await rm(join(folder, 'sub/b.conf'));
  expect(await master.difference()).toEqual({
    added: ['c d', 'c d/"\n\\é.conf'],
    changed: ['a.conf'],
    removed: ['sub/b.conf'],
  });
  const refused = await master.publish({ voters: 'all' });
  expect(refused).toMatchObject({
    kind: 'aborted',
    reason: 'refused',
    refusals: [{ node: 'a', reason: 'a.conf: line 1: bad' }],
  });
  expect(asked.at(-1)).toMatchObject({
    version: 2,
    dataSet: 'conf',
    current: slave.shown,
    files: { removed: ['sub/b.conf'] },
  });
  expect(await read(target)).toEqual(conf);
  expect(master.tip?.version).toBe(1);
  // The folder is as people have left it.
  expect(await readFile(join(folder, 'a.conf'), 'utf8')).toBe('bad');

  await writeFile(join(folder, 'a.conf'), 'good');
  const third = await master.publish({ voters: 'all', wait: 'exposed' });
  expect(third).toMatchObject({ kind: 'committed', tip: { version: 3 } });
  await slave.reached(3);
  expect(await read(target)).toEqual({ 'a.conf': 'good', 'c d/"\n\\é.conf': 'odd', 'sub/empty/': '' });
  expect(await read(master.published ?? '')).toEqual(await read(target));
  expect(slave.stateDigest()).toBe(master.stateDigest());
  expect([master.size, slave.size]).toEqual([2, 2]);

  // A newcomer takes a snapshot.
  const late = await (await group.slave('b')).register('conf', copyOf({ target: join(temporary.path, 'late') }));
  await late.reached(3, { timeoutMs: 8000 });
  expect(await read(late.target)).toEqual(await read(target));
});

test('what can not be replicated is refused by name, and nothing is published', async () => {
  await using temporary = await temporaryFolder();
  await using group = await Loopback.start();
  const folder = join(temporary.path, 'conf');
  const master = await (await group.master()).register('conf', directory({ folder }));
  await expect(master.publish()).rejects.toMatchObject({
    code: 'store-unusable',
    message: expect.stringContaining("isn't there") as unknown,
  });
  await write(folder, conf);
  await symlink('/etc/passwd', join(folder, 'sub', 'link'));
  await expect(master.publish()).rejects.toMatchObject({
    code: 'bad-input',
    message: expect.stringMatching(/"sub\/link" in .* is a symbolic link/) as unknown,
  });
  await rm(join(folder, 'sub', 'link'));
  await writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff])]), 'x');
  await expect(master.publish()).rejects.toThrow(/no UTF-8 text/);
  await rm(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff])]));
  const socket = createServer().listen(join(folder, 'socket'));
  await expect(master.publish()).rejects.toThrow(/neither a file nor a folder/);
  await new Promise((closed) => socket.close(closed));
  await writeFile(join(folder, 'large'), Buffer.alloc(65 * 1024 * 1024));
  await expect(master.publish()).rejects.toMatchObject({ code: 'change-too-large' });
  await rm(join(folder, 'large'));
  expect(master.tip).toBeNull();
  expect(await master.publish({ voters: 1, timeoutMs: 300 })).toMatchObject({ kind: 'aborted' });
  expect(await master.publish({ phases: 'one' })).toMatchObject({ kind: 'committed', tip: { version: 2 } });

  await rm(folder, { recursive: true });
  await mkdir(folder);
  await expect(master.publish()).rejects.toThrow(/holds no file.*--allow-empty/);
  expect(await master.publish({ phases: 'one', allowEmpty: true })).toMatchObject({ kind: 'committed' });
  const versions = join(temporary.path, '.conf.lockstep', 'versions');
  await until(() => readdirSync(versions).length === 3, 'its owner, the version that shows, and the one before');
});

test('calls of publish take turns; a folder that is watched is published when it has come to rest', async () => {
  await using temporary = await temporaryFolder();
  await using group = await Loopback.start();
  const folder = join(temporary.path, 'conf');
  await write(folder, conf);
  const master = await (
    await group.master()
  ).register('conf', directory({ folder, include: (path) => !path.endsWith('.swp') }), {
    phases: 'one',
  });
  const both = await Promise.all([master.publish(), master.publish()]);
  expect(both.map(({ kind }) => kind)).toEqual(['committed', 'unchanged']);
  const stop = new AbortController();
  const seen: string[] = [];
  const watching = (async (): Promise<void> => {
    for await (const outcome of master.watch({ signal: stop.signal, intervalMs: 10 })) {
      seen.push(outcome.kind === 'failed' ? outcome.error.message : outcome.kind);
      if (outcome.kind === 'failed') await rm(join(folder, 'link'));
      else if (seen.length === 1) {
        await writeFile(join(folder, 'x.swp'), 'never');
        await symlink('a', join(folder, 'link'));
      } else if (outcome.kind === 'committed') stop.abort();
      if (outcome.kind === 'failed') await writeFile(join(folder, 'a.conf'), 'twice');
    }
  })();
  await writeFile(join(folder, 'a.conf'), 'changed');
  await watching;
  expect(seen).toEqual(['committed', expect.stringContaining('is a symbolic link'), 'committed']);
  expect(await read(master.published ?? '')).toEqual({ ...conf, 'a.conf': 'twice' });
});

/** A folder that was proposed as its next version, and the change as the service would issue it. */
async function proposed(layer: MasterDirectoryLayer): Promise<Delta> {
  const proposal = await layer.propose(false);
  if (proposal === null) throw new Error('nothing has changed');
  return changeOf(layer.tip, proposal.version, proposal.bytes);
}

test('what is armed is written by then: at the instant one rename is left, also after a disk that failed', async () => {
  await using temporary = await temporaryFolder();
  const folder = join(temporary.path, 'conf');
  await write(folder, conf);
  const counting = new CrashingFiles();
  let isFull = true;
  const files: Files = {
    ...realFiles,
    rename: counting.rename,
    makeLink: (target, path) =>
      isFull ? Promise.reject(new Error('the disk is full')) : counting.makeLink(target, path),
  };
  const layer = new MasterDirectoryLayer({ folder }, 'conf', files);
  await layer.open();
  const one = await proposed(layer);
  await layer.arm(one.to);
  isFull = false;
  await layer.arm(one.to);
  expect(counting.steps).toHaveLength(1);
  await Promise.all([layer.arm(one.to), layer.committed(one)]);
  expect(counting.steps.map((step) => step.split(' ')[0])).toEqual(['makeLink', 'rename']);
  expect(await read(layer.published ?? '')).toEqual(conf);

  await writeFile(join(folder, 'a.conf'), 'changed');
  const two = await proposed(layer);
  await layer.arm(two.to);
  await layer.restore(one.to, [2]);
  const versions = join(temporary.path, '.conf.lockstep', 'versions');
  expect(readdirSync(versions).filter((name) => name.startsWith('v2'))).toEqual([]);
  await layer.committed(await proposed(layer));
  expect(await read(layer.published ?? '')).toEqual({ ...conf, 'a.conf': 'changed' });
});

test('a decision that the disk did not take is recovered from its bytes, or by going back', async () => {
  await using temporary = await temporaryFolder();
  const folder = join(temporary.path, 'conf');
  await write(folder, conf);
  const opened = async (files = realFiles): Promise<MasterDirectoryLayer> => {
    const layer = new MasterDirectoryLayer({ folder }, 'conf', files);
    await layer.open();
    return layer;
  };
  const layer = await opened();
  const one = await proposed(layer);
  expect(layer.delta(null, { version: 1 })).toEqual(one.bytes);
  await layer.committed(one);
  await layer.committed(one);
  await writeFile(join(folder, 'a.conf'), 'changed');
  const full = await opened({ ...realFiles, rename: () => Promise.reject(new Error('the disk is full')) });
  const two = await proposed(full);
  await expect(full.committed(two)).rejects.toThrow('the disk is full');
  await rm(folder, { recursive: true });

  const restarted = await opened();
  expect(restarted.tip?.version).toBe(1);
  await restarted.recover(two.to, [two]);
  expect(await read(restarted.published ?? '')).toEqual({ ...conf, 'a.conf': 'changed' });
  await restarted.recover(one.to, []);
  expect(await read(restarted.published ?? '')).toEqual(conf);
  await expect(restarted.recover(two.to, [])).rejects.toMatchObject({ code: 'user-layer-failed' });

  // A slave's copy is taken over whole.
  await expect(restarted.install(two.to, chunksOf(new Uint8Array()))).rejects.toMatchObject({ code: 'bad-input' });
  const other = new MasterDirectoryLayer({ folder: join(temporary.path, 'other') }, 'conf');
  await other.open();
  await other.install(one.to, restarted.snapshot(one.to));
  expect(await read(other.published ?? '')).toEqual(conf);
  expect((await lstat(join(other.published ?? '', 'a.conf'))).mode & 0o777).toBe(0o444);
});
