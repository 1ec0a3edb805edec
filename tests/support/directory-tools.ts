import * as fs from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Delta, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import { encodeHead, headBetween } from '../../shared/protocol/directory/change-codec.js';
import { rootPath, type Tree, type TreeEntry } from '../../shared/protocol/directory/tree.js';
import { hash } from 'node:crypto';
import type { Draft, Files } from '../../shared/directory/files.js';
import { realFiles } from '../../shared/directory/files.js';

/** Folders and changes for the tests of the directory layers. */

export async function temporaryFolder(): Promise<{ readonly path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'lockstep-directory-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Content by path; a path that ends in a slash is a folder. */
export type Sketch = Readonly<Record<string, string>>;

export async function write(folder: string, sketch: Sketch): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [path, text] of Object.entries(sketch)) {
    await mkdir(path.endsWith('/') ? join(folder, path) : dirname(join(folder, path)), { recursive: true });
    if (path.endsWith('/')) continue;
    await writeFile(join(folder, path), text);
    await chmod(join(folder, path), 0o644);
  }
}

/** What a reader finds below the folder: content by path, `/` behind a folder that is empty. */
export async function read(folder: string): Promise<Sketch> {
  const found: Record<string, string> = {};
  const walk = async (path: string): Promise<void> => {
    const names = await readdir(join(folder, path));
    if (names.length === 0 && path !== '') found[`${path}/`] = '';
    for (const name of names) {
      const below = path === '' ? name : `${path}/${name}`;
      const stats = await lstat(join(folder, below));
      if (stats.isDirectory()) await walk(below);
      else
        found[below] = stats.isFile()
          ? await readFile(join(folder, below), 'utf8')
          : `-> ${await readlink(join(folder, below))}`;
    }
  };
  await walk('');
  return found;
}

export function treeOf(sketch: Sketch, mode = 0o444): Tree {
  const tree = new Map<string, TreeEntry>([[rootPath, { kind: 'folder', mode: 0o755 }]]);
  for (const [path, text] of Object.entries(sketch)) {
    const names = path.split('/');
    for (let depth = 1; depth < names.length; depth += 1)
      tree.set(names.slice(0, depth).join('/'), { kind: 'folder', mode: 0o755 });
    if (path.endsWith('/')) continue;
    const digest = hash('sha256', text, 'hex');
    tree.set(path, { kind: 'file', mode, bytes: Buffer.byteLength(text), digest });
  }
  return tree;
}

/** The bytes that lead from one sketch to another; from null: everything. */
export function bytesBetween(before: Sketch | null, after: Sketch): Uint8Array {
  const head = headBetween(before === null ? null : treeOf(before), treeOf(after));
  const texts = new Map(Object.values(after).map((text) => [hash('sha256', text, 'hex'), text]));
  return Buffer.concat([encodeHead(head), ...head.contents.map(({ digest }) => Buffer.from(texts.get(digest) ?? ''))]);
}

const epoch = { number: 1, claimant: 'c'.repeat(32) };

/** A change as the master issues it. */
export function changeOf(from: Tip | null, version: number, bytes: Uint8Array): Delta {
  return issueDelta(from, epoch, version as Version, bytes);
}

export function deltaBetween(from: Tip | null, version: number, before: Sketch | null, after: Sketch): Delta {
  return changeOf(from, version, bytesBetween(before, after));
}

export async function* chunksOf(bytes: Uint8Array, size = bytes.length): AsyncGenerator<Uint8Array> {
  for (let place = 0; place < bytes.length; place += size) yield bytes.subarray(place, place + size);
}

/** The process is gone: nothing that it had still to do happens. */
export class Crash extends Error {}

/**
 * A file system on which the process dies at the n-th thing that it does to the disk, before it or after it. Counts them,
 * and remembers what was written and not synced yet, as a power cut would lose it.
 */
export class CrashingFiles implements Files {
  readonly steps: string[] = [];
  /** What isn't durable: files with new content, folders with new names in them. */
  readonly unsynced = new Set<string>();
  readonly #open = new Set<Draft>();
  #dead = false;

  constructor(
    private readonly crashAt = Infinity,
    private readonly when: 'before' | 'after' = 'before',
  ) {}

  facts: Files['facts'] = (path) => realFiles.facts(path);
  names: Files['names'] = (path) => realFiles.names(path);
  read: Files['read'] = (path) => realFiles.read(path);
  pieces: Files['pieces'] = (path, pieceBytes) => realFiles.pieces(path, pieceBytes);
  linkTarget: Files['linkTarget'] = (path) => realFiles.linkTarget(path);

