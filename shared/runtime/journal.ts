import { close, constants, fdatasync, fsync, open, writev } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { encodeRecord, readRecords, type JournalRecord, type PackedOperation } from './journal-records.js';

const openFile = promisify(open);
const closeFile = promisify(close);
const syncFile = promisify(fsync);
const syncData = promisify(fdatasync);

const fileNames = ['journal-0', 'journal-1'] as const;
/** A file is full then, and the other one's turn comes. It is written over from its begin when it is used again. */
export const journalBytes = 32 * 1024 * 1024;
/** Zeros are written ahead, ever more at a time, so that few writes have to make the file longer. */
const firstAheadBytes = 256 * 1024;
const mostAheadBytes = 4 * 1024 * 1024;
/**
 * Where the system makes a write wait for the disk by itself, that takes one call less. Elsewhere such a write may not reach
 * the disk, but the device's own memory, which `fdatasync` goes through.
 */
const syncingWrites = process.platform === 'linux' ? constants.O_DSYNC : 0;

interface JournalFile {
  readonly fd: number;
  /** Up to here the file has bytes, whatever they are. */
  lengthBytes: number;
}

/**
 * Writes that are durable before the store's database has them: one write at the end of a file, with one flush of the disk,
 * where a transaction of the database takes two, and writes a page for each record. Two files take turns; one of them is
 * used again when the database has all that is in it.
 *
 * One call at a time. After an error nothing more may be written: what is on disk is known when it is read again.
 */
export class Journal {
  readonly #folder: string;
  readonly #fullBytes: number;
  readonly #files: [JournalFile | null, JournalFile | null] = [null, null];
  #generation: number;
  #sequence = 0;
  #offset = 0;

  /** `generation` is above that of everything that was ever in this folder's journal. */
  constructor(folder: string, generation: number, fullBytes = journalBytes) {
    this.#folder = folder;
    this.#generation = generation;
    this.#fullBytes = fullBytes;
  }

  get generation(): number {
    return this.#generation;
  }

  get isFull(): boolean {
    return this.#offset >= this.#fullBytes;
  }

  /** So much has come since the other file was full that the next write should wait until that one is free. */
  get isOverfull(): boolean {
    return this.#offset >= 2 * this.#fullBytes;
  }

  /** Resolves when the disk has it. All of the operations, or none, are there after a crash. */
  async append(operations: readonly PackedOperation[]): Promise<void> {
    const file = await this.#file();
    this.#sequence += 1;
    const record = { generation: this.#generation, sequence: this.#sequence, operations };
    const parts = encodeRecord(record, this.#offset);
    const end = this.#offset + bytesOf(parts);
    if (end > file.lengthBytes) await this.#lengthen(file, end);
    await writeAt(file.fd, parts, this.#offset);
    this.#offset = end;
  }

  /** From now on the other file is written. Only when the database has all that is in that one. */
  turn(): void {
    this.#generation += 1;
    this.#offset = 0;
  }

  /** Lets go of the files, which stay: the next process reads them. */
  async close(): Promise<void> {
    for (const [index, file] of this.#files.entries()) {
      this.#files[index] = null;
      if (file !== null) await closeFile(file.fd);
    }
  }

  /** Only when the database has all that is in them. */
  async remove(): Promise<void> {
    await this.close();
    await removeJournal(this.#folder);
  }

  async #file(): Promise<JournalFile> {
    const index = this.#generation % 2 === 0 ? 0 : 1;
    const opened = this.#files[index];
    if (opened !== null) return opened;
    const path = join(this.#folder, fileNames[index]);
    const fd = await openFile(path, constants.O_CREAT | constants.O_RDWR | syncingWrites, 0o600);
    const file = { fd, lengthBytes: 0 };
    this.#files[index] = file;
    // A new file is found after a crash only when its folder is on disk, too.
    await syncFolder(this.#folder);
    file.lengthBytes = (await stat(path)).size;
    return file;
  }

  async #lengthen(file: JournalFile, needed: number): Promise<void> {
    const aheadBytes = Math.min(Math.max(file.lengthBytes, firstAheadBytes), mostAheadBytes);
    const zeros = Buffer.alloc(needed - file.lengthBytes + aheadBytes);
    await writeAt(file.fd, [zeros], file.lengthBytes);
    file.lengthBytes += zeros.byteLength;
  }
}

export interface FoundJournal {
  /** Younger than what the database has, in the order in which they were written. */
  readonly records: readonly JournalRecord[];
  readonly damage: string | null;
}

/** What the files of an earlier process hold beyond the generation that the database has all of. */
export async function readJournal(folder: string, after: number): Promise<FoundJournal> {
  const found: JournalRecord[][] = [];
  for (const name of fileNames) {
    const { records, damage } = readRecords(await contentsOf(join(folder, name)), after);
    if (damage !== null) return { records: [], damage: `${name}: ${damage}` };
    if (records.length > 0) found.push([...records]);
  }
  found.sort(([a], [b]) => (a?.generation ?? 0) - (b?.generation ?? 0));
  const records = found.flat();
  for (const [index, { sequence }] of records.entries()) {
    const before = records[index - 1];
    if (before !== undefined && sequence !== before.sequence + 1) {
      return { records: [], damage: `write ${before.sequence} is followed by write ${sequence}` };
    }
  }
  return { records, damage: null };
}

export async function removeJournal(folder: string): Promise<void> {
  await Promise.all(fileNames.map((name) => rm(join(folder, name), { force: true })));
}

async function contentsOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

async function writeAt(fd: number, parts: readonly Uint8Array[], offset: number): Promise<void> {
  const wanted = bytesOf(parts);
  const written = await new Promise<number>((resolve, reject) => {
    writev(fd, parts, offset, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
  // A disk that becomes full takes what still fits.
  if (written !== wanted) throw new Error(`only ${written} of ${wanted} bytes could be written`);
  if (syncingWrites === 0) await syncData(fd);
}

/** Not every system can: what it can't, it need not. */
async function syncFolder(folder: string): Promise<void> {
  const fd = await openFile(folder, constants.O_RDONLY);
  try {
    await syncFile(fd);
  } catch (error) {
    if (process.platform === 'linux') throw error;
  } finally {
    await closeFile(fd);
  }
}

function bytesOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
