import type { Delta, Tip } from '../protocol/kernel/ids.js';

/** The committed changes that a node can still tell, and news of the next ones. What a feed reads. */
export interface DeltaSource {
  /** The newest state that shows here. */
  readonly tip: Tip | null;
  /** The version from which on changes are known; null when none are known at all. */
  readonly oldestVersion: number | null;
  /** Rises when what follows doesn't lead on from what was told before: a snapshot took the copy's place. */
  readonly breaks: number;
  /**
   * Changes above `version`, oldest first, at most `count`; empty when there are none yet, null when they are no longer
   * known. The first may start below `version`: it then holds more than is lacking.
   */
  after(version: number, count: number): readonly Delta[] | null;
  /** The state of this version, when it is known here; null when it isn't, or when there was none. */
  tipAt(version: number): Tip | null;
  /** Calls back after each change, and after each break; more is to be had from `after`. The returned function stops it. */
  listen(wake: () => void): () => void;
}

/** Where changes above `version` begin in an ascending list. */
export function indexAfter(deltas: readonly Delta[], version: number): number {
  let low = 0;
  let high = deltas.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((deltas[middle]?.to.version ?? 0) <= version) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Those who wait for news; costs a look at a number while there are none. */
export class Wakers {
  readonly #wakers = new Set<() => void>();

  listen(wake: () => void): () => void {
    // A function of its own for each call, so that one given twice is there twice.
    const entry = (): void => {
      wake();
    };
    this.#wakers.add(entry);
    return () => {
      this.#wakers.delete(entry);
    };
  }

  get size(): number {
    return this.#wakers.size;
  }

  wake(): void {
    if (this.#wakers.size > 0) for (const wake of this.#wakers) wake();
  }
}