  create = (path: string): Promise<Draft> =>
    this.#step(`create ${path}`, [path, dirname(path)], async () => this.#draft(path, await realFiles.create(path)));
  makeFolder = (path: string): Promise<void> =>
    this.#step(`folder ${path}`, [path, dirname(path)], () => realFiles.makeFolder(path));
  makeFolders = (path: string): Promise<void> => this.#step(`folders ${path}`, [], () => realFiles.makeFolders(path));
  setMode = (path: string, mode: number): Promise<void> =>
    this.#step(`mode ${path}`, [], () => realFiles.setMode(path, mode));
  link = (from: string, to: string): Promise<void> =>
    this.#step(`link ${to}`, [dirname(to)], () => realFiles.link(from, to));
  copy = (from: string, to: string): Promise<void> =>
    this.#step(`copy ${to}`, [to, dirname(to)], () => realFiles.copy(from, to));
  sync = (path: string): Promise<void> =>
    this.#step(`sync ${path}`, [], async () => {
      await realFiles.sync(path);
      this.unsynced.delete(path);
    });
  makeLink = (target: string, path: string): Promise<void> =>
    this.#step(`makeLink ${path}`, [], () => realFiles.makeLink(target, path));
  rename = (from: string, to: string): Promise<void> =>
    this.#step(`rename ${to}`, [dirname(to)], () => realFiles.rename(from, to));
  remove = (path: string): Promise<void> =>
    this.#step(`remove ${path}`, [], async () => {
      await realFiles.remove(path);
      for (const lost of [...this.unsynced])
        if (lost === path || lost.startsWith(`${path}/`)) this.unsynced.delete(lost);
    });

  /** What the system does for a process that is gone: its files are closed. */
  async end(): Promise<void> {
    for (const draft of this.#open) await draft.abandon();
    this.#open.clear();
  }

  #draft(path: string, draft: Draft): Draft {
    this.#open.add(draft);
    return {
      write: (bytes) => this.#step(`write ${path}`, [path], () => draft.write(bytes)),
      finish: (mode) =>
        this.#step(`finish ${path}`, [], async () => {
          const atMs = await draft.finish(mode);
          this.#open.delete(draft);
          this.unsynced.delete(path);
          return atMs;
        }),
      abandon: async () => {
        if (this.#open.delete(draft)) await draft.abandon();
      },
    };
  }

  async #step<Value>(name: string, loses: readonly string[], work: () => Promise<Value>): Promise<Value> {
    if (this.#dead) throw new Crash('the process is dead');
    this.steps.push(name);
    const isLast = this.steps.length === this.crashAt;
    if (isLast && this.when === 'before') this.#dead = true;
    if (this.#dead) throw new Crash(`before ${name}`);
    const value = await work();
    for (const path of loses) this.unsynced.add(path);
    if (isLast) this.#dead = true;
    if (this.#dead) throw new Crash(`after ${name}`);
    return value;
  }
}

/** Real files without waiting and without syncs: each call has ended when it returns, so that virtual time stands still. */
export const quickFiles: Files = {
  facts: async (path) => {
    const stats = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return null;
    const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other';
    return { kind, mode: stats.mode & 0o7777, bytes: stats.size, changedMs: stats.mtimeMs };
  },
  names: async (folder) => fs.readdirSync(folder, { encoding: 'buffer' }),
  read: async (path) => fs.readFileSync(path),
  async *pieces(path) {
    const content = fs.readFileSync(path);
    if (content.length > 0) yield content;
  },
  create: async (path) => {
    const file = fs.openSync(path, 'wx', 0o600);
    return {
      write: async (bytes) => void fs.writeSync(file, bytes),
      finish: async (mode) => {
        fs.fchmodSync(file, mode);
        const { mtimeMs } = fs.fstatSync(file);
        fs.closeSync(file);
        return mtimeMs;
      },
      abandon: async () => fs.closeSync(file),
    };
  },
  makeFolder: async (path) => void fs.mkdirSync(path, { mode: 0o700 }),
  makeFolders: async (path) => void fs.mkdirSync(path, { recursive: true }),
  setMode: async (path, mode) => fs.chmodSync(path, mode),
  link: async (from, to) => fs.linkSync(from, to),
  copy: async (from, to) => fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL),
  sync: async () => undefined,
  linkTarget: async (path) =>
    fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? fs.readlinkSync(path) : null,
  makeLink: async (target, path) => fs.symlinkSync(target, path),
  rename: async (from, to) => fs.renameSync(from, to),
  remove: async (path) => fs.rmSync(path, { recursive: true, force: true }),
};
