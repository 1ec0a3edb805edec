import { open, type RootDatabase, type Transaction } from 'lmdb';
import { Packr } from 'msgpackr';
import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { StoreKey } from '../../shared/protocol/kernel/store.js';
import { decodeKey, encodeKey, rangeUnder } from '../../shared/runtime/store-keys.js';
import { assertUsableFolder } from '../../shared/runtime/store-open.js';

/** Address space, not disk space: the file grows with what is in it, and beyond this by remapping. */
const mapBytes = 256 * 1024 * 1024;

const packr = new Packr({ useRecords: false, moreTypes: false });

/**
 * Records of an LMDB folder, in transactions that several processes take in turns. Inside `write`, reads see what was written
 * before; inside `read`, all reads see one state.
 */
export class LmdbRecords {
  readonly #database: RootDatabase<Buffer, Buffer>;
  readonly folder: string;
  #reading: Transaction | null = null;
  #isClosed = false;

  private constructor(database: RootDatabase<Buffer, Buffer>, folder: string) {
    this.#database = database;
    this.folder = folder;
  }

  /** Rejects with `store-unusable` when the folder can't be written, or its database is damaged. */
  static async open(folder: string): Promise<LmdbRecords> {
    await assertUsableFolder(folder);
    try {
      const database = open<Buffer, Buffer>({
        path: folder,
        noSubdir: false,
        // A commit comes after its flush, so that what was answered is on the disk.
        overlappingSync: false,
        eventTurnBatching: false,
        keyEncoding: 'binary',
        encoding: 'binary',
        mapSize: mapBytes,
        cache: false,
        compression: false,
      });
      // A process that was killed leaves its place as a reader, and with it every page that it could see.
      database.readerCheck();
      return new LmdbRecords(database, folder);
    } catch (error) {
      throw unusable(folder, error);
    }
  }

  /** One snapshot. */
  read<Result>(work: () => Result): Result {
    this.#assertOpen();
    // Else a snapshot that is at hand is used again, from before what another process wrote.
    this.#database.resetReadTxn();
    const transaction = this.#database.useReadTransaction();
    this.#reading = transaction;
    try {
      return work();
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#reading = null;
      transaction.done();
    }
  }

  /** One transaction, on the disk when it returns. When `work` throws, nothing has changed. */
  write<Result>(work: () => Result): Result {
    this.#assertOpen();
    try {
      return this.#database.transactionSync(work);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  get<Row>(key: StoreKey): Row | null {
    const packed = this.#database.get(encodeKey(key), this.#options);
    return packed === undefined ? null : (packr.unpack(packed) as Row);
  }

  put(key: StoreKey, value: unknown): void {
    this.#database.putSync(encodeKey(key), packr.pack(value));
  }

  remove(key: StoreKey): void {
    this.#database.removeSync(encodeKey(key));
  }

  /** All under `prefix`; with `start`, those from `prefix` and `start` on, that key included. */
  *rows<Row>(prefix: StoreKey, start: StoreKey = []): Iterable<{ readonly key: StoreKey; readonly row: Row }> {
    const range = rangeUnder(prefix);
    const from = start.length === 0 ? range.start : encodeKey([...prefix, ...start]);
    for (const { key, value } of this.#database.getRange({ start: from, end: range.end, ...this.#options }))
      yield { key: decodeKey(key), row: packr.unpack(value) as Row };
  }

  countUnder(prefix: StoreKey): number {
    return this.#database.getKeysCount({ ...rangeUnder(prefix), ...this.#options });
  }

  get isEmpty(): boolean {
    for (const _key of this.#database.getKeys({ start: Buffer.of(0), limit: 1 })) return false;
    return true;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#database.close();
  }

  get #options(): { readonly transaction?: Transaction } {
    return this.#reading === null ? {} : { transaction: this.#reading };
  }

  #failure(error: unknown): unknown {
    return error instanceof LockstepError ? error : unusable(this.folder, error);
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new LockstepError('closed', `the store ${this.folder} is closed`);
  }
}

function unusable(folder: string, error: unknown): LockstepError {
  if (error instanceof LockstepError) return error;
  return new LockstepError('store-unusable', `the store ${folder} can't be used: ${errorText(error)}`, {
    cause: error,
  });
}
