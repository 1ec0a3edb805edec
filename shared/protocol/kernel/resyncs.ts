import type { Tip } from './ids.js';
import { versionOf } from './ids.js';
import { limits } from './limits.js';

/**
 * Why a copy had to be brought up by something else than the packets of its rounds.
 *
 * `new`: there was no copy; `gap`: a few versions were lacking; `fell-behind`: more than `limits.voterLagVersions` were;
 * `too-old`: the master's history no longer reached back to it; `diverged`: it was off the master's chain.
 */
export const resyncCauses = ['new', 'gap', 'fell-behind', 'too-old', 'diverged'] as const;
/** One of `resyncCauses`. */
export type ResyncCause = (typeof resyncCauses)[number];
/** Since the process started; what never happened has no count. */
export type ResyncCounts = Readonly<Partial<Record<ResyncCause, number>>>;

/**
 * Counts each resync once, however often it asks: it lasts until the copy reaches what was committed when it began.
 */
export class Resyncs {
  readonly #counts: Partial<Record<ResyncCause, number>> = {};
  #untilVersion = 0;
  #lastCause: ResyncCause | null = null;

  /** A copy at `from` asks for what leads to `to`; `lacking` is how many versions that is, or how many at most. */
  onAsked(from: Tip | null, to: Tip | null, lacking: number): void {
    if (versionOf(from) < this.#untilVersion) return;
    this.#begin(from === null ? 'new' : lacking > limits.voterLagVersions ? 'fell-behind' : 'gap', to);
  }

  /** A delta won't do: what is under way is no longer what it began as. */
  onTurnedInto(cause: 'too-old' | 'diverged', to: Tip | null): void {
    if (this.#lastCause !== cause) this.#begin(cause, to);
  }

  /** The copy got to a tip: what lies behind it is over. */
  onReached(tip: Tip | null): void {
    if (versionOf(tip) >= this.#untilVersion) this.#lastCause = null;
  }

  /** Another reign may begin at an older version. */
  onNewReign(): void {
    this.#untilVersion = 0;
  }

  get counts(): ResyncCounts {
    return { ...this.#counts };
  }

  #begin(cause: ResyncCause, to: Tip | null): void {
    this.#counts[cause] = (this.#counts[cause] ?? 0) + 1;
    this.#untilVersion = versionOf(to);
    this.#lastCause = cause;
  }
}
