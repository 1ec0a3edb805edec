import { cycleBounds as bounds } from './core/bounds.js';
import type { ShownCycle, ShownIterator } from './types.js';

/** The contents that a copy shows, for any number of readers, each at its own pace and within a bound. */
export class ShownCycles {
  readonly #readers = new Set<Reader>();
  #ended = false;

  push(shown: Omit<ShownCycle, 'skipped'>): void {
    for (const reader of this.#readers) reader.push(shown);
  }

  /** Begins now, not with the first `next`: nothing that is shown in between is missed. */
  subscribe(signal: AbortSignal | undefined): ShownIterator {
    const end = (): void => {
      reader.end();
    };
    const reader = new Reader(() => {
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

class Reader implements ShownIterator {
  readonly #leave: () => void;
  #buffer: ShownCycle[] = [];
  #waiting: ((result: IteratorResult<ShownCycle, undefined>) => void)[] = [];
  #ended = false;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  push(shown: Omit<ShownCycle, 'skipped'>): void {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      waiter({ done: false, value: { ...shown, skipped: 0 } });
      return;
    }
    // Too slow: the newest is what counts, and how many it stands for is told.
    const isFull = this.#buffer.length >= bounds.changesBuffered;
    const skipped = isFull ? this.#buffer.reduce((sum, before) => sum + 1 + before.skipped, 0) : 0;
    this.#buffer = [...(isFull ? [] : this.#buffer), { ...shown, skipped }];
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

  next(): Promise<IteratorResult<ShownCycle, undefined>> {
    const shown = this.#buffer.shift();
    if (shown !== undefined) return Promise.resolve({ done: false, value: shown });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  return(): Promise<IteratorResult<ShownCycle, undefined>> {
    this.#buffer = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
