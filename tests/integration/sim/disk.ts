import { Packr } from 'msgpackr';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import type {
  StoreKey,
  StoreOperation,
  StoreReader,
  StoreTransaction,
  StoreValue,
} from '../../../shared/protocol/kernel/store.js';
import type { Store, WriteOptions } from '../../../shared/runtime/ports.js';
import type { SimProcess, Timeline } from './clock.js';
import type { FaultKind } from './faults.js';

/** How bad a disk is. */
export interface DiskFaults {
  readonly minFlushMs: number;
  readonly maxFlushMs: number;
  /** Chance that one flush fails; the store then takes no more writes until the node starts again. */
  readonly failure: number;
  /** Nothing can be written, by this process or the next one. */
  readonly full: boolean;
}

export const calmDisk: DiskFaults = { minFlushMs: 0.1, maxFlushMs: 0.4, failure: 0, full: false };

/** Time that a write without fsync takes to be visible. */
const visibleMs = 0.02;

export interface DiskObserver {
  /** `write` was called, before anything happened. */
  writing(node: string): void;
  /** These are on the disk now, in one transaction. */
  durable(node: string, operations: readonly StoreOperation[]): void;
  failed(node: string): void;
  /** A fault of this kind did something. */
  struck?(kind: FaultKind): void;
}

/** A process that dies while its disk syncs: all of that is lost, or all but its first transactions. */
interface Death {
  readonly how: 'lost-writes' | 'torn-flush';
  readonly die: () => void;
}

/** One record as it was written. Held packed, so that nobody shares memory with the disk. */
class Entry {
  readonly kind = 'put';
  readonly key: StoreKey;
  readonly text: string;
  readonly #packed: Uint8Array;
  #seen: StoreValue | undefined;

  constructor(key: StoreKey, value: StoreValue) {
    this.key = [...key];
    this.text = keyText(key);
    this.#packed = Buffer.from(packr.pack(value));
  }

