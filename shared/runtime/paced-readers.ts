import type { Tip } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { ChangeIterator, ExposedChange } from '../types.js';

/** The states that a copy exposes, for any number of readers, each at its own pace and within a bound. */
export class ExposedChanges {
  readonly #readers = new Set<Reader>();
  #ended = false;

  push(tip: Tip): void {
    for (const reader of this.#readers) reader.push(tip);
  }

  /** Begins now, not with the first `next`: nothing that is exposed in between is missed. */
  subscribe(signal: AbortSignal | undefined): ChangeIterator<ExposedChange> {
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

class Reader implements ChangeIterator<ExposedChange> {
  readonly #leave: () => void;
  #buffer: ExposedChange[] = [];
  #waiting: ((result: IteratorResult<ExposedChange, undefined>) => void)[] = [];
  #ended = false;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  push(tip: Tip): void {
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      waiter({ done: false, value: { tip, skipped: 0 } });
      return;
    }
    if (this.#buffer.length < limits.changesBuffered) {
      this.#buffer.push({ tip, skipped: 0 });
      return;
    }
    // Too slow: the newest is what counts, and how many it stands for is told (G10).
    const skipped = this.#buffer.reduce((sum, change) => sum + 1 + change.skipped, 0);
    this.#buffer = [{ tip, skipped }];
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

  next(): Promise<IteratorResult<ExposedChange, undefined>> {
    const change = this.#buffer.shift();
    if (change !== undefined) return Promise.resolve({ done: false, value: change });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  return(): Promise<IteratorResult<ExposedChange, undefined>> {
    this.#buffer = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
