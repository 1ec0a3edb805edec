import { setTimeout as pause } from 'node:timers/promises';
import { errorText } from '../../shared/protocol/kernel/errors.js';
import { percentileUs } from './serve.js';

/** One change after another, a few each second, and how long each took. */
export class Live {
  readonly #times: number[] = [];
  readonly #done: Promise<void>;
  #aborted = 0;
  #ended = false;

  constructor(change: (count: number) => Promise<void>, perSecond: number) {
    this.#done = this.#run(change, 1000 / perSecond);
  }

  async end(): Promise<{ committed: number; aborted: number; p50Us: number; p99Us: number }> {
    this.#ended = true;
    await this.#done;
    const sorted = Float64Array.from(this.#times).sort();
    const committed = sorted.length;
    return { committed, aborted: this.#aborted, p50Us: percentileUs(sorted, 0.5), p99Us: percentileUs(sorted, 0.99) };
  }

  async #run(change: (count: number) => Promise<void>, everyMs: number): Promise<void> {
    for (let count = 0; !this.#ended; count += 1) {
      const startedMs = performance.now();
      try {
        await change(count);
        this.#times.push(performance.now() - startedMs);
      } catch (error) {
        this.#aborted += 1;
        process.stderr.write(`bench: ${errorText(error)}\n`);
      }
      const restMs = everyMs - (performance.now() - startedMs);
      if (restMs > 0) await pause(restMs);
    }
  }
}
