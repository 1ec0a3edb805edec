import type { ClockEstimate } from '../../../shared/protocol/clock/clock-estimate.js';
import type { CycleStamps } from './io.js';

/** Whether an instant has passed. `perhaps`: the clock is known, and not well enough to say. */
export type Passed = 'before' | 'perhaps' | 'after' | 'unknown';

export interface RemoteTimeReading {
  readonly earliestMs: number;
  readonly bestMs: number;
  readonly latestMs: number;
  readonly errorMs: number;
}

/** An estimate of double precision is never nearer than this to the time that it was asked for. */
const grainMs = 0.01;
/** Looked at again after this when a deadline has come by one reading and not by the next. */
const againMs = 0.5;

/**
 * The data server's time, with what can shake it: another process there, and a machine here that may have slept, during
 * which its monotonic clock stood. Every comparison with an instant goes through this.
 */
export class RemoteTime {
  readonly #clock: ClockEstimate;
  readonly #maxErrorMs: number;
  #clockId: string | null = null;
  /** The monotonic clock may have stood for so long since the clock was measured. */
  #doubtMs = 0;
  #doubtedAtMs = -Infinity;

  constructor(clock: ClockEstimate, maxErrorMs: number) {
    this.#clock = clock;
    this.#maxErrorMs = maxErrorMs;
  }

  /** Returns why what was known before was dropped, if it was. */
  sample({ clockId, ...stamps }: CycleStamps): string | null {
    // Asked before the doubt began: the clock may have stood between the stamps.
    if (stamps.sentMs < this.#doubtedAtMs) return null;
    let dropped: string | null = null;
    if (this.#clockId !== null && this.#clockId !== clockId) dropped = 'the data server was started again';
    if (dropped !== null || this.#doubtMs > 0) this.#clock.forget();
    const { contradictions } = this.#clock;
    this.#clock.sample(stamps);
    if (this.#clock.contradictions > contradictions)
      dropped = 'it shows what no clock could after what it showed before';
    this.#clockId = clockId;
    this.#doubtMs = 0;
    return dropped;
  }

  /**
   * The wall clock outran the monotonic one: it was set, or the machine slept for up to so long. Nothing is forgotten, since a
   * wall clock that is set changes nothing; until the next answer the data server's clock may be ahead by that, too.
   */
  doubt(byMs: number, nowMs: number): void {
    this.#doubtMs += byMs;
    this.#doubtedAtMs = nowMs;
  }

  at(nowMs: number): RemoteTimeReading | null {
    const reading = this.#clock.at(nowMs);
    if (reading === null) return null;
    const { earliestMs, bestMs } = reading;
    const latestMs = reading.latestMs + this.#doubtMs;
    // Of the true time around the best value: what is reported is never exceeded.
    return { earliestMs, bestMs, latestMs, errorMs: Math.max(latestMs - bestMs, bestMs - earliestMs) };
  }

  /** By the best estimate while its error is within the bound; beyond it only what is certain counts. */
  passed(instantMs: number, nowMs: number): Passed {
    const reading = this.at(nowMs);
    if (reading === null) return 'unknown';
    const { earliestMs, bestMs, latestMs, errorMs } = reading;
    if (errorMs <= this.#maxErrorMs) return bestMs >= instantMs - grainMs ? 'after' : 'before';
    if (earliestMs >= instantMs - grainMs) return 'after';
    return latestMs >= instantMs - grainMs ? 'perhaps' : 'before';
  }

  /** When to look again whether the instant has passed; it hasn't yet. Infinity when nothing is known. */
  lookAgainMs(instantMs: number, nowMs: number): number {
    const reading = this.at(nowMs);
    if (reading === null) return Infinity;
    const bestAtMs = this.#clock.localMsOf(instantMs, nowMs) ?? Infinity;
    const isSure = reading.errorMs <= this.#maxErrorMs;
    // The error grows meanwhile; whichever may come first is looked at, and a look too many does nothing.
    const atMs = isSure || bestAtMs > nowMs ? bestAtMs : nowMs + (instantMs - reading.earliestMs);
    return Math.max(atMs, nowMs + againMs);
  }

  /** When the clock here shows that the data server's shows the instant, by the best estimate; null: not known. */
  localMsOf(instantMs: number, nowMs: number): number | null {
    return this.#clock.localMsOf(instantMs, nowMs);
  }
}
