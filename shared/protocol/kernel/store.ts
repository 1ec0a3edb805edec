/** The path of a record. The first part names the owner (`service`, `data`, `meta`), the second the data set. */
export type StoreKey = readonly (string | number)[];

/** Plain data: what msgpack can hold, byte arrays included. */
export type StoreValue = unknown;

export type StoreOperation =
  | { readonly kind: 'put'; readonly key: StoreKey; readonly value: StoreValue }
  | { readonly kind: 'remove'; readonly key: StoreKey };

/** What a write may do. Everything of one transaction becomes durable together, or nothing of it does (G4). */
export interface StoreTransaction {
  /** Writes or replaces a record. */
  put(key: StoreKey, value: StoreValue): void;
  /** Does nothing when there is no such record. */
  remove(key: StoreKey): void;
}

/** Reads of what was written last, synchronous and from memory. */
export interface StoreReader {
  /** Undefined when there is no such record. */
  get(key: StoreKey): StoreValue | undefined;
  /** All records whose key begins with `prefix` and is longer, in key order. */
  range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }>;
}

export function applyOperations(transaction: StoreTransaction, operations: readonly StoreOperation[]): void {
  for (const operation of operations) {
    if (operation.kind === 'put') transaction.put(operation.key, operation.value);
    else transaction.remove(operation.key);
  }
}
