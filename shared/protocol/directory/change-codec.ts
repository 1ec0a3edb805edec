import { directoryBounds as bounds } from './bounds.js';
import { replicatedMode, rootPath, sameEntry, showPath, whyNoPath, type Tree, type TreeEntry } from './tree.js';

/**
 * What leads from one version of a folder to the next, in bytes. A change and a snapshot are written alike:
 *
 *     bytes = head-length (4, big endian) head content*
 *     head  = JSON { "directory": 1, "whole": boolean, "remove": [path], "put": [entry], "contents": [[digest, bytes]] }
 *     entry = [path, mode] (a folder) | [path, mode, bytes, digest] (a file)
 *
 * The contents follow in the order of `contents`: those that the version before doesn't hold, each once, however many files
 * share it. `whole` says that `put` is everything, and replaces what is there.
 */
export interface ChangeHead {
  readonly whole: boolean;
  readonly remove: readonly string[];
  readonly put: ReadonlyMap<string, TreeEntry>;
  readonly contents: readonly Content[];
}

export interface Content {
  readonly digest: string;
  readonly bytes: number;
}

export type Read<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly reason: string };

const lengthBytes = 4;

/** `before` null: everything. */
export function headBetween(before: Tree | null, after: Tree): ChangeHead {
  const held = new Set<string>();
  for (const entry of (before ?? new Map<string, TreeEntry>()).values())
    if (entry.kind === 'file') held.add(entry.digest);
  const put = new Map<string, TreeEntry>();
  const contents = new Map<string, Content>();
  for (const [path, entry] of after) {
    const old = before?.get(path);
    if (old === undefined || !sameEntry(old, entry)) put.set(path, entry);
    if (entry.kind === 'file' && !held.has(entry.digest))
      contents.set(entry.digest, { digest: entry.digest, bytes: entry.bytes });
  }
  const remove = before === null ? [] : [...before.keys()].filter((path) => !after.has(path));
  return { whole: before === null, remove, put, contents: [...contents.values()] };
}

export function encodeHead(head: ChangeHead): Uint8Array {
  const text = JSON.stringify({
    directory: 1,
    whole: head.whole,
    remove: head.remove,
    put: [...head.put].map(([path, entry]) => entryRow(path, entry)),
    contents: head.contents.map(({ digest, bytes }) => [digest, bytes]),
  });
  const encoded = Buffer.from(text, 'utf8');
  const framed = Buffer.allocUnsafe(lengthBytes + encoded.length);
  framed.writeUInt32BE(encoded.length, 0);
  encoded.copy(framed, lengthBytes);
  return framed;
}

/** How many bytes the whole change has. */
export function changeBytes(head: ChangeHead): number {
  return head.contents.reduce((sum, { bytes }) => sum + bytes, encodeHead(head).length);
}

export function entryRow(path: string, entry: TreeEntry): readonly (string | number)[] {
  return entry.kind === 'file' ? [path, entry.mode, entry.bytes, entry.digest] : [path, entry.mode];
}

export type Piece =
  | { readonly kind: 'head'; readonly head: ChangeHead }
  /** The next bytes of a content; `last` with its end, which for an empty one is all there is. */
  | { readonly kind: 'content'; readonly content: Content; readonly bytes: Uint8Array; readonly last: boolean };

/** Takes a change apart as its bytes come. They are a peer's: nothing throws, and what is wrong is a reason. */
export class ChangeParser {
  #collected: Uint8Array[] = [];
  #collectedBytes = 0;
  #headBytes: number | null = null;
  #head: ChangeHead | null = null;
  #place = 0;
  #taken = 0;
  #failed: string | null = null;

