import {
  chmod,
  link as secondName,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  bytesBetween,
  changeOf,
  chunksOf,
  CrashingFiles,
  deltaBetween,
  read,
  temporaryFolder,
  type Sketch,
} from '../../tests/support/directory-tools.js';
import type { Delta, Tip } from '../protocol/kernel/ids.js';
import { sameTip } from '../protocol/kernel/ids.js';
import { realFiles, type Files } from './files.js';
import { VersionedFolder } from './versioned-folder.js';

const first: Sketch = { 'a.conf': 'one', 'sub/b.conf': 'two', 'sub/deep/': '', 'twin.conf': 'one' };
const second: Sketch = { 'a.conf': 'one, changed', 'sub/b.conf': 'two', 'new/c.conf': 'three', 'twin.conf': 'one' };
const third: Sketch = { 'a.conf': 'three' };

async function opened(link: string, files: Files = realFiles): Promise<VersionedFolder> {
  const folder = new VersionedFolder({ link, dataSet: 'conf', files });
  await folder.open();
  return folder;
}

async function take(folder: VersionedFolder, { from, to, bytes }: Delta, pieceBytes?: number): Promise<void> {
  const staged = await folder.stage(from, to, chunksOf(bytes, pieceBytes));
  if (!staged.ok) throw new Error(staged.reason);
  await folder.show(staged.value);
}

