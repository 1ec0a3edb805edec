import { cycleBounds as bounds } from './bounds.js';

/** A retry that doubles, from one success to the next. */
export class Backoff {
  #nextMs: number = bounds.retryMinMs;

  reset(): void {
    this.#nextMs = bounds.retryMinMs;
  }

  nextMs(): number {
    const waitMs = this.#nextMs;
    this.#nextMs = Math.min(waitMs * 2, bounds.retryMaxMs);
    return waitMs;
  }
}
