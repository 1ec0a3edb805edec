/** What a reader gets: an item, and how many before it this one was too slow for. */
export type Paced<Item> = Item & { readonly skipped: number };

type PacedIterator<Read> = AsyncIterableIterator<Read, undefined, undefined> & AsyncDisposable;

/**
 * What happens one after another, for any number of readers, each at its own pace: `bound` items wait for a reader, and beyond
 * them it is given the newest only (G10).
 */
export class PacedReaders<Item extends object> {
  readonly #bound: number;
  readonly #readers = new Set<Reader<Item>>();
  #ended = false;

  constructor(bound: number) {
    this.#bound = bound;
  }

  push(item: Item): void {
    for (const reader of this.#readers) reader.push(item);
  }

  /** Begins now, not with the first `next`: nothing that is pushed in between is missed. */
  subscribe(signal: AbortSignal | undefined): PacedIterator<Paced<Item>> {
    const end = (): void => {
      reader.end();
    };
    const reader = new Reader<Item>(this.#bound, () => {
      this.#readers.delete(reader);
      signal?.removeEventListener('abort', end);
    });
    if (this.#ended || signal?.aborted === true) {
      reader.end();
      return reader;
    }
    this.#readers.add(reader);
    signal?.addEventListener('abort', end, { once: true });
    return reader;
  }

  /** Readers get what they haven't read yet, then the end. */
  end(): void {
    this.#ended = true;
    for (const reader of [...this.#readers]) reader.end();
  }
}

class Reader<Item extends object> implements PacedIterator<Paced<Item>> {
  readonly #bound: number;
  readonly #leave: () => void;
  #buffer: Paced<Item>[] = [];
  #waiting: ((result: IteratorResult<Paced<Item>, undefined>) => void)[] = [];
  #ended = false;

  constructor(bound: number, leave: () => void) {
    this.#bound = bound;
    this.#leave = leave;
  }

  push(item: Item): void {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      waiter({ done: false, value: { ...item, skipped: 0 } });
      return;
    }
    if (this.#buffer.length < this.#bound) {
      this.#buffer.push({ ...item, skipped: 0 });
      return;
    }
    // Too slow: the newest is what counts, and how many it stands for is told (G10).
    const skipped = this.#buffer.reduce((sum, before) => sum + 1 + before.skipped, 0);
    this.#buffer = [{ ...item, skipped }];
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#leave();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const waiter of waiting) waiter({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Paced<Item>, undefined>> {
    const item = this.#buffer.shift();
    if (item !== undefined) return Promise.resolve({ done: false, value: item });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  return(): Promise<IteratorResult<Paced<Item>, undefined>> {
    this.#buffer = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
