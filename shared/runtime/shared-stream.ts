import { LockstepError } from '../protocol/kernel/errors.js';
import type { Clock } from './ports.js';

export interface SharedStreamOptions {
  readonly source: AsyncIterable<Uint8Array>;
  readonly clock: Clock;
  /** What may be held between the fastest reader and the slowest, and of the beginning for those who come later. */
  readonly windowBytes: number;
  /** How long the others wait for a reader that takes nothing. */
  readonly patienceMs: number;
}

/**
 * One source for several readers: read and encoded once, held only between the fastest reader and the slowest.
 *
 * A reader may join as long as the beginning is held, so a stream that fits into the window is shared by all who come while
 * it is kept. Beyond that the fastest waits for the slowest, within bounds: a reader that costs the others more than half
 * of their time, or takes nothing for a while, is cut off, so that one slow slave never slows the rest.
 */
export class SharedStream {
  readonly #options: SharedStreamOptions;
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #readers = new Set<Reader>();
  readonly #startedMs: number;
  readonly #chunks: Uint8Array[] = [];
  /** The position of the first chunk that is held. */
  #first = 0;
  #heldBytes = 0;
  #end: { readonly error: Error | null } | null = null;
  #pulling: Promise<void> | null = null;
  #stalled: { readonly sinceMs: number; readonly cancel: () => void } | null = null;
  #stalledMs = 0;
  #wake: (() => void)[] = [];

  /** Reads the first chunk at once: a source is pinned when it is asked, and not when somebody fetches. */
  constructor(options: SharedStreamOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
    this.#source = options.source[Symbol.asyncIterator]();
    void this.#pull();
  }

  /** The beginning is there, so that another reader may join. */
  get isJoinable(): boolean {
    return this.#first === 0 && (this.#end?.error ?? null) === null;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /** `cutOff` is called when this reader was too slow for the others. */
  join(cutOff: () => void): AsyncIterableIterator<Uint8Array> {
    if (!this.isJoinable) throw new LockstepError('bad-input', 'the beginning of this stream is gone');
    const reader: Reader = { position: 0, error: null, cutOff };
    this.#readers.add(reader);
    const iterator: AsyncIterableIterator<Uint8Array> = {
      next: () => this.#next(reader),
      return: () => {
        this.#leave(reader);
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** Nobody joins any more. What the readers don't need is let go; without readers the source too. */
  close(): void {
    if (this.#first === 0) this.#drop(Math.min(this.#chunks.length, this.#slowest()));
    if (this.#readers.size > 0 || this.#end !== null) return;
    this.#end = { error: new LockstepError('closed', 'nobody reads this stream any more') };
    this.#source.return?.().catch(() => undefined);
  }

  async #next(reader: Reader): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      if (reader.error !== null) throw reader.error;
      const chunk = this.#chunks[reader.position - this.#first];
      if (chunk !== undefined) {
        reader.position += 1;
        this.#trim();
        return { done: false, value: chunk };
      }
      if (this.#end !== null) {
        this.#leave(reader);
        if (this.#end.error !== null) throw this.#end.error;
        return { done: true, value: undefined };
      }
      if (this.#hasRoom()) await (this.#pulling ?? this.#pull());
      else await this.#room();
    }
  }

  #pull(): Promise<void> {
    this.#pulling = this.#source.next().then(
      (result) => {
        this.#pulling = null;
        if (result.done === true) this.#end ??= { error: null };
        else {
          this.#chunks.push(result.value);
          this.#heldBytes += result.value.byteLength;
          this.#trim();
        }
      },
      (error: unknown) => {
        this.#pulling = null;
        this.#end ??= { error: error instanceof Error ? error : new Error(String(error)) };
      },
    );
    return this.#pulling;
  }

  #leave(reader: Reader): void {
    if (!this.#readers.delete(reader)) return;
    this.#trim();
    this.#roomAgain();
    if (this.#readers.size === 0 && !this.isJoinable) this.close();
  }

  #hasRoom(): boolean {
    return this.#heldBytes < this.#options.windowBytes || this.#slowest() > this.#first;
  }

  #slowest(): number {
    let slowest = Infinity;
    for (const { position } of this.#readers) slowest = Math.min(slowest, position);
    return slowest;
  }

  /** The beginning stays while it fits, for those who come later; once some of it is gone, only what is needed stays. */
  #trim(): void {
    const slowest = this.#slowest();
    while (this.#chunks.length > 0 && this.#first < slowest) {
      if (this.#first === 0 && this.#heldBytes <= this.#options.windowBytes) break;
      this.#drop(1);
    }
    if (this.#hasRoom()) this.#roomAgain();
  }

  #drop(count: number): void {
    for (const chunk of this.#chunks.splice(0, count)) this.#heldBytes -= chunk.byteLength;
    this.#first += count;
  }

  // ── waiting for the slowest ───────────────────────────────────────────────────────────────────────────────────────

  #room(): Promise<void> {
    this.#stall();
    return new Promise((resolve) => {
      this.#wake.push(resolve);
    });
  }

  #stall(): void {
    if (this.#stalled !== null) return;
    const { clock, patienceMs } = this.#options;
    const sinceMs = clock.monotonicMs();
    // In all, the readers wait for the slowest no longer than half of the time, and no longer than this in one go.
    const allowedMs = Math.max(patienceMs, (sinceMs - this.#startedMs) / 2) - this.#stalledMs;
    const cancel = clock.at(sinceMs + Math.max(0, Math.min(patienceMs, allowedMs)), () => this.#cutSlowest());
    this.#stalled = { sinceMs, cancel };
  }

  #roomAgain(): void {
    if (this.#stalled !== null) {
      this.#stalled.cancel();
      this.#stalledMs += this.#options.clock.monotonicMs() - this.#stalled.sinceMs;
      this.#stalled = null;
    }
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }

  #cutSlowest(): void {
    const slowest = this.#slowest();
    for (const reader of [...this.#readers]) {
      if (reader.position > slowest) continue;
      reader.error = new LockstepError('timed-out', 'too slow for a stream that others share; it is served alone next');
      this.#readers.delete(reader);
      reader.cutOff();
    }
    this.#trim();
    this.#roomAgain();
  }
}

interface Reader {
  position: number;
  error: Error | null;
  readonly cutOff: () => void;
}