describe('versions of a folder', () => {
  test('show by one rename and one sync; what is left over goes beside what comes next', async () => {
    await using temporary = await temporaryFolder();
    const counting = new CrashingFiles();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const removed: string[] = [];
    const files: Files = {
      ...counting,
      remove: async (path) => {
        if (/\/v1-[^/]*$/.test(path)) await held;
        await counting.remove(path);
        removed.push(basename(path));
      },
    };
    const folder = new VersionedFolder({ link: join(temporary.path, 'conf'), dataSet: 'conf', files });
    await folder.open();
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    const two = deltaBetween(one.to, 2, first, second);
    await take(folder, two);
    const three = deltaBetween(two.to, 3, second, third);
    const staged = await folder.stage(three.from, three.to, chunksOf(three.bytes));
    if (!staged.ok) throw new Error(staged.reason);
    counting.steps.length = 0;
    await folder.show(staged.value);
    expect(counting.steps).toEqual([`rename ${folder.link}`, `sync ${temporary.path}`]);
    const next = folder.stage(three.to, changeOf(three.to, 4, new Uint8Array()).to, chunksOf(new Uint8Array()));
    release();
    await next;
    expect(removed.filter((name) => name.startsWith('v1-'))).toHaveLength(1);
  });

  test('are shown one after another by one link; the one before stays, and older ones go', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'deep/below/conf');
    const folder = await opened(link);
    expect(folder.tip).toBeNull();
    expect(await readdir(dirname(link))).toEqual(['.conf.lockstep']);
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    expect(await read(link)).toEqual(first);
    const two = deltaBetween(one.to, 2, first, second);
    await take(folder, two);
    expect(await read(link)).toEqual(second);
    const versions = await readdir(folder.state);
    expect(versions.sort()).toEqual(['lockstep.json', expect.stringMatching(/^v1-/), expect.stringMatching(/^v2-/)]);
    // Relative: the folder around both may be moved.
    expect(await readlink(link)).toBe(join('.conf.lockstep', versions[2] ?? '', 'files'));
    const three = deltaBetween(two.to, 3, second, third);
    await take(folder, three);
    expect(await read(link)).toEqual(third);
    await folder.settled();
    expect((await readdir(folder.state)).filter((name) => name.startsWith('v1-'))).toEqual([]);
    expect(await readdir(dirname(link))).toEqual(['.conf.lockstep', 'conf']);

    const again = await opened(link);
    expect(sameTip(again.tip, three.to)).toBe(true);
    expect(sameTip(again.previousTip, two.to)).toBe(true);
    expect(again.stateDigest()).toBe(folder.stateDigest());
    expect(await again.showPrevious(one.to)).toBe(false);
    expect(await again.showPrevious(two.to)).toBe(true);
    expect(await read(link)).toEqual(second);
    expect(sameTip((await opened(link)).tip, two.to)).toBe(true);
  });

  test('bytes that stay are the same file on disk; changed and twin ones are written as they should be', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const files = new CrashingFiles();
    const folder = await opened(link, files);
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one, 3);
    const before = await stat(join(link, 'sub/b.conf'));
    const twins = await Promise.all(['a.conf', 'twin.conf'].map((name) => stat(join(link, name))));
    expect(twins[0]?.ino).toBe(twins[1]?.ino);
    files.steps.length = 0;
    const two = deltaBetween(one.to, 2, first, second);
    expect(Buffer.from(two.bytes).includes('two')).toBe(false);
    await take(folder, two);
    expect((await stat(join(link, 'sub/b.conf'))).ino).toBe(before.ino);
    expect((await stat(join(link, 'twin.conf'))).ino).toBe(twins[1]?.ino);
    expect(files.steps.filter((step) => step.startsWith('write ')).length).toBe(3); // two contents, and the list
    // A snapshot writes only what isn't here, too.
    files.steps.length = 0;
    const whole = changeOf(null, 9, bytesBetween(null, { ...second, 'more.conf': 'more' }));
    await take(folder, whole);
    expect((await stat(join(link, 'sub/b.conf'))).ino).toBe(before.ino);
    expect(files.steps.filter((step) => step.startsWith('write ')).length).toBe(2);
  });

  test('nothing is shown before all of it is durable, and the link itself is before it is told', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const files = new CrashingFiles();
    const folder = await opened(link, files);
    const atSwitch: string[][] = [];
    const rename = files.rename;
    files.rename = async (from, to) => {
      if (to === link) atSwitch.push([...files.unsynced]);
      await rename(from, to);
    };
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    await take(folder, deltaBetween(one.to, 2, first, second));
    expect(atSwitch).toEqual([[], []]);
    expect([...files.unsynced]).toEqual([]);
  });

  test('a crash before or after any step leaves the old version or the new one, and the next start goes on', async () => {
    await using temporary = await temporaryFolder();
    let crashes = 0;
    let shownOld = 0;
    for (const when of ['before', 'after'] as const) {
      for (let crashAt = 1; ; crashAt += 1) {
        const link = join(temporary.path, `${when}-${crashAt}`, 'conf');
        const one = deltaBetween(null, 1, null, first);
        const two = deltaBetween(one.to, 2, first, second);
        await take(await opened(link), one);
        const files = new CrashingFiles(crashAt, when);
        const crashed = await opened(link, files).then(
          (folder) =>
            take(folder, two).then(
              () => files.steps.length >= crashAt,
              () => true,
            ),
          () => true,
        );
        await files.end();
        if (!crashed) break;
        crashes += 1;
        const seen = await read(link);
        const restarted = await opened(link);
        const isOld = sameTip(restarted.tip, one.to);
        expect(isOld || sameTip(restarted.tip, two.to)).toBe(true);
        expect(seen).toEqual(isOld ? first : second);
        expect(await read(link)).toEqual(seen);
        if (isOld) {
          shownOld += 1;
          await take(restarted, two);
        }
        expect(await read(link)).toEqual(second);
        const left = (await readdir(restarted.state)).filter((name) => name !== 'lockstep.json');
        expect(left.length).toBe(2);
      }
    }
    expect(crashes).toBeGreaterThan(40);
    expect(shownOld).toBeGreaterThan(20);
    expect(shownOld).toBeLessThan(crashes);
  });

  test('a switch whose last sync fails is made durable by the next try', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    let fails = true;
    const folder = await opened(link, {
      ...realFiles,
      sync: async (path) => {
        if (fails && path === dirname(link) && (await realFiles.linkTarget(link)) !== null)
          throw new Error('the disk is gone');
        await realFiles.sync(path);
      },
    });
    const one = deltaBetween(null, 1, null, first);
    const staged = await folder.stage(null, one.to, chunksOf(one.bytes));
    if (!staged.ok) throw new Error(staged.reason);
    await expect(folder.show(staged.value)).rejects.toThrow('the disk is gone');
    expect(folder.tip).toBeNull();
    fails = false;
    await folder.show(staged.value);
    expect(sameTip(folder.tip, one.to)).toBe(true);
  });

  test('a snapshot is of the moment of the call, and keeps its version while it is read', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link);
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    const snapshot = folder.snapshot(one.to);
    const two = deltaBetween(one.to, 2, first, second);
    await take(folder, two);
    await take(folder, deltaBetween(two.to, 3, second, third));
    const copy = await opened(join(temporary.path, 'copy'));
    const staged = await copy.stage(null, one.to, snapshot);
    expect(staged.ok).toBe(true);
    if (staged.ok) await copy.show(staged.value);
    expect(await read(copy.link)).toEqual(first);
    await take(folder, deltaBetween(folder.tip, 4, third, first));
    await folder.settled();
    expect((await readdir(folder.state)).filter((name) => name.startsWith('v1-'))).toEqual([]);
    expect(folder.stateDigest()).toBe(copy.stateDigest());
    expect(() => folder.snapshot(one.to)).toThrow(/is at e1 v4/);
  });

  test('a file that was changed by hand is never passed on: a delta is refused, a snapshot brings it again', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link);
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    await chmod(join(link, 'sub/b.conf'), 0o644);
    await writeFile(join(link, 'sub/b.conf'), 'TWO');
    const two = deltaBetween(one.to, 2, first, second);
    const staged = await folder.stage(one.to, two.to, chunksOf(two.bytes));
    expect(staged).toMatchObject({ ok: false, reason: expect.stringMatching(/"sub\/b.conf".*by hand/) as unknown });
    await take(folder, changeOf(null, 2, bytesBetween(null, second)));
    expect(await read(link)).toEqual(second);
  });

  test('without second names for files, they are copied', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link, {
      ...realFiles,
      link: () => Promise.reject(Object.assign(new Error('no links here'), { code: 'EPERM' })),
    });
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    await take(folder, deltaBetween(one.to, 2, first, second));
    expect(await read(link)).toEqual(second);
    expect((await lstat(join(link, 'sub/b.conf'))).mode & 0o777).toBe(0o444);
  });
});

