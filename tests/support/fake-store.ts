import type { StoreKey, StoreOperation, StoreTransaction, StoreValue } from '../../shared/protocol/kernel/store.js';
import type { Store, WriteOptions } from '../../shared/runtime/ports.js';

/** A store in memory for unit tests: a transaction takes effect when it is done, whole, and is copied on the way. */
export class FakeStore implements Store {
  readonly #records = new Map<string, { readonly key: StoreKey; readonly value: StoreValue }>();
  /** The next write fails with this, and nothing of it is kept. */
  failNext: Error | null = null;
  /** Transactions done, with what they wrote. */
  readonly transactions: { readonly operations: readonly StoreOperation[]; readonly durable: boolean }[] = [];

  get(key: StoreKey): StoreValue | undefined {
    const record = this.#records.get(JSON.stringify(key));
    return record === undefined ? undefined : structuredClone(record.value);
  }

  range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }> {
    const isBelow = (key: StoreKey): boolean =>
      key.length > prefix.length && prefix.every((part, place) => key[place] === part);
    const found = [...this.#records.values()].filter(({ key }) => isBelow(key));
    const order = ({ key }: { readonly key: StoreKey }): string => JSON.stringify(key);
    return structuredClone(found.sort((a, b) => (order(a) < order(b) ? -1 : 1)));
  }

  write(
    change: (transaction: StoreTransaction) => void,
    options: WriteOptions,
    done: (error: Error | null) => void,
  ): void {
    queueMicrotask(() => {
      const failure = this.failNext;
      this.failNext = null;
      const operations: StoreOperation[] = [];
      change({
        put: (key, value) => operations.push({ kind: 'put', key, value: structuredClone(value) }),
        remove: (key) => operations.push({ kind: 'remove', key }),
      });
      if (failure === null) {
        for (const operation of operations) {
          const name = JSON.stringify(operation.key);
          if (operation.kind === 'put') this.#records.set(name, operation);
          else this.#records.delete(name);
        }
        this.transactions.push({ operations, durable: options.durable });
      }
      done(failure);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
