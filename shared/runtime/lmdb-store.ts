import type { RootDatabase } from 'lmdb';
import { Packr } from 'msgpackr';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { StoreKey, StoreTransaction, StoreValue } from '../protocol/kernel/store.js';
import type { Store, WriteOptions } from './ports.js';
import { decodeKey, encodeKey, rangeUnder } from './store-keys.js';
import { StoreOverlay } from './store-overlay.js';

/** As `openDatabase` opens it: keys and values are bytes. */
export type BinaryDatabase = RootDatabase<Buffer, Buffer>;

interface PackedOperation {
  readonly key: Buffer;
  /** Null: removed. */
  readonly packed: Uint8Array | null;
}

interface QueuedWrite {
  readonly operations: readonly PackedOperation[];
  readonly durable: boolean;
  /** Of the change itself: it wrote nothing, and the store goes on. */
  readonly error: Error | null;
  readonly done: (error: Error | null) => void;
}

const packr = new Packr({ useRecords: false, moreTypes: false });

/** Byte arrays inside the value are views of `packed`, which nobody else holds. */
function unpack(packed: Uint8Array): StoreValue {
  return packr.unpack(packed) as StoreValue;
}

/**
 * The store on disk. One transaction is under way at a time; writes that come meanwhile wait, and all that wait share the
 * next transaction and its one fsync, in the order of their calls. What isn't to be durable stays in memory, over what
 * is on the disk, and takes its turn in the same order.
 */
export class LmdbStore implements Store {
  readonly #database: BinaryDatabase;
  readonly #folder: string;
  readonly #release: () => Promise<void>;
  readonly #overlay = new StoreOverlay();
  #queue: QueuedWrite[] = [];
  #running: Promise<void> | null = null;
  #failure: LockstepError | null = null;
  #closing: Promise<void> | null = null;
  #closed = false;

  constructor(options: {
    readonly database: BinaryDatabase;
    readonly folder: string;
    /** The last thing before the database is closed. */
    readonly release: () => Promise<void>;
  }) {
    this.#database = options.database;
    this.#folder = options.folder;
    this.#release = options.release;
  }

  get(key: StoreKey): StoreValue | undefined {
    this.#assertOpen();
    const encoded = encodeKey(key);
    const layered = this.#overlay.isEmpty ? undefined : this.#overlay.get(encoded);
    if (layered !== undefined) return layered === null ? undefined : unpack(Uint8Array.from(layered));
    const packed = this.#database.get(encoded);
    return packed === undefined ? undefined : unpack(asPlain(packed));
  }

  /** The records as they are when iterating begins; later writes don't show. */
  *range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }> {
    this.#assertOpen();
    const { start, end } = rangeUnder(prefix);
    const layered = this.#overlay.isEmpty ? [] : this.#overlay.between(start, end);
    let next = 0;
    for (const { key, value } of this.#database.getRange({ start, end })) {
      for (let entry = layered[next]; entry !== undefined && Buffer.compare(entry[0], key) < 0; entry = layered[next]) {
        if (entry[1] !== null) yield layeredRecord(entry[0], entry[1]);
        next += 1;
      }
      const over = layered[next];
      if (over !== undefined && Buffer.compare(over[0], key) === 0) {
        if (over[1] !== null) yield layeredRecord(over[0], over[1]);
        next += 1;
      } else {
        yield { key: decodeKey(key), value: unpack(asPlain(value)) };
      }
    }
    for (const [key, packed] of layered.slice(next)) if (packed !== null) yield layeredRecord(key, packed);
  }

  write(
    change: (transaction: StoreTransaction) => void,
    options: WriteOptions,
    done: (error: Error | null) => void,
  ): void {
    const refusal = this.#closing === null ? this.#failure : closedError(this.#folder);
    const write: QueuedWrite =
      refusal === null
        ? { ...collect(change), durable: options.durable, done }
        : { operations: [], error: refusal, durable: false, done };
    this.#queue.push(write);
    this.#running ??= this.#run();
  }

  /** Waits for the writes that were taken. */
  close(): Promise<void> {
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  async #shut(): Promise<void> {
    while (this.#running !== null) await this.#running;
    try {
      if (this.#failure === null) await this.#release();
    } finally {
      this.#closed = true;
      this.#overlay.clear();
      await this.#database.close();
    }
  }

  async #run(): Promise<void> {
    // Later, never from inside `write`; and everything that this turn writes goes together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      await this.#commit(group);
      // A failed store fails what was under way and all that follows: only what was refused anyway keeps its own reason.
      for (const write of group) write.done(write.error ?? this.#failure);
    }
    this.#running = null;
  }

  async #commit(group: readonly QueuedWrite[]): Promise<void> {
    if (this.#failure !== null) return;
    const durable = group.filter((write) => write.durable && write.operations.length > 0);
    if (durable.length > 0) {
      try {
        await this.#writeDurably(durable);
      } catch (error) {
        this.#failure = await failureOf(error, this.#folder);
        return;
      }
      // So that reads from inside `done` see it.
      this.#database.resetReadTxn();
    }
    for (const write of group) {
      for (const { key, packed } of write.operations) {
        if (write.durable) this.#overlay.drop(key);
        else this.#overlay.set(key, packed === null ? null : Uint8Array.from(packed));
      }
    }
  }

  /** Resolves after fsync: with `overlappingSync` off, the commit comes after it (G2, G3, G4). One transaction for all. */
  async #writeDurably(writes: readonly QueuedWrite[]): Promise<void> {
    await this.#database.batch(() => {
      for (const { operations } of writes) {
        for (const { key, packed } of operations) {
          // The batch's promise tells how all of them ended.
          void (packed === null ? this.#database.remove(key) : this.#database.put(key, asBuffer(packed)));
        }
      }
    });
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError(this.#folder);
  }
}

function layeredRecord(key: Buffer, packed: Uint8Array): { readonly key: StoreKey; readonly value: StoreValue } {
  return { key: decodeKey(key), value: unpack(Uint8Array.from(packed)) };
}

/** The same bytes. The database copies what it hands out: a value of type `binary` outlives the transaction. */
function asPlain(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Runs the change: values are packed at once, so that the caller may go on using what it put. */
function collect(change: (transaction: StoreTransaction) => void): Pick<QueuedWrite, 'operations' | 'error'> {
  const operations: PackedOperation[] = [];
  try {
    change({
      put: (key, value) => {
        operations.push({ key: recordKey(key), packed: packr.pack(value) });
      },
      remove: (key) => {
        operations.push({ key: recordKey(key), packed: null });
      },
    });
  } catch (error) {
    return { operations: [], error: error instanceof Error ? error : new Error(errorText(error)) };
  }
  return { operations, error: null };
}

function recordKey(key: StoreKey): Buffer {
  if (key.length === 0) throw new LockstepError('bad-input', 'a record needs a key');
  return encodeKey(key);
}

function closedError(folder: string): LockstepError {
  return new LockstepError('closed', `the store ${folder} is closed`);
}

/** The database reports the reason of a failed commit aside, as a promise that rejects. */
async function failureOf(error: unknown, folder: string): Promise<LockstepError> {
  let reason = error;
  if (error instanceof Error && 'commitError' in error) {
    try {
      await error.commitError;
    } catch (cause) {
      reason = cause;
    }
  }
  const message = `writing to the store ${folder} failed: ${errorText(reason)}; what is on disk is known after the next start`;
  return new LockstepError('store-unusable', message, { cause: reason });
}