  push(chunk: Uint8Array): Read<readonly Piece[]> {
    if (this.#failed !== null) return { ok: false, reason: this.#failed };
    const pieces: Piece[] = [];
    const reason = this.#head === null ? this.#pushHead(chunk, pieces) : this.#pushContent(chunk, pieces);
    if (reason === null) return { ok: true, value: pieces };
    this.#failed = reason;
    return { ok: false, reason };
  }

  /** Null when everything that the head announced has come. */
  finish(): string | null {
    if (this.#failed !== null) return this.#failed;
    if (this.#head === null) return 'the change ends within its list of files';
    const missing = this.#head.contents.length - this.#place;
    return missing === 0 ? null : `the change ends before ${missing} of its contents`;
  }

  #pushHead(chunk: Uint8Array, pieces: Piece[]): string | null {
    this.#collected.push(chunk);
    this.#collectedBytes += chunk.length;
    if (this.#headBytes === null) {
      if (this.#collectedBytes < lengthBytes) return null;
      this.#headBytes = Buffer.from(this.#gathered()).readUInt32BE(0);
      if (this.#headBytes > bounds.maxHeadBytes)
        return `the list of files has ${this.#headBytes} bytes, and ${bounds.maxHeadBytes} are the limit`;
    }
    const end = lengthBytes + this.#headBytes;
    if (this.#collectedBytes < end) return null;
    const all = this.#gathered();
    const head = decodeHead(Buffer.from(all.buffer, all.byteOffset + lengthBytes, this.#headBytes).toString('utf8'));
    if (!head.ok) return head.reason;
    this.#head = head.value;
    this.#collected = [];
    pieces.push({ kind: 'head', head: head.value });
    this.#pushEmpty(pieces);
    return this.#pushContent(all.subarray(end), pieces);
  }

  #gathered(): Uint8Array {
    const [first] = this.#collected;
    if (this.#collected.length === 1 && first !== undefined) return first;
    const all = Buffer.concat(this.#collected);
    this.#collected = [all];
    return all;
  }

  #pushContent(chunk: Uint8Array, pieces: Piece[]): string | null {
    const contents = this.#head?.contents ?? [];
    let rest = chunk;
    while (rest.length > 0) {
      const content = contents[this.#place];
      if (content === undefined) return `${rest.length} bytes follow the last content`;
      const bytes = rest.subarray(0, content.bytes - this.#taken);
      rest = rest.subarray(bytes.length);
      this.#taken += bytes.length;
      const last = this.#taken === content.bytes;
      pieces.push({ kind: 'content', content, bytes, last });
      if (last) this.#next(pieces);
    }
    return null;
  }

  #next(pieces: Piece[]): void {
    this.#place += 1;
    this.#taken = 0;
    this.#pushEmpty(pieces);
  }

  /** No byte will come for an empty content. */
  #pushEmpty(pieces: Piece[]): void {
    const content = this.#head?.contents[this.#place];
    if (content?.bytes !== 0) return;
    pieces.push({ kind: 'content', content, bytes: new Uint8Array(), last: true });
    this.#next(pieces);
  }
}

/** The tree that a change makes of another; a reason when it doesn't fit it. Not yet checked as a whole. */
export function applyHead(before: Tree | null, head: ChangeHead): Read<Map<string, TreeEntry>> {
  if (head.whole) return { ok: true, value: new Map(head.put) };
  if (before === null) return { ok: false, reason: 'the change needs a version before it, and there is none here' };
  const after = new Map(before);
  for (const path of head.remove)
    if (!after.delete(path)) return { ok: false, reason: `the change removes ${showPath(path)}, which isn't there` };
  for (const [path, entry] of head.put) after.set(path, entry);
  return { ok: true, value: after };
}

export function decodeHead(text: string): Read<ChangeHead> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: 'the change is none of a directory: it has no list of files' };
  }
  if (!isRecord(value) || value['directory'] !== 1)
    return { ok: false, reason: 'the change is none of a directory, or of a later format' };
  const { whole, remove, put, contents } = value;
  if (typeof whole !== 'boolean' || !Array.isArray(remove) || !Array.isArray(put) || !Array.isArray(contents))
    return { ok: false, reason: 'the list of files is incomplete' };
  const entries = decodeEntries(put);
  if (!entries.ok) return entries;
  for (const path of remove) {
    const why = typeof path === 'string' ? whyNoPath(path) : 'is no text';
    if (why !== null) return { ok: false, reason: `a path to remove, ${shown(path)}, ${why}` };
  }
  const parsed = decodeContents(contents);
  if (!parsed.ok) return parsed;
  return {
    ok: true,
    value: { whole, remove: remove as readonly string[], put: entries.value, contents: parsed.value },
  };
}

/** Rows as `entryRow` writes them. More columns than it writes are somebody else's, and passed over. */
export function decodeEntries(rows: readonly unknown[]): Read<Map<string, TreeEntry>> {
  const entries = new Map<string, TreeEntry>();
  for (const row of rows) {
    if (!Array.isArray(row)) return { ok: false, reason: 'an entry of the list is none' };
    const [path, mode, bytes, digest] = row as readonly unknown[];
    if (typeof path !== 'string') return { ok: false, reason: 'an entry of the list has no path' };
    const why = path === rootPath ? null : whyNoPath(path);
    if (why !== null) return { ok: false, reason: `the path ${shown(path)} ${why}` };
    if (entries.has(path)) return { ok: false, reason: `the path ${shown(path)} is in the list twice` };
    const entry = entryOf(mode, bytes, digest);
    if (entry === null)
      return { ok: false, reason: `what the list says of ${shown(path)} makes no file and no folder` };
    entries.set(path, entry);
  }
  return { ok: true, value: entries };
}

function entryOf(mode: unknown, bytes: unknown, digest: unknown): TreeEntry | null {
  if (typeof mode !== 'number' || !Number.isInteger(mode)) return null;
  if (digest === undefined || digest === null)
    return replicatedMode('folder', mode) === mode ? { kind: 'folder', mode } : null;
  if (!isSize(bytes) || !isDigest(digest) || replicatedMode('file', mode) !== mode) return null;
  return { kind: 'file', mode, bytes, digest };
}

function decodeContents(rows: readonly unknown[]): Read<readonly Content[]> {
  const contents = new Map<string, Content>();
  for (const row of rows) {
    const [digest, bytes] = (Array.isArray(row) ? row : []) as readonly unknown[];
    if (!isDigest(digest) || !isSize(bytes) || contents.has(digest))
      return { ok: false, reason: 'the list of contents is damaged' };
    contents.set(digest, { digest, bytes });
  }
  return { ok: true, value: [...contents.values()] };
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const shownCharacters = 200;

/** A peer's text in a reason: quoted and short. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : typeof value;
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
}
