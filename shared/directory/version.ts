import { join } from 'node:path';
import type { Tip } from '../protocol/kernel/ids.js';
import { decodeEntries, entryRow, type Read } from '../protocol/directory/change-codec.js';
import { whyNoTree, type FileEntry, type Tree, type TreeEntry } from '../protocol/directory/tree.js';

/** A version of the folder on this disk: complete, durable, and never written to again. */
export interface Version {
  /** Its folder's name among the versions; unique, also for the same tip. */
  readonly name: string;
  readonly tip: Tip;
  /** The name of the one that was shown before it. */
  readonly prior: string | null;
  readonly tree: Tree;
  /** When each file was written here: another time says that somebody else wrote to it. */
  readonly writtenMs: ReadonlyMap<string, number>;
}

export const manifestName = 'manifest.json';
export const contentName = 'files';

export function manifestText(version: Version): string {
  const entries = [...version.tree].map(([path, entry]) =>
    entry.kind === 'file' ? [...entryRow(path, entry), version.writtenMs.get(path) ?? 0] : entryRow(path, entry),
  );
  return `${JSON.stringify({ format: 1, tip: version.tip, prior: version.prior, entries })}\n`;
}

export function parseManifest(name: string, text: string): Read<Version> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: 'it is no JSON' };
  }
  if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== 1)
    return { ok: false, reason: 'it is of another format' };
  const tip = 'tip' in value ? tipOf(value.tip) : null;
  const prior = 'prior' in value ? value.prior : undefined;
  const rows: unknown = 'entries' in value ? value.entries : undefined;
  if (tip === null || (prior !== null && typeof prior !== 'string') || !Array.isArray(rows))
    return { ok: false, reason: 'it is incomplete' };
  const entries = decodeEntries(rows);
  if (!entries.ok) return entries;
  const why = whyNoTree(entries.value);
  if (why !== null) return { ok: false, reason: why };
  const writtenMs = new Map<string, number>();
  for (const [path, , , , atMs] of rows as readonly (readonly unknown[])[])
    if (typeof path === 'string' && typeof atMs === 'number') writtenMs.set(path, atMs);
  return { ok: true, value: { name, tip, prior, tree: entries.value, writtenMs } };
}

/** Where files of a version stand, by what is in them: to be used again. */
export class HeldContents {
  readonly #paths = new Map<string, string[]>();

  constructor(
    readonly root: string,
    readonly tree: Map<string, TreeEntry>,
    readonly writtenMs: Map<string, number>,
  ) {
    for (const [path, entry] of tree) if (entry.kind === 'file') this.#note(path, entry);
  }

  static of(version: Version | null, versions: string): HeldContents {
    if (version === null) return new HeldContents('', new Map(), new Map());
    const root = join(versions, version.name, contentName);
    return new HeldContents(root, new Map(version.tree), new Map(version.writtenMs));
  }

  add(path: string, entry: FileEntry, writtenMs: number): void {
    this.tree.set(path, entry);
    this.writtenMs.set(path, writtenMs);
    this.#note(path, entry);
  }

  has(digest: string): boolean {
    return this.#paths.has(digest);
  }

  /** Best a file with the same mode, since those can be one on disk. */
  find(entry: FileEntry): string | undefined {
    const paths = this.#paths.get(entry.digest);
    return paths?.find((path) => this.tree.get(path)?.mode === entry.mode) ?? paths?.[0];
  }

  #note(path: string, entry: FileEntry): void {
    const paths = this.#paths.get(entry.digest);
    if (paths === undefined) this.#paths.set(entry.digest, [path]);
    // One of each mode is enough.
    else if (!paths.some((each) => this.tree.get(each)?.mode === entry.mode)) paths.push(path);
  }
}

function tipOf(value: unknown): Tip | null {
  if (typeof value !== 'object' || value === null) return null;
  const { epoch, version, chain } = value as { epoch?: unknown; version?: unknown; chain?: unknown };
  if (typeof epoch !== 'object' || epoch === null) return null;
  const { number, claimant } = epoch as { number?: unknown; claimant?: unknown };
  const isTip =
    typeof number === 'number' &&
    typeof claimant === 'string' &&
    Number.isSafeInteger(version) &&
    typeof chain === 'string';
  return isTip ? (value as Tip) : null;
}
