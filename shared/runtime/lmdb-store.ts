import type { RootDatabase } from 'lmdb';
import { Packr } from 'msgpackr';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';
import type { StoreKey, StoreTransaction, StoreValue } from '../protocol/kernel/store.js';
import type { Journal } from './journal.js';
import type { PackedOperation } from './journal-records.js';
import type { Store, WriteOptions } from './ports.js';
import { decodeKey, encodeKey, rangeUnder } from './store-keys.js';
import { StoreOverlay } from './store-overlay.js';

/** As `openDatabase` opens it: keys and values are bytes. */
export type BinaryDatabase = RootDatabase<Buffer, Buffer>;

interface QueuedWrite {
  readonly operations: readonly PackedOperation[];
  readonly durable: boolean;
  /** Of the change itself: it wrote nothing, and the store goes on. */
  readonly error: Error | null;
  readonly done: (error: Error | null) => void;
}

const generationKey: StoreKey = ['meta', 'journal'];
/** Records of one transaction: the thread that hands them over does nothing else meanwhile. */
const movedAtOnce = 2000;

const packr = new Packr({ useRecords: false, moreTypes: false });

/** Byte arrays inside the value are views of `packed`, which nobody else holds. */
function unpack(packed: Uint8Array): StoreValue {
  return packr.unpack(packed) as StoreValue;
}

/**
 * The store on disk. What is durable is first in the journal, and lies in memory over the database until the database has it,
 * which happens in the background, many writes at a time. One write to the journal is under way at a time; those that come
 * meanwhile wait, and all that wait share the next one and its flush of the disk, in the order of their calls. What isn't to be
 * durable stays in memory, over everything, and takes its turn in the same order.
 */
export class LmdbStore implements Store {
  readonly #database: BinaryDatabase;
  readonly #journal: Journal;
  readonly #folder: string;
  readonly #release: () => Promise<void>;
  readonly #volatile = new StoreOverlay();
  /** In the journal, and not yet on its way to the database. */
  #journaled = new StoreOverlay();
  /** On its way there. */
  #moving: StoreOverlay | null = null;
  #movement: Promise<void> | null = null;
  #queue: QueuedWrite[] = [];
  #running: Promise<void> | null = null;
  #failure: LockstepError | null = null;
  #closing: Promise<void> | null = null;
  #closed = false;

  constructor(options: {
    readonly database: BinaryDatabase;
    readonly journal: Journal;
    readonly folder: string;
    /** The last thing before the database is closed. */
    readonly release: () => Promise<void>;
  }) {
    this.#database = options.database;
    this.#journal = options.journal;
    this.#folder = options.folder;
    this.#release = options.release;
  }

  get(key: StoreKey): StoreValue | undefined {
    this.#assertOpen();
    const encoded = encodeKey(key);
    for (const layer of this.#layers) {
      const layered = layer.isEmpty ? undefined : layer.get(encoded);
      if (layered !== undefined) return layered === null ? undefined : unpack(Uint8Array.from(layered));
    }
    const packed = this.#database.get(encoded);
    return packed === undefined ? undefined : unpack(asPlain(packed));
  }

  /** The records as they are when iterating begins; later writes don't show. */
  *range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }> {
    this.#assertOpen();
    const { start, end } = rangeUnder(prefix);
    const layered = merged(this.#layers, start, end);
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

  /** Resolves when the database has everything that is durable. Rejects when the store has failed, or fails at that. */
  async settle(): Promise<void> {
    for (let busy = this.#running ?? this.#movement; busy !== null; busy = this.#running ?? this.#movement) await busy;
    if (this.#failure === null && !this.#journaled.isEmpty) {
      this.#move();
      await this.#movement;
    }
    if (this.#failure !== null) throw this.#failure;
  }

  async #shut(): Promise<void> {
    try {
      await this.settle().catch(() => undefined);
      if (this.#failure === null) {
        await this.#journal.remove();
        await this.#release();
      }
    } finally {
      this.#closed = true;
      for (const layer of this.#layers) layer.clear();
      await this.#journal.close();
      await this.#database.close();
    }
  }

  /** What is newer first. */
  get #layers(): readonly StoreOverlay[] {
    return this.#moving === null ? [this.#volatile, this.#journaled] : [this.#volatile, this.#journaled, this.#moving];
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
      if (this.#journal.isOverfull) await this.#movement;
      try {
        // G2, G3, G4: resolves when the disk has all of it.
        await this.#journal.append(durable.flatMap(({ operations }) => operations));
      } catch (error) {
        this.#failure ??= await failureOf(error, this.#folder);
      }
      if (this.#failure !== null) return;
    }
    for (const write of group) {
      for (const { key, packed } of write.operations) {
        if (write.durable) this.#volatile.drop(key);
        (write.durable ? this.#journaled : this.#volatile).set(key, packed === null ? null : Uint8Array.from(packed));
      }
    }
    if (this.#journal.isFull && this.#movement === null) this.#move();
  }

  #move(): void {
    const generation = this.#journal.generation;
    this.#journal.turn();
    this.#moving = this.#journaled;
    this.#journaled = new StoreOverlay();
    this.#movement = this.#moveAll(this.#moving, generation)
      .catch(async (error: unknown) => {
        this.#failure ??= await failureOf(error, this.#folder);
      })
      .finally(() => {
        this.#movement = null;
      });
  }

  /** Several transactions, since the order doesn't matter: the journal is read again until the last one says that all is here. */
  async #moveAll(layer: StoreOverlay, generation: number): Promise<void> {
    let rest = [...layer.records()];
    while (rest.length > movedAtOnce) {
      await writeRecords(this.#database, rest.slice(0, movedAtOnce));
      rest = rest.slice(movedAtOnce);
    }
    await writeRecords(this.#database, rest, generation);
    // So that reads from here on see them, and the layer above isn't needed.
    this.#database.resetReadTxn();
    this.#moving = null;
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError(this.#folder);
  }
}

/**
 * One transaction, durable when it resolves: with `overlappingSync` off, the commit comes after the flush. With a `generation`
 * the database also says that it has all that the journal holds up to that one.
 */
export async function writeRecords(
  database: BinaryDatabase,
  records: readonly PackedOperation[],
  generation?: number,
): Promise<void> {
  await database.batch(() => {
    for (const { key, packed } of records) {
      // The batch's promise tells how all of them ended.
      void (packed === null ? database.remove(asBuffer(key)) : database.put(asBuffer(key), asBuffer(packed)));
    }
    if (generation !== undefined) void database.put(encodeKey(generationKey), packr.pack(generation));
  });
}

/** Up to which generation the database has the journal; 0 before there was any. */
export function generationIn(database: BinaryDatabase): number {
  const packed = database.get(encodeKey(generationKey));
  return packed === undefined ? 0 : Number(packr.unpack(packed));
}

/** What lies over the database, in key order; of two layers that have a key, the first counts. */
function merged(
  layers: readonly StoreOverlay[],
  start: Uint8Array,
  end: Uint8Array,
): readonly (readonly [key: Buffer, packed: Uint8Array | null])[] {
  const found = layers.filter((layer) => !layer.isEmpty).map((layer) => layer.between(start, end));
  const [first = [], ...older] = found;
  if (older.every((each) => each.length === 0)) return first;
  const all = new Map<string, readonly [key: Buffer, packed: Uint8Array | null]>();
  for (const entry of found.reverse().flat()) all.set(entry[0].toString('latin1'), entry);
  return [...all.values()].sort(([a], [b]) => Buffer.compare(a, b));
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
