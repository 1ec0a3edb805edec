import type { Tip } from '../../shared/protocol/kernel/ids.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import type { Columns } from '../../shared/protocol/key-value/change-codec.js';
import type { Operation } from '../../shared/protocol/key-value/operations.js';
import type { ChangeIterator, ExposedChange } from '../types.js';
import type { KeyValueChange } from './key-value-types.js';

/** What the newest changes did, for those who read `changes()`: kept only while there is one, and within a bound. */
export class RecentChanges {
  readonly #kept = new Map<Tip, { readonly columns: Columns; readonly bytes: number }>();
  #bytes = 0;
  #readers = 0;

  get isRead(): boolean {
    return this.#readers > 0;
  }

  /** By the very tip that the service will name: two of one content are two. */
  keep(tip: Tip, columns: Columns, bytes: number): void {
    this.#kept.set(tip, { columns, bytes });
    this.#bytes += bytes;
    for (const [oldest, kept] of this.#kept) {
      if (this.#bytes <= bounds.maxRecentBytes) return;
      this.#kept.delete(oldest);
      this.#bytes -= kept.bytes;
    }
  }

  /** The same changes, each with what it did. */
  read<Value>(
    changes: ChangeIterator<ExposedChange>,
    signal: AbortSignal | undefined,
  ): ChangeIterator<KeyValueChange<Value>> {
    this.#readers += 1;
    const leave = (): void => {
      signal?.removeEventListener('abort', leave);
      this.#leave();
    };
    const reader = new Reader<Value>(changes, once(leave), (tip) => this.#kept.get(tip)?.columns);
    if (signal?.aborted === true) reader.leave();
    else signal?.addEventListener('abort', reader.leave, { once: true });
    return reader;
  }

  #leave(): void {
    this.#readers -= 1;
    if (this.#readers > 0) return;
    this.#kept.clear();
    this.#bytes = 0;
  }
}

class Reader<Value> implements ChangeIterator<KeyValueChange<Value>> {
  readonly leave: () => void;
  readonly #changes: ChangeIterator<ExposedChange>;
  readonly #columnsOf: (tip: Tip) => Columns | undefined;

  constructor(changes: ChangeIterator<ExposedChange>, leave: () => void, columnsOf: (tip: Tip) => Columns | undefined) {
    this.leave = leave;
    this.#changes = changes;
    this.#columnsOf = columnsOf;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<KeyValueChange<Value>, undefined>> {
    const result = await this.#changes.next();
    if (result.done === true) {
      this.leave();
      return result;
    }
    const { tip, skipped } = result.value;
    const columns = skipped === 0 ? this.#columnsOf(tip) : undefined;
    const operations = columns === undefined ? null : operationsOf<Value>(columns);
    return { done: false, value: { tip, skipped, operations } };
  }

  async return(): Promise<IteratorResult<KeyValueChange<Value>, undefined>> {
    this.leave();
    await this[Symbol.asyncDispose]();
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.leave();
    await this.#changes[Symbol.asyncDispose]();
  }
}

function operationsOf<Value>({ keys, values, deletes }: Columns): readonly Operation<Value>[] {
  let nextDelete = 0;
  return keys.map((key, position) => {
    if (deletes[nextDelete] !== position) return { put: [key, values[position] as Value] };
    nextDelete += 1;
    return { delete: key };
  });
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}