  /** From a copy: byte arrays inside a value are views of what they were read from. */
  read(): StoreValue {
    return packr.unpack(Buffer.from(this.#packed));
  }

  /** For those who watch, and write to nothing: they all look at one value, unpacked when the first of them looks. */
  get value(): StoreValue {
    this.#seen ??= this.read();
    return this.#seen;
  }
}

interface PendingWrite {
  readonly change: (transaction: StoreTransaction) => void;
  readonly durable: boolean;
  readonly done: (error: Error | null) => void;
}

type PackedOperation = Entry | { readonly kind: 'remove'; readonly key: StoreKey; readonly text: string };

const packr = new Packr({ useRecords: false, moreTypes: false });

/** Records by key, in key order. */
class Records {
  readonly #entries = new Map<string, Entry>();

  entry(key: StoreKey): Entry | undefined {
    return this.#entries.get(keyText(key));
  }

  under(prefix: StoreKey): readonly Entry[] {
    const found: Entry[] = [];
    for (const entry of this.#entries.values()) if (isUnder(prefix, entry.key)) found.push(entry);
    return found.sort((a, b) => compareKeys(a.key, b.key));
  }

  apply(operations: readonly PackedOperation[]): void {
    for (const operation of operations) {
      if (operation.kind === 'put') this.#entries.set(operation.text, operation);
      else this.#entries.delete(operation.text);
    }
  }

  copy(): Records {
    const copy = new Records();
    for (const [text, entry] of this.#entries) copy.#entries.set(text, entry);
    return copy;
  }

  clear(): void {
    this.#entries.clear();
  }
}

/** Different keys have different texts, whatever is in their parts. */
function keyText(key: StoreKey): string {
  let text = '';
  for (const part of key) text += typeof part === 'number' ? `#${part},` : `${part.length}$${part}`;
  return text;
}

function isUnder(prefix: StoreKey, key: StoreKey): boolean {
  return key.length > prefix.length && prefix.every((part, index) => part === key[index]);
}

/** Numbers stand before texts, a shorter key before what it begins. */
function compareKeys(a: StoreKey, b: StoreKey): number {
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const left = a[index] ?? 0;
    const right = b[index] ?? 0;
    if (left === right) continue;
    if (typeof left === 'number') return typeof right === 'number' ? left - right : -1;
    if (typeof right === 'number') return 1;
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  return a.length - b.length;
}

/**
 * A node's disk: it outlives the node's processes. What a process wrote and never saw done is lost in a crash, save for
 * a prefix that the seed draws: each transaction whole or not at all, none before the one written earlier.
 */
export class SimDisk {
  readonly node: string;
  readonly #timeline: Timeline;
  readonly #random: Random;
  /** What a new process would find now, for those who watch. */
  readonly durable: StoreReader = {
    get: (key) => this.#durable.entry(key)?.value,
    range: (prefix) => this.#durable.under(prefix),
  };
  #durable = new Records();
  #faults: DiskFaults = calmDisk;
  #observer: DiskObserver | null = null;
  #opened: SimStore | null = null;
  #failNext = false;
  #failed = false;
  #death: Death | null = null;

  constructor(node: string, options: { readonly timeline: Timeline; readonly random: Random }) {
    this.node = node;
    this.#timeline = options.timeline;
    this.#random = options.random;
  }

  observe(observer: DiskObserver): void {
    this.#observer = observer;
  }

  become(faults: Partial<DiskFaults>): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  heal(): void {
    this.#faults = calmDisk;
    this.#failNext = false;
    this.#death = null;
  }

  /** The next flush fails. */
  failNext(): void {
    this.#failNext = true;
  }

  /** `die` is called in the middle of the next flush that can be lost like this: of two transactions to be torn. */
  dieInFlush(how: Death['how'], die: () => void): void {
    this.#death = { how, die };
  }

  /** True once a flush failed, until a new process opens the disk: the running one can't use it any more. */
  get failed(): boolean {
    return this.#failed;
  }

  /** A new disk in the same machine: everything is gone, identity included. */
  wipe(): void {
    this.#durable.clear();
  }

  /** What is on the disk now, to be put back later: an old backup. */
  backup(): () => void {
    const records = this.#durable.copy();
    return () => {
      this.#durable = records.copy();
    };
  }

  /** Opens the store for one process: what the one before it wrote and never saw done may be there or not. */
  open(process: SimProcess): Store {
    const store = new SimStore({
      process,
      timeline: this.#timeline,
      random: this.#random,
      visible: this.#durable.copy(),
      faults: () => this.#faults,
      takeFailure: () => this.#takeFailure(),
      takeDeath: (transactions) => this.#takeDeath(transactions),
      struck: (kind) => this.#observer?.struck?.(kind),
      writing: () => this.#observer?.writing(this.node),
      commit: (operations) => {
        this.#commit(operations);
      },
      failed: () => {
        this.#failed = true;
        this.#observer?.failed(this.node);
      },
    });
    this.#failed = false;
    this.#opened = store;
    process.onEnd(() => {
      if (this.#opened === store) this.#opened = null;
      store.crash();
    });
    return store;
  }

  #takeFailure(): string | null {
    const fails = this.#failNext || this.#random.chance(this.#faults.failure);
    this.#failNext = false;
    if (fails) this.#observer?.struck?.('failing-disk');
    else if (this.#faults.full) this.#observer?.struck?.('full-disk');
    return fails ? 'fsync failed: input/output error' : this.#faults.full ? 'no space left on device' : null;
  }

  #takeDeath(transactions: number): Death | null {
    const death = this.#death;
    if (death === null || (death.how === 'torn-flush' && transactions < 2)) return null;
    this.#death = null;
    return death;
  }

  #commit(operations: readonly PackedOperation[]): void {
    this.#durable.apply(operations);
    this.#observer?.durable(this.node, operations);
  }
}

interface StoreParts {
  readonly process: SimProcess;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly visible: Records;
  readonly faults: () => DiskFaults;
  readonly takeFailure: () => string | null;
  readonly takeDeath: (transactions: number) => Death | null;
  readonly struck: (kind: FaultKind) => void;
  readonly writing: () => void;
  readonly commit: (operations: readonly PackedOperation[]) => void;
  readonly failed: () => void;
}

/** The store of one process on a `SimDisk`. Waiting durable writes share a flush, as they do on a real disk. */
class SimStore implements Store {
  readonly #parts: StoreParts;
  #queue: PendingWrite[] = [];
  /** Visible here, not yet on the disk: in order. */
  #unflushed: (readonly PackedOperation[])[] = [];
  #busy = false;
  #error: Error | null = null;
  #closed = false;
  #dying: Death['how'] | null = null;
  #closing: (() => void)[] = [];

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  get(key: StoreKey): StoreValue | undefined {
    return this.#parts.visible.entry(key)?.read();
  }

  *range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }> {
    for (const entry of this.#parts.visible.under(prefix)) yield { key: entry.key, value: entry.read() };
  }

  write(
    change: (transaction: StoreTransaction) => void,
    options: WriteOptions,
    done: (error: Error | null) => void,
  ): void {
    if (!this.#parts.process.alive) return;
    this.#parts.writing();
    if (this.#closed) {
      this.#parts.process.later(this.#parts.timeline.nowMs, () => {
        done(new Error('the store is closed'));
      });
      return;
    }
    this.#queue.push({ change, durable: options.durable, done });
    if (!this.#busy) this.#next();
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closed = true;
      this.#closing.push(resolve);
      if (!this.#busy) this.#finishClose();
    });
  }

  /** The process is gone. A prefix of what it had under way is on the disk. */
  crash(): void {
    const written = this.#unflushed;
    const drawn = this.#parts.random.below(written.length + 1);
    const survivors = this.#dying === null ? drawn : this.#dying === 'lost-writes' ? 0 : 1;
    this.#unflushed = [];
    if (survivors < written.length) this.#parts.struck('lost-writes');
    if (survivors > 0 && survivors < written.length) this.#parts.struck('torn-flush');
    for (const operations of written.slice(0, survivors)) this.#parts.commit(operations);
    this.#queue = [];
  }

  #next(): void {
    if (this.#queue.length === 0) {
      this.#busy = false;
      this.#finishClose();
      return;
    }
    this.#busy = true;
    const batch = this.#queue;
    this.#queue = [];
    const flushes = batch.some((write) => write.durable);
    const { minFlushMs, maxFlushMs } = this.#parts.faults();
    if (flushes && maxFlushMs > calmDisk.maxFlushMs) this.#parts.struck('slow-disk');
    const delayMs = flushes ? minFlushMs + this.#parts.random.next() * (maxFlushMs - minFlushMs) : visibleMs;
    this.#parts.process.later(this.#parts.timeline.nowMs, () => {
      this.#flush(batch, flushes, delayMs);
    });
  }

  #flush(batch: readonly PendingWrite[], flushes: boolean, delayMs: number): void {
    const staged = batch.map((write) => this.#stage(write));
    const death = flushes ? this.#parts.takeDeath(this.#unflushed.length) : null;
    if (death !== null) {
      this.#parts.process.later(this.#parts.timeline.nowMs + delayMs / 2, () => {
        this.#dying = death.how;
        death.die();
      });
    }
    this.#parts.process.later(this.#parts.timeline.nowMs + delayMs, () => {
      if (flushes && this.#error === null) this.#sync();
      // A pause that began with the sync holds back what it leads to.
      this.#parts.process.run(() => {
        this.#done(batch, staged);
      });
    });
  }

  #done(batch: readonly PendingWrite[], staged: readonly (readonly PackedOperation[] | Error)[]): void {
    for (const [index, write] of batch.entries()) {
      // The end of the process may have come with what was written last.
      if (!this.#parts.process.alive) return;
      const result = staged[index];
      if (result instanceof Error) {
        write.done(result);
      } else {
        if (this.#error === null && result !== undefined) this.#parts.visible.apply(result);
        write.done(this.#error);
      }
    }
    this.#next();
  }

  /** Collects what one write does; a change that throws writes nothing. */
  #stage(write: PendingWrite): readonly PackedOperation[] | Error {
    if (this.#error !== null) return this.#error;
    const operations: PackedOperation[] = [];
    try {
      write.change({
        put: (key, value) => {
          operations.push(new Entry(key, value));
        },
        remove: (key) => {
          operations.push({ kind: 'remove', key: [...key], text: keyText(key) });
        },
      });
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
    this.#unflushed.push(operations);
    return operations;
  }

  #sync(): void {
    const failure = this.#parts.takeFailure();
    if (failure !== null) {
      this.#error = new Error(failure);
      this.#parts.failed();
      return;
    }
    const flushed = this.#unflushed;
    this.#unflushed = [];
    for (const operations of flushed) this.#parts.commit(operations);
  }

  #finishClose(): void {
    if (!this.#closed) return;
    for (const operations of this.#unflushed) this.#parts.commit(operations);
    this.#unflushed = [];
    const closing = this.#closing;
    this.#closing = [];
    for (const resolve of closing) resolve();
  }
}
