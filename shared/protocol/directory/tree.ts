import { directoryBounds as bounds } from './bounds.js';

/** A file as it is replicated: what is in it, and who may read and run it. Owners and times stay with the machine. */
export interface FileEntry {
  readonly kind: 'file';
  /** Permission bits without those for writing; its owner may always read. */
  readonly mode: number;
  readonly bytes: number;
  /** SHA-256 of the content, 64 hexadecimal digits. */
  readonly digest: string;
}

export interface FolderEntry {
  readonly kind: 'folder';
  /** Permission bits; its owner may always do everything. */
  readonly mode: number;
}

export type TreeEntry = FileEntry | FolderEntry;

/** A folder's whole content by path, `/` between names. The folder itself is there under the empty path. */
export type Tree = ReadonlyMap<string, TreeEntry>;

/** The folder itself, in a tree. */
export const rootPath = '';

/**
 * The bits that are replicated. A file is never writable: an edit would be lost with the next version, and shared with the
 * one before, whose unchanged files are the same on disk. Set-user-id and its like never travel.
 */
export function replicatedMode(kind: TreeEntry['kind'], mode: number): number {
  return kind === 'file' ? (mode & 0o555) | 0o400 : (mode & 0o777) | 0o700;
}

/**
 * Why a path can't be one below the folder; null when it can. Paths come from peers, too: none may lead out of the folder,
 * and none may be another one's twin.
 */
export function whyNoPath(path: string): string | null {
  if (path === '') return 'is empty';
  if (path.includes('\0')) return 'holds a zero character';
  // Half a pair of UTF-16 would be another name on disk.
  if (Buffer.from(path, 'utf8').toString('utf8') !== path) return 'is no Unicode text';
  if (Buffer.byteLength(path) > bounds.maxPathBytes) return `is longer than ${bounds.maxPathBytes} bytes`;
  for (const name of path.split('/')) {
    if (name === '') return 'has an empty name in it';
    if (name === '.' || name === '..') return `has ${name} in it, and could lead out of the folder`;
    if (Buffer.byteLength(name) > bounds.maxNameBytes) return `has a name longer than ${bounds.maxNameBytes} bytes`;
  }
  return null;
}

/** Why a tree can't be a folder on a disk; null when it can. Paths and entries were checked one by one before. */
export function whyNoTree(tree: Tree): string | null {
  if (tree.get(rootPath)?.kind !== 'folder') return 'the folder itself is missing';
  if (tree.size > bounds.maxEntries)
    return `there are ${tree.size} files and folders, and ${bounds.maxEntries} are the limit`;
  let total = 0;
  for (const [path, entry] of tree) {
    if (entry.kind === 'file') total += entry.bytes;
    if (path !== rootPath && tree.get(parentOf(path))?.kind !== 'folder')
      return `${showPath(path)} lies in no folder of this version`;
  }
  return total > bounds.maxTotalBytes
    ? `the files have ${total} bytes, and ${bounds.maxTotalBytes} are the limit`
    : null;
}

export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** Quoted, since a name may hold anything but a slash and a zero. */
export function showPath(path: string): string {
  return JSON.stringify(path === rootPath ? '.' : path);
}

export function sameEntry(a: TreeEntry, b: TreeEntry): boolean {
  if (a.mode !== b.mode) return false;
  return a.kind === 'file' ? b.kind === 'file' && a.digest === b.digest : b.kind === 'folder';
}

/** Which files differ between two versions, in the order of their paths. */
export interface TreeDifference {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** Of files and folders, by path; the folder itself counts as `.` when its mode changed. */
export function differenceOf(before: Tree, after: Tree): TreeDifference {
  const added: string[] = [];
  const changed: string[] = [];
  for (const [path, entry] of after) {
    const old = before.get(path);
    const shown = path === rootPath ? '.' : path;
    if (old === undefined) {
      if (path !== rootPath) added.push(shown);
    } else if (!sameEntry(old, entry)) changed.push(shown);
  }
  const removed = [...before.keys()].filter((path) => path !== rootPath && !after.has(path));
  return { added: added.sort(), changed: changed.sort(), removed: removed.sort() };
}

export function filesOf(tree: Tree): number {
  let files = 0;
  for (const entry of tree.values()) if (entry.kind === 'file') files += 1;
  return files;
}
