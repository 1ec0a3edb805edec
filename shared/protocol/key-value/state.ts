import { LockstepError } from '../kernel/errors.js';
import type { Digest, Tip } from '../kernel/ids.js';
import { parseVersion } from '../kernel/ids.js';
import type { StoreKey, StoreReader, StoreTransaction } from '../kernel/store.js';
import type { Columns } from './change-codec.js';
import { KeyIndex, lowerBound } from './key-index.js';
import type { Entry } from './operations.js';
import { DigestSum, entryLanes, type Lanes } from './state-digest.js';

/** Which entries, in the order of their keys. */
export interface ListOptions {
  readonly prefix?: string;
  /** Only keys beyond this one. */
  readonly after?: string;
  /** Default: all. */
  readonly limit?: number;
}

/** Immutable: a change replaces the entry, so whoever holds one (a snapshot under way, a reader) sees no later change. */
class HeldEntry<Value> implements Entry<Value> {
  readonly key: string;
  readonly value: Value;
  readonly version: number;
  /** Kept with the entry: after a change, a digest costs only what changed. */
  #lanes: Lanes | null = null;

  constructor(key: string, value: Value, version: number) {
    this.key = key;
    this.value = value;
    this.version = version;
  }

  lanes(): Lanes {
    return (this.#lanes ??= entryLanes(this.key, this.value));
  }
}

/** Where a data set's entries and tip stand in the service's store. */
export const keyValueKeys = {
  entries: (dataSet: string): StoreKey => ['data', dataSet, 'entry'],
  entry: (dataSet: string, key: string): StoreKey => ['data', dataSet, 'entry', key],
  tip: (dataSet: string): StoreKey => ['data', dataSet, 'tip'],
  outcomes: (dataSet: string): StoreKey => ['data', dataSet, 'key'],
  outcome: (dataSet: string, idempotencyKey: string): StoreKey => ['data', dataSet, 'key', idempotencyKey],
  schedules: (dataSet: string): StoreKey => ['data', dataSet, 'scheduled'],
  schedule: (dataSet: string, version: number): StoreKey => ['data', dataSet, 'scheduled', version],
} as const;

/**
 * The entries of a key-value data set in memory and the tip that they are at: the same on both sides. Values are kept
 * as they were decoded and handed to readers as they are.
 */
export class KeyValueState<Value> {
  #entries = new Map<string, HeldEntry<Value>>();
  #tip: Tip | null = null;
  #digest: Digest | null = null;
  readonly #index = new KeyIndex();

  get tip(): Tip | null {
    return this.#tip;
  }

  get size(): number {
    return this.#entries.size;
  }

  entry(key: string): Entry<Value> | undefined {
    return this.#entries.get(key);
  }

  list(options: ListOptions = {}): readonly Entry<Value>[] {
    const { prefix = '', after, limit = Infinity } = options;
    if (!(limit >= 0)) throw new LockstepError('bad-option', `limit must be 0 or more, not ${limit}`);
    const keys = this.#index.sorted(this.#entries);
    let position = lowerBound(keys, after !== undefined && after > prefix ? after : prefix);
    const found: Entry<Value>[] = [];
    for (; position < keys.length && found.length < limit; position += 1) {
      const key = keys[position] ?? '';
      if (!key.startsWith(prefix)) break;
      const entry = this.#entries.get(key);
      if (key !== after && entry !== undefined) found.push(entry);
    }
    return found;
  }

  /** Shows a change to readers. `whole`: it starts from nothing, so nothing of what was there stays. */
  apply(columns: Columns, to: Tip, whole: boolean): void {
    if (whole) this.#clear();
    const { keys, values, deletes } = columns;
    const entries = this.#entries;
    let nextDelete = 0;
    for (let position = 0; position < keys.length; position += 1) {
      const key = keys[position] as string;
      if (deletes[nextDelete] === position) {
        nextDelete += 1;
        if (entries.delete(key)) this.#index.removed();
        continue;
      }
      const before = entries.size;
      entries.set(key, new HeldEntry(key, values[position] as Value, to.version));
      if (entries.size !== before) this.#index.added(key);
    }
    this.#tip = to;
    this.#digest = null;
  }