describe("what stands in the link's place", () => {
  test.each([
    ['a folder', (path: string) => mkdir(path), /is a folder of its own.*mv .*nothing was touched/],
    ['a file', (path: string) => writeFile(path, 'x'), /is a file of its own/],
    ['a link elsewhere', (path: string) => symlink('/etc', path), /is a link to \/etc/],
    ['a dangling link', (path: string) => symlink('nowhere', path), /is a link to nowhere/],
  ])('%s is refused with what to do, and left alone', async (_what, make, message) => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    await make(link);
    await expect(opened(link)).rejects.toMatchObject({
      code: 'store-unusable',
      message: expect.stringMatching(message) as unknown,
    });
    expect(await readdir(temporary.path)).toEqual(['conf']);
  });

  test('versions of another data set are not touched', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    await take(await opened(link), deltaBetween(null, 1, null, first));
    const other = new VersionedFolder({ link, dataSet: 'other', files: realFiles });
    await expect(other.open()).rejects.toMatchObject({
      code: 'store-foreign',
      message: expect.stringContaining('conf, not other') as unknown,
    });
    expect(await read(link)).toEqual(first);
  });

  test('a link has one slave: a second one is refused before it touches anything, and told how to take the place of the first', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const of = (node: string): VersionedFolder =>
      new VersionedFolder({ link, dataSet: 'conf', node, files: realFiles });
    // Written by a version that named no slave: the first one that comes owns it.
    await take(await opened(link), deltaBetween(null, 1, null, first));
    await of('a').open();
    const before = await readdir(join(temporary.path, '.conf.lockstep'));
    for (const come of [() => of('b').open(), () => of('b').check()])
      await expect(come()).rejects.toMatchObject({
        code: 'store-foreign',
        message: `${link} is where the slave a shows its folder, and this is b; name another place for it, or, when b is to take the place of a, stop that one and remove ${link.replace('conf', '.conf')}.lockstep/lockstep.json; nothing was touched`,
      });
    expect(await readdir(join(temporary.path, '.conf.lockstep'))).toEqual(before);
    await of('a').open();
    await rm(join(temporary.path, '.conf.lockstep', 'lockstep.json'));
    expect((await of('b').open())?.version).toBe(1);
    await expect(of('a').check()).rejects.toMatchObject({ code: 'store-foreign' });
  });

  test('of two slaves that start together at one link, one is refused', async () => {
    await using temporary = await temporaryFolder();
    for (let round = 0; round < 10; round += 1) {
      const link = join(temporary.path, String(round), 'conf');
      const starts = await Promise.allSettled(
        ['a', 'b'].map((node) => new VersionedFolder({ link, dataSet: 'conf', node, files: realFiles }).open()),
      );
      expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      const refused = starts.find((start) => start.status === 'rejected');
      expect(refused?.reason).toMatchObject({ code: 'store-foreign' });
    }
  });

  test('a link that somebody else moved is not moved again; without its link the whole folder is asked for', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link);
    const one = deltaBetween(null, 1, null, first);
    const two = deltaBetween(one.to, 2, first, second);
    await take(folder, one);
    await take(folder, two);
    const versions = (await readdir(folder.state)).filter((name) => name.startsWith('v1-'));
    await rm(link);
    await symlink(relative(dirname(link), folder.contentOf(versions[0] ?? '')), `${link}.new`);
    await rename(`${link}.new`, link);
    await expect(take(folder, deltaBetween(two.to, 3, second, third))).rejects.toMatchObject({
      code: 'store-unusable',
    });
    expect(await read(link)).toEqual(first);
    expect(sameTip((await opened(link)).tip, one.to)).toBe(true);
    await rm(link);
    expect((await opened(link)).tip).toBeNull();
  });

  test('a damaged list is refused, with the way out', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link);
    await take(folder, deltaBetween(null, 1, null, first));
    await writeFile(join(dirname(folder.shown ?? ''), 'manifest.json'), '{"format":1}');
    await expect(opened(link)).rejects.toMatchObject({
      code: 'store-format',
      message: expect.stringContaining(`remove the link ${link}`) as unknown,
    });
  });
});

