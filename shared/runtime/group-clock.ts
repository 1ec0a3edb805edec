import { limits } from '../protocol/kernel/limits.js';
import type { Clock } from './ports.js';

/**
 * What makes group time out of a master's monotonic clock: taken once, when the master starts, so that nobody who sets its
 * time of day afterwards moves an instant that was agreed on.
 */
export function groupOffsetOf(clock: Clock): number {
  return clock.wallMs() - clock.monotonicMs();
}

/** The time of day is read in whole milliseconds, and somewhat later than the other clock. */
const noiseMs = 5;

/**
 * Finds sleeps of the machine, in which the monotonic clock stands still and the time of day goes on. A time of day that was
 * set looks the same, so that what is found may have been none; one that is set back hides a sleep.
 */
export class ClockJumps {
  readonly #clock: Clock;
  #aheadMs: number;
  #checkedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    const { aheadMs, nowMs } = this.#read();
    this.#aheadMs = aheadMs;
    this.#checkedMs = nowMs;
  }

  /** How long the machine may have slept since this was asked last, milliseconds; 0 when it hasn't. */
  takeMs(): number {
    const { aheadMs, nowMs, lateMs } = this.#read();
    const jumpedMs = aheadMs - this.#aheadMs;
    // Where the time of day is slewed and the monotonic clock isn't, they move apart at such a rate.
    const driftMs = (nowMs - this.#checkedMs) * limits.clockRateError;
    this.#checkedMs = nowMs;
    if (jumpedMs <= noiseMs + lateMs) {
      // Many short sleeps add up: the base follows no faster than drift explains.
      this.#aheadMs += jumpedMs < 0 ? jumpedMs : Math.min(jumpedMs, driftMs);
      return 0;
    }
    this.#aheadMs = aheadMs;
    return jumpedMs + noiseMs;
  }

  #read(): { readonly aheadMs: number; readonly nowMs: number; readonly lateMs: number } {
    const beforeMs = this.#clock.monotonicMs();
    const wallMs = this.#clock.wallMs();
    const nowMs = this.#clock.monotonicMs();
    return { aheadMs: wallMs - nowMs, nowMs, lateMs: nowMs - beforeMs };
  }
}
