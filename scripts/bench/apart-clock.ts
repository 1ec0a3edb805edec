import type { Clock } from '../../shared/runtime/ports.js';

/**
 * The machine's clock as another machine might show it: at another time, and fast or slow. Timers still fire when this clock shows
 * that it is time.
 */
export class ApartClock implements Clock {
  readonly #machine: Clock;
  readonly #aheadMs: number;
  readonly #rate: number;

  constructor(machine: Clock, { aheadMs, rate }: { readonly aheadMs: number; readonly rate: number }) {
    this.#machine = machine;
    this.#aheadMs = aheadMs;
    this.#rate = rate;
  }

  monotonicMs(): number {
    return this.#machine.monotonicMs() * this.#rate + Math.abs(this.#aheadMs);
  }

  wallMs(): number {
    return this.#machine.wallMs() + this.#aheadMs;
  }

  at(atMs: number, callback: () => void): () => void {
    return this.#machine.at(this.#machineMs(atMs), callback);
  }

  exactlyAt(atMs: number, callback: () => void): () => void {
    return this.#machine.exactlyAt(this.#machineMs(atMs), callback);
  }

  soon(callback: () => void): void {
    this.#machine.soon(callback);
  }

  #machineMs(ownMs: number): number {
    return (ownMs - Math.abs(this.#aheadMs)) / this.#rate;
  }
}
