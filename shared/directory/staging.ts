import { createHash, type Hash } from 'node:crypto';
import { directoryBounds as bounds } from '../protocol/directory/bounds.js';
import {
  applyHead,
  ChangeParser,
  type ChangeHead,
  type Content,
  type Piece,
  type Read,
} from '../protocol/directory/change-codec.js';
import { showPath, whyNoTree, type FileEntry, type Tree } from '../protocol/directory/tree.js';
import { forEachOf, type Draft } from './files.js';
import { foldersOf, type VersionDraft } from './version-draft.js';

type FileAt = readonly [path: string, entry: FileEntry];

/**
 * Writes what a change makes of `before` into a draft. The bytes are a peer's: whatever is wrong with them is a reason, and
 * only the disk rejects. Each content has to have the digest that its files are said to have.
 */
export async function writeChange(
  draft: VersionDraft,
  before: Tree | null,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Read<null>> {
  const parser = new ChangeParser();
  let writer: ContentWriter | null = null;
  try {
    for await (const chunk of chunks) {
      const pieces = parser.push(chunk);
      if (!pieces.ok) return pieces;
      for (const piece of pieces.value) {
        if (piece.kind === 'head') {
          const begun = await begin(draft, before, piece.head);
          if (!begun.ok) return begun;
          writer = begun.value;
        } else {
          const why = await writer?.take(piece);
          if (typeof why === 'string') return { ok: false, reason: why };
        }
      }
    }
    const cut = parser.finish();
    if (cut !== null) return { ok: false, reason: cut };
    await writer?.end();
  } finally {
    await writer?.abandon();
  }
  await draft.complete();
  return { ok: true, value: null };
}

/** Folders, and all files that are on this disk already; what remains has to come. */
async function begin(draft: VersionDraft, before: Tree | null, head: ChangeHead): Promise<Read<ContentWriter>> {
  const tree = applyHead(before, head);
  if (!tree.ok) return tree;
  const why = whyNoTree(tree.value) ?? whyNoContents(tree.value, head.contents);
  if (why !== null) return { ok: false, reason: why };
  for (const [path, entry] of foldersOf(tree.value)) await draft.addFolder(path, entry);
  const files = [...tree.value].filter((each): each is [string, FileEntry] => each[1].kind === 'file');
  const missing = new Map<string, FileAt[]>();
  await forEachOf(files, bounds.filesAtOnce, async ([path, entry]) => {
    if (await draft.addHeld(path, entry)) return;
    const waiting = missing.get(entry.digest);
    if (waiting === undefined) missing.set(entry.digest, [[path, entry]]);
    else waiting.push([path, entry]);
  });
  const announced = new Set(head.contents.map(({ digest }) => digest));
  for (const [digest, [first]] of missing) {
    if (announced.has(digest)) continue;
    const path = showPath(first?.[0] ?? '');
    return {
      ok: false,
      reason: `the content of ${path} isn't here as it was written, and the change doesn't bring it: was a file of this copy changed by hand?`,
    };
  }
  return { ok: true, value: new ContentWriter(draft, missing) };
}

/** What a change brings has to be what its files are said to have. */
function whyNoContents(tree: Tree, contents: readonly Content[]): string | null {
  const sizes = new Map<string, number>();
  for (const [path, entry] of tree) {
    if (entry.kind !== 'file') continue;
    const known = sizes.get(entry.digest);
    if (known !== undefined && known !== entry.bytes)
      return `${showPath(path)} has another size than a file of the same content`;
    sizes.set(entry.digest, entry.bytes);
  }
  const strange = contents.find(({ digest, bytes }) => sizes.get(digest) !== bytes);
  return strange === undefined ? null : 'the change brings a content that no file of it has';
}

/** Takes contents as they come, each into the first file that wants it; the others follow from that one. */
class ContentWriter {
  readonly #draft: VersionDraft;
  readonly #missing: ReadonlyMap<string, readonly FileAt[]>;
  #open: { readonly at: FileAt; readonly draft: Draft } | null = null;
  #hash: Hash | null = null;
  /** Syncs under way: the disk takes several at once. */
  #syncing: Promise<void>[] = [];

  constructor(draft: VersionDraft, missing: ReadonlyMap<string, readonly FileAt[]>) {
    this.#draft = draft;
    this.#missing = missing;
  }

  async take({ content, bytes, last }: Extract<Piece, { kind: 'content' }>): Promise<string | null> {
    if (this.#hash === null) await this.#begin(content);
    this.#hash?.update(bytes);
    await this.#open?.draft.write(bytes);
    if (!last) return null;
    const digest = this.#hash?.digest('hex');
    const open = this.#open;
    this.#hash = null;
    if (digest !== content.digest)
      return `a content of ${content.bytes} bytes doesn't have the digest it is said to have`;
    this.#open = null;
    if (open !== null) {
      const finishing = this.#draft.finish(...open.at, open.draft);
      // Told by `#synced`; until then nobody listens.
      finishing.catch(() => undefined);
      this.#syncing.push(finishing);
    }
    if (this.#syncing.length >= bounds.filesAtOnce) await this.#synced();
    return null;
  }

  /** Files that share a content with one that has come. */
  async end(): Promise<void> {
    await this.#synced();
    const others = [...this.#missing.values()].flatMap((files) => files.slice(1));
    await forEachOf(others, bounds.filesAtOnce, async ([path, entry]) => {
      if (!(await this.#draft.addHeld(path, entry)))
        throw new Error(
          `${showPath(path)} could not be made from the file with the same content, which was just written`,
        );
    });
  }

  async abandon(): Promise<void> {
    await this.#open?.draft.abandon();
    this.#open = null;
    await Promise.allSettled(this.#syncing);
  }

  async #begin(content: Content): Promise<void> {
    this.#hash = createHash('sha256');
    const at = this.#missing.get(content.digest)?.[0];
    this.#open = at === undefined ? null : { at, draft: await this.#draft.create(at[0]) };
  }

  async #synced(): Promise<void> {
    const syncing = this.#syncing;
    this.#syncing = [];
    const ends = await Promise.allSettled(syncing);
    for (const end of ends) if (end.status === 'rejected') throw end.reason as Error;
  }
}
