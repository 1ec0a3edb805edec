import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  type FileHandle,
} from 'node:fs/promises';

/** What a file is like on this machine. */
export interface FileFacts {
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly mode: number;
  readonly bytes: number;
  /** With fractions. */
  readonly changedMs: number;
}

/** A file that is being written. */
export interface Draft {
  write(bytes: Uint8Array): Promise<void>;
  /** Durable, with its mode; tells when it was last changed. */
  finish(mode: number): Promise<number>;
  /** Closes it as it is. */
  abandon(): Promise<void>;
}

/** All that the directory layers want from a file system. Failures reject as those of `node:fs` do. */
export interface Files {
  /** Null: nothing is there. Doesn't follow a link. */
  facts(path: string): Promise<FileFacts | null>;
  /** The bytes of names: they needn't be text. */
  names(folder: string): Promise<readonly Buffer[]>;
  read(path: string): Promise<Buffer>;
  /** In pieces of at most so many bytes; refuses to follow a link. */
  pieces(path: string, pieceBytes: number): AsyncIterable<Uint8Array>;
  /** Fails when something is there. */
  create(path: string): Promise<Draft>;
  /** Fails when something is there. */
  makeFolder(path: string): Promise<void>;
  /** With all that lead to it; those that are there already stay as they are. */
  makeFolders(path: string): Promise<void>;
  setMode(path: string, mode: number): Promise<void>;
  link(from: string, to: string): Promise<void>;
  copy(from: string, to: string): Promise<void>;
  /** What is in the file, or which names are in the folder, is durable. */
  sync(path: string): Promise<void>;
  /** Null: nothing is there, or no link. */
  linkTarget(path: string): Promise<string | null>;
  makeLink(target: string, path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** With all that is in it; nothing happens when it isn't there. */
  remove(path: string): Promise<void>;
}

export const realFiles: Files = {
  async facts(path) {
    try {
      const stats = await lstat(path);
      const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other';
      return { kind, mode: stats.mode & 0o7777, bytes: stats.size, changedMs: stats.mtimeMs };
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
      throw error;
    }
  },
  names: (folder) => readdir(folder, { encoding: 'buffer' }),
  read: (path) => readFile(path),
  async *pieces(path, pieceBytes) {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      for (;;) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  },
  // Nobody else may read it before it has the mode that it is to have.
  create: async (path) => new RealDraft(await open(path, 'wx', 0o600)),
  makeFolder: async (path) => {
    await mkdir(path, { mode: 0o700 });
  },
  makeFolders: async (path) => {
    await mkdir(path, { recursive: true });
  },
  setMode: (path, mode) => chmod(path, mode),
  link: (from, to) => link(from, to),
  copy: (from, to) => copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE),
  async sync(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async linkTarget(path) {
    try {
      return await readlink(path);
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EINVAL') return null;
      throw error;
    }
  },
  makeLink: (target, path) => symlink(target, path),
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { recursive: true, force: true }),
};

class RealDraft implements Draft {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Uint8Array): Promise<void> {
    let written = 0;
    while (written < bytes.length) written += (await this.#handle.write(bytes, written)).bytesWritten;
  }

  async finish(mode: number): Promise<number> {
    try {
      await this.#handle.chmod(mode);
      await this.#handle.sync();
      return (await this.#handle.stat()).mtimeMs;
    } finally {
      await this.#handle.close();
    }
  }

  async abandon(): Promise<void> {
    await this.#handle.close();
  }
}

/** The system's code of a failure, such as ENOENT; empty when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** Calls `work` for each, a few at a time. The first failure stops it, when those under way have ended. */
export async function forEachOf<Item>(
  items: Iterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const worker = async (): Promise<void> => {
    for (;;) {
      const next = failed ? { done: true as const, value: undefined } : iterator.next();
      if (next.done === true) return;
      try {
        await work(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: atOnce }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason as Error;
}
