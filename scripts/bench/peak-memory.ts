import { sampleMemory } from './serve.js';
import type { MemoryPeak } from './tasks.js';

/** Often enough to see a transfer of a fraction of a second. */
const everyMs = 20;

/** The most that this process held at a time, sampled by a timer: what came and went between two samples isn't seen. */
export class MemoryWatch {
  readonly #start = sampleMemory();
  #rssBytes = this.#start.rssBytes;
  #externalBytes = this.#start.externalBytes;
  readonly #timer = setInterval(() => this.#sample(), everyMs);

  #sample(): void {
    const { rss, external } = process.memoryUsage();
    this.#rssBytes = Math.max(this.#rssBytes, rss);
    this.#externalBytes = Math.max(this.#externalBytes, external);
  }

  end(): MemoryPeak {
    clearInterval(this.#timer);
    this.#sample();
    return {
      start: this.#start,
      end: sampleMemory(),
      peakRssBytes: this.#rssBytes,
      peakExternalBytes: this.#externalBytes,
    };
  }
}