describe('a change from a peer', () => {
  test('that leads elsewhere, is cut, or lies about contents is a reason, and leaves nothing', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link);
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    const outside = join(temporary.path, 'outside');
    const bytes = bytesBetween(first, second);
    const damaged = Buffer.from(bytes);
    damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
    const lies: readonly (readonly [Uint8Array, RegExp])[] = [
      [bytesBetween(null, { '../outside': 'x' }), /lead out of the folder/],
      [bytesBetween(null, { 'a/../../outside': 'x' }), /lead out of the folder/],
      [bytesBetween(null, { [outside]: 'x' }), /empty name/],
      [bytesBetween(null, { 'a\0b': 'x' }), /zero character/],
      [bytes.subarray(0, bytes.length - 1), /ends before 1 of its contents/],
      [bytes.subarray(0, 10), /ends within its list/],
      [Buffer.concat([bytes, Buffer.from('x')]), /1 bytes follow/],
      [damaged, /doesn't have the digest/],
      [bytesBetween(second, third), /removes "new(\/c.conf)?", which isn't there/],
      [Buffer.from('{"put":["k",1]}'), /list of files/],
      [new Uint8Array(), /ends within its list/],
    ];
    for (const [lie, reason] of lies) {
      const change = changeOf(one.to, 2, lie);
      const staged = await folder.stage(change.from, change.to, chunksOf(lie, 7));
      expect(staged).toMatchObject({ ok: false, reason: expect.stringMatching(reason) as unknown });
    }
    const elsewhere = deltaBetween(changeOf(null, 7, new Uint8Array()).to, 8, first, second);
    expect(await folder.stage(elsewhere.from, elsewhere.to, chunksOf(elsewhere.bytes))).toMatchObject({ ok: false });
    expect(await read(link)).toEqual(first);
    expect(await readdir(temporary.path)).toEqual(['.conf.lockstep', 'conf']);
    expect((await readdir(folder.state)).length).toBe(2);
  });

  test('a chain that is no name makes no path', async () => {
    await using temporary = await temporaryFolder();
    const folder = await opened(join(temporary.path, 'conf'));
    const { to, bytes } = deltaBetween(null, 1, null, first);
    const staged = await folder.stage(null, { ...to, chain: '../../../etc' as Tip['chain'] }, chunksOf(bytes));
    expect(staged.ok && dirname(staged.value.folder)).toBe(folder.state);
  });

  test('a second name of a file that a reader holds is never written to', async () => {
    await using temporary = await temporaryFolder();
    const link = join(temporary.path, 'conf');
    const folder = await opened(link);
    const one = deltaBetween(null, 1, null, first);
    await take(folder, one);
    await secondName(join(folder.link, 'a.conf'), join(temporary.path, 'held'));
    await take(folder, deltaBetween(one.to, 2, first, second));
    expect(await readFile(join(temporary.path, 'held'), 'utf8')).toBe('one');
  });
});