  /** Shows another whole state to readers: what was staged is taken over as it is, not copied. */
  replace(staged: StagedState<Value>, to: Tip): void {
    this.#clear();
    this.#entries = staged.entries;
    this.#tip = to;
  }

  /** The entries as they are now, whatever is applied later: a copy of references. */
  pinned(): Iterable<Entry<Value>> {
    return lettingGo([...this.#entries.values()]);
  }

  /**
   * Computed when somebody asks, since nobody does on the path of updates: the first one costs a hash of each entry,
   * later ones a hash of each entry that changed since and a pass over all of them.
   */
  digest(): Digest {
    if (this.#digest !== null) return this.#digest;
    const sum = new DigestSum();
    for (const entry of this.#entries.values()) sum.add(entry.lanes());
    return (this.#digest = sum.digest());
  }

  /** Reads what `store` and `storeWhole` wrote. Throws `store-unusable` when it isn't that. */
  load(reader: StoreReader, dataSet: string): Tip | null {
    this.#clear();
    this.#tip = storedTip(reader.get(keyValueKeys.tip(dataSet)), dataSet);
    if (this.#tip === null) return null;
    for (const { key: path, value: record } of reader.range(keyValueKeys.entries(dataSet))) {
      const key = path.at(-1);
      const [version, value] = Array.isArray(record) ? (record as readonly unknown[]) : [];
      if (typeof key !== 'string' || typeof version !== 'number')
        throw damaged(dataSet, `the entry ${JSON.stringify(path)}`);
      this.#entries.set(key, new HeldEntry(key, value as Value, version));
    }
    return this.#tip;
  }

  /** G4: the entries that a change touches and the tip that it leads to, in the transaction given. Shows nothing. */
  store(transaction: StoreTransaction, dataSet: string, columns: Columns, to: Tip, whole: boolean): void {
    if (whole) for (const key of this.#entries.keys()) transaction.remove(keyValueKeys.entry(dataSet, key));
    const { keys, values, deletes } = columns;
    let nextDelete = 0;
    for (let position = 0; position < keys.length; position += 1) {
      const path = keyValueKeys.entry(dataSet, keys[position] as string);
      if (deletes[nextDelete] === position) {
        nextDelete += 1;
        transaction.remove(path);
      } else transaction.put(path, [to.version, values[position]]);
    }
    transaction.put(keyValueKeys.tip(dataSet), to);
  }

  /** G4: another whole state and its tip, in the transaction given. Shows nothing. */
  storeWhole(transaction: StoreTransaction, dataSet: string, staged: StagedState<Value>, to: Tip): void {
    for (const key of this.#entries.keys()) {
      if (!staged.entries.has(key)) transaction.remove(keyValueKeys.entry(dataSet, key));
    }
    for (const [key, entry] of staged.entries)
      transaction.put(keyValueKeys.entry(dataSet, key), [entry.version, entry.value]);
    transaction.put(keyValueKeys.tip(dataSet), to);
  }

  #clear(): void {
    this.#entries = new Map();
    this.#index.reset();
    this.#digest = null;
  }
}

/** A whole state that isn't shown yet. */
export class StagedState<Value> {
  readonly entries = new Map<string, HeldEntry<Value>>();

  add({ key, value, version }: Entry<Value>): void {
    this.entries.set(key, new HeldEntry(key, value, version));
  }
}

/** Each entry is let go once it was read: what a change replaces meanwhile isn't held until the end of a long stream. */
function* lettingGo<Item>(items: (Item | null)[]): Generator<Item, void, void> {
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index] ?? null;
    items[index] = null;
    if (item !== null) yield item;
  }
}

function storedTip(record: unknown, dataSet: string): Tip | null {
  if (record === undefined) return null;
  const { epoch, version, chain } = (record ?? {}) as Partial<Tip>;
  const known = parseVersion(version);
  if (known === null || typeof chain !== 'string' || typeof epoch?.number !== 'number')
    throw damaged(dataSet, 'the tip');
  return { epoch: { number: epoch.number, claimant: epoch.claimant }, version: known, chain };
}

export function damaged(dataSet: string, what: string): LockstepError {
  return new LockstepError(
    'store-unusable',
    `${what} of data set "${dataSet}" can't be read from the store; restore the store, or start with an empty one`,
  );
}
