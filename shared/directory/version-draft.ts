import { join } from 'node:path';
import { directoryBounds as bounds } from '../protocol/directory/bounds.js';
import { rootPath, type FileEntry, type Tree, type TreeEntry } from '../protocol/directory/tree.js';
import { codeOf, forEachOf, type Draft, type Files } from './files.js';
import { contentName, HeldContents } from './version.js';

/** Systems and file systems that have no second name for a file, or no more of them. */
const noLinkCodes = new Set(['EMLINK', 'EPERM', 'EXDEV', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/**
 * A version in the making, in a folder that nothing points to yet. Files that the version before holds become the same
 * files on disk; the others are written once, however many paths share them.
 */
export class VersionDraft {
  readonly #files: Files;
  readonly #before: HeldContents;
  readonly #own: HeldContents;
  readonly #folders = new Map<string, TreeEntry>();

  constructor(
    files: Files,
    readonly name: string,
    readonly folder: string,
    before: HeldContents,
  ) {
    this.#files = files;
    this.#before = before;
    this.#own = new HeldContents(join(folder, contentName), new Map(), new Map());
  }

  get content(): string {
    return this.#own.root;
  }

  get tree(): Tree {
    return new Map([...this.#folders, ...this.#own.tree]);
  }

  get writtenMs(): ReadonlyMap<string, number> {
    return this.#own.writtenMs;
  }

  async addFolder(path: string, entry: TreeEntry): Promise<void> {
    await this.#files.makeFolder(this.#placeOf(path));
    this.#folders.set(path, entry);
  }

  has(path: string): boolean {
    return this.#own.tree.has(path);
  }

  /** Takes the content from this version or the one before. False: neither holds it as it was written. */
  async addHeld(path: string, entry: FileEntry): Promise<boolean> {
    for (const held of [this.#own, this.#before]) {
      const from = held.find(entry);
      const kept = from === undefined ? undefined : held.tree.get(from);
      if (from === undefined || kept?.kind !== 'file') continue;
      const source = join(held.root, from);
      const facts = await this.#files.facts(source);
      const isUntouched =
        facts?.kind === 'file' && facts.bytes === kept.bytes && facts.changedMs === held.writtenMs.get(from);
      if (!isUntouched) continue;
      const target = this.#placeOf(path);
      if (kept.mode !== entry.mode || !(await this.#link(source, target))) await this.#copy(source, target, entry.mode);
      const written = await this.#files.facts(target);
      this.#own.add(path, entry, written?.changedMs ?? 0);
      return true;
    }
    return false;
  }

  create(path: string): Promise<Draft> {
    return this.#files.create(this.#placeOf(path));
  }

  /** Durable, from now on part of the version. */
  async finish(path: string, entry: FileEntry, draft: Draft): Promise<void> {
    this.#own.add(path, entry, await draft.finish(entry.mode));
  }

  /** A file that turned out to be held already. */
  async drop(path: string, draft: Draft): Promise<void> {
    await draft.abandon();
    await this.#files.remove(this.#placeOf(path));
  }

  /** Every name and mode is durable; the version can be shown once its list is written. */
  async complete(): Promise<void> {
    await forEachOf(this.#folders, bounds.filesAtOnce, async ([path, entry]) => {
      await this.#files.setMode(this.#placeOf(path), entry.mode);
      await this.#files.sync(this.#placeOf(path));
    });
  }

  async #link(from: string, to: string): Promise<boolean> {
    try {
      await this.#files.link(from, to);
      return true;
    } catch (error) {
      if (noLinkCodes.has(codeOf(error))) return false;
      throw error;
    }
  }

  async #copy(from: string, to: string, mode: number): Promise<void> {
    await this.#files.copy(from, to);
    await this.#files.setMode(to, mode);
    await this.#files.sync(to);
  }

  #placeOf(path: string): string {
    return path === rootPath ? this.content : join(this.content, path);
  }
}

/** The folders of a tree, outer ones first. */
export function foldersOf(tree: Tree): readonly (readonly [string, TreeEntry])[] {
  return [...tree].filter(([, entry]) => entry.kind === 'folder').sort(([a], [b]) => depthOf(a) - depthOf(b));
}

function depthOf(path: string): number {
  return path === rootPath ? -1 : path.split('/').length;
}
