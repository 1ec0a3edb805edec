import type { Clock } from '../../shared/runtime/ports.js';

/** A clock that stands until it is moved. */
export class FakeClock implements Clock {
  #nowMs = 1000;
  readonly #due = new Set<{ readonly atMs: number; readonly callback: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  soon(callback: () => void): void {
    this.at(this.#nowMs, callback);
  }

  exactlyAt(atMs: number, callback: () => void): () => void {
    return this.at(atMs, callback);
  }

  at(atMs: number, callback: () => void): () => void {
    const timer = { atMs, callback };
    this.#due.add(timer);
    return () => this.#due.delete(timer);
  }

  /** Timers that are set and not due yet. */
  get timers(): number {
    return this.#due.size;
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
    for (const timer of [...this.#due].sort((a, b) => a.atMs - b.atMs)) {
      if (timer.atMs > this.#nowMs || !this.#due.delete(timer)) continue;
      timer.callback();
    }
  }
}
