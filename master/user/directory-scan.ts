import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import { directoryBounds as bounds } from '../../shared/protocol/directory/bounds.js';
import {
  replicatedMode,
  rootPath,
  showPath,
  whyNoPath,
  whyNoTree,
  type FileEntry,
  type Tree,
  type TreeEntry,
} from '../../shared/protocol/directory/tree.js';
import { codeOf, forEachOf, type FileFacts, type Files } from '../../shared/directory/files.js';
import { foldersOf, type VersionDraft } from '../../shared/directory/version-draft.js';

export interface FolderSource {
  readonly files: Files;
  readonly folder: string;
  readonly include: (path: string) => boolean;
}

/** What stands in the folder now, by path; of files what the system knows without reading them. */
export type Listing = ReadonlyMap<string, FileFacts>;

const readAttempts = 3;

/**
 * Lists the folder. Rejects with `bad-input` for what can't be replicated, naming it: a symbolic link could lead out of the
 * folder, a socket or a device means nothing elsewhere, and a name that is no text can't be told to anybody.
 */
export async function listFolder({ files, folder, include }: FolderSource): Promise<Listing> {
  const listing = new Map<string, FileFacts>();
  const root = await factsOfRoot(files, folder);
  listing.set(rootPath, root);
  const open = [rootPath];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    for (const bytes of await files.names(join(folder, path))) {
      const name = bytes.toString('utf8');
      if (!Buffer.from(name, 'utf8').equals(bytes))
        throw unfit(folder, path, `holds a name that is no UTF-8 text, ${JSON.stringify(name)}; rename it`);
      const below = path === rootPath ? name : `${path}/${name}`;
      if (!include(below)) continue;
      const why = whyNoPath(below);
      if (why !== null) throw unfit(folder, below, `${why}; rename it`);
      const facts = await files.facts(join(folder, below));
      // Gone between the two looks.
      if (facts === null) continue;
      if (facts.kind === 'link')
        throw unfit(folder, below, 'is a symbolic link, which could lead out of the folder; put the file itself there');
      if (facts.kind === 'other') throw unfit(folder, below, 'is neither a file nor a folder; move it elsewhere');
      listing.set(below, facts);
      if (listing.size > bounds.maxEntries)
        throw new LockstepError(
          'change-too-large',
          `${folder} holds more than ${bounds.maxEntries} files and folders, which is the limit; split it into several data sets`,
        );
      if (facts.kind === 'folder') open.push(below);
    }
  }
  return listing;
}

/** Changes whenever a file or a folder does, as far as the system tells without reading: sizes, times, modes and names. */
export function fingerprintOf(listing: Listing): string {
  const hash = createHash('sha256');
  for (const path of [...listing.keys()].sort()) {
    const facts = listing.get(path);
    if (facts === undefined) continue;
    // A folder's own time changes with a file that comes and goes between two looks.
    const own = facts.kind === 'file' ? `${facts.bytes} ${facts.changedMs}` : '';
    hash.update(`${path}\0${facts.kind} ${facts.mode} ${own}\n`);
  }
  return hash.digest('hex');
}

/** Copies the folder into the draft. Files that the published version holds become the same files on disk. */
export async function copyFolder(source: FolderSource, draft: VersionDraft): Promise<Tree> {
  const listing = await listFolder(source);
  for (const [path, entry] of foldersOf(foldersIn(listing))) await draft.addFolder(path, entry);
  const files = [...listing].filter(([, facts]) => facts.kind === 'file');
  await forEachOf(files, bounds.filesAtOnce, ([path]) => copyFile(source, draft, path));
  const why = whyNoTree(draft.tree);
  if (why !== null)
    throw new LockstepError(
      'change-too-large',
      `${source.folder} can't be replicated: ${why}; split it into several data sets`,
    );
  await draft.complete();
  return draft.tree;
}

/** The entries without any copy: what a publish would make of the folder. */
export async function readFolder(source: FolderSource): Promise<Tree> {
  const listing = await listFolder(source);
  const tree = new Map<string, TreeEntry>(foldersIn(listing));
  const files = [...listing].filter(([, facts]) => facts.kind === 'file');
  await forEachOf(files, bounds.filesAtOnce, async ([path]) => {
    const entry = await readSteadily(source, path);
    if (entry !== null) tree.set(path, entry);
  });
  return tree;
}

function foldersIn(listing: Listing): Map<string, TreeEntry> {
  const folders = new Map<string, TreeEntry>();
  for (const [path, { kind, mode }] of listing)
    if (kind === 'folder') folders.set(path, { kind, mode: replicatedMode('folder', mode) });
  return folders;
}

/** What is copied counts: a file that changes after it was hashed is copied again, as it is then. */
async function copyFile(source: FolderSource, draft: VersionDraft, path: string): Promise<void> {
  const entry = await readSteadily(source, path);
  // Removed since it was listed: then it isn't in this version.
  if (entry === null || (await draft.addHeld(path, entry))) return;
  const target = await draft.create(path);
  let kept = false;
  try {
    const copied = await readSteadily(source, path, (piece) => target.write(piece));
    if (copied?.digest !== entry.digest)
      throw unfit(source.folder, path, 'is being written to; publish again when it is complete');
    kept = true;
    await draft.finish(path, copied, target);
  } finally {
    if (!kept) await draft.drop(path, target);
  }
}

/** Null: the file is gone. Rejects when it changes while it is read, again and again; with `take` the first time. */
async function readSteadily(
  { files, folder }: FolderSource,
  path: string,
  take?: (piece: Uint8Array) => Promise<void>,
): Promise<FileEntry | null> {
  const place = join(folder, path);
  for (let attempt = 1; ; attempt += 1) {
    const before = await files.facts(place);
    if (before === null) return null;
    if (before.kind !== 'file') throw unfit(folder, path, 'was replaced while it was read; publish again');
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      for await (const piece of files.pieces(place, bounds.pieceBytes)) {
        hash.update(piece);
        bytes += piece.length;
        await take?.(piece);
      }
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      if (codeOf(error) === 'EACCES' || codeOf(error) === 'ELOOP')
        throw unfit(folder, path, `can't be read (${errorText(error)}); let this user read it`);
      throw error;
    }
    const after = await files.facts(place);
    const isSteady =
      after?.kind === 'file' &&
      after.bytes === bytes &&
      after.changedMs === before.changedMs &&
      after.mode === before.mode;
    if (isSteady) return { kind: 'file', mode: replicatedMode('file', before.mode), bytes, digest: hash.digest('hex') };
    if (take !== undefined || attempt === readAttempts)
      throw unfit(folder, path, 'is being written to; publish again when it is complete');
  }
}

async function factsOfRoot(files: Files, folder: string): Promise<FileFacts> {
  const facts = await files.facts(folder);
  if (facts?.kind === 'folder') return facts;
  // The folder itself may be a link of the user's own.
  const target = facts?.kind === 'link' ? await files.facts(`${folder}/.`) : null;
  if (target?.kind === 'folder') return target;
  throw new LockstepError(
    'store-unusable',
    facts === null
      ? `the folder ${folder} isn't there; make it, or name another one; nothing was published`
      : `${folder} is no folder; name one; nothing was published`,
  );
}

function unfit(folder: string, path: string, what: string): LockstepError {
  return new LockstepError('bad-input', `${showPath(path)} in ${folder} ${what}; nothing was published`);
}
