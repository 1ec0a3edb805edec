import { limits } from '../kernel/limits.js';
import { DriftEstimate, type ClockPoint } from './drift-estimate.js';

/** One question and its answer: two readings of the clock here, and between them two of the one that was asked. */
export interface ClockStamps {
  /** Here, no later than when the question left. */
  readonly sentMs: number;
  /** There, no sooner than when the question came. */
  readonly remoteReceivedMs: number;
  /** There, no later than when the answer left. */
  readonly remoteSentMs: number;
  /** Here, no sooner than when the answer came. */
  readonly receivedMs: number;
}

/** What the other clock shows: something from `earliestMs` to `latestMs`, most likely `bestMs`. */
export interface ClockReading {
  readonly earliestMs: number;
  readonly bestMs: number;
  readonly latestMs: number;
}

export interface ClockEstimateOptions {
  /** How much faster or slower than this clock the other may run, as a fraction. Default: each is off by `limits.clockRateError`. */
  readonly rateError?: number;
}

/** One clock fast by as much as is allowed, the other slow by as much. */
const pairRateError = (2 * limits.clockRateError) / (1 - limits.clockRateError);

interface Bounds {
  /** On the clock here. */
  readonly atMs: number;
  readonly earliestMs: number;
  readonly latestMs: number;
}

/**
 * What a reference clock shows, seen from a local monotonic one, out of stamps that crossed a network. The two may be any
 * time apart. `at` is no guess: the true reading lies between `earliestMs` and `latestMs`, however unequal the two ways took
 * and however the clocks drifted, as long as their rates differ by no more than `rateError`.
 *
 * Each sample says: when its answer came, the other clock showed no less than when it answered, and no more than when
 * it was asked plus the whole time in between. With age such an interval grows by the rate error at both ends, and what holds is in
 * all of them. The best value comes from the sample that waited least, carried on at the measured rate, and never leaves the interval.
 */
export class ClockEstimate {
  readonly #rateError: number;
  #bounds: Bounds | null = null;
  #drift: DriftEstimate;
  #contradictions = 0;

  constructor(options: ClockEstimateOptions = {}) {
    this.#rateError = options.rateError ?? pairRateError;
    this.#drift = new DriftEstimate(this.#rateError);
  }

  /** Samples that no clock within the rate error could have given after the earlier ones, which were dropped for them. */
  get contradictions(): number {
    return this.#contradictions;
  }

  /** Stamps that can't be true are passed over: `false`. */
  sample(stamps: ClockStamps): boolean {
    const told = boundsOf(stamps, this.#rateError);
    if (told === null) return false;
    this.#narrow(told);
    this.#drift.add(pointOf(stamps));
    return true;
  }

  /** The clock here may have stood still, for up to `forMs` of the true time, since the newest sample. */
  mayHaveStopped(forMs: number): void {
    if (this.#bounds === null || !(forMs > 0)) return;
    this.#bounds = { ...this.#bounds, latestMs: this.#bounds.latestMs + forMs * (1 + this.#rateError) };
    this.#drift = new DriftEstimate(this.#rateError);
  }

  /** Another clock is the reference now, or the one that was stood still: nothing that was measured holds. */
  forget(): void {
    this.#bounds = null;
    this.#drift = new DriftEstimate(this.#rateError);
  }

  /** What the other clock shows when the one here shows `localMs`. Null: nothing is known. */
  at(localMs: number): ClockReading | null {
    if (this.#bounds === null) return null;
    const { earliestMs, latestMs } = this.#widened(this.#bounds, localMs);
    const bestMs = this.#drift.at(localMs) ?? (earliestMs + latestMs) / 2;
    return { earliestMs, bestMs: Math.min(Math.max(bestMs, earliestMs), latestMs), latestMs };
  }

  /** No true reading is further than this from the best value, which need not be in the middle. Infinity when nothing is known. */
  errorMs(localMs: number): number {
    const reading = this.at(localMs);
    if (reading === null) return Infinity;
    const { earliestMs, bestMs, latestMs } = reading;
    return Math.max(latestMs - bestMs, bestMs - earliestMs);
  }

  /** When the clock here shows that the other shows `remoteMs`, as seen at `nowMs`, by the best value. Null: nothing is known. */
  localMsOf(remoteMs: number, nowMs: number): number | null {
    const now = this.at(nowMs);
    return now === null ? null : nowMs + (remoteMs - now.bestMs) / (1 + this.#drift.rate);
  }

  #narrow(told: Bounds): void {
    const before = this.#bounds;
    if (before === null) {
      this.#bounds = told;
      return;
    }
    // An answer that was slow to be used is about a moment that has passed.
    const atMs = Math.max(told.atMs, before.atMs);
    const known = this.#widened(before, atMs);
    const now = this.#widened(told, atMs);
    const earliestMs = Math.max(known.earliestMs, now.earliestMs);
    const latestMs = Math.min(known.latestMs, now.latestMs);
    if (earliestMs <= latestMs) {
      this.#bounds = { atMs, earliestMs, latestMs };
      return;
    }
    this.#contradictions += 1;
    this.forget();
    this.#bounds = now;
  }

  /** Backwards in time, too: what was true then is as far from what is known as what will be. */
  #widened({ atMs, earliestMs, latestMs }: Bounds, localMs: number): Bounds {
    const elapsedMs = localMs - atMs;
    const growthMs = Math.abs(elapsedMs) * this.#rateError;
    return { atMs: localMs, earliestMs: earliestMs + elapsedMs - growthMs, latestMs: latestMs + elapsedMs + growthMs };
  }
}

/** Beyond this there are no dates, and numbers are too coarse to tell milliseconds apart. */
const farthestMs = 8.64e15;
/** Clocks are read in steps, on both sides, … */
const resolutionMs = 0.001;
/** … and sums of large numbers are rounded: a few units of the last place, some microseconds for dates of this century. */
const rounding = 2 ** -50;

function boundsOf(stamps: ClockStamps, rateError: number): Bounds | null {
  const { sentMs, remoteReceivedMs, remoteSentMs, receivedMs } = stamps;
  for (const stamp of [sentMs, remoteReceivedMs, remoteSentMs, receivedMs]) {
    if (!(Math.abs(stamp) <= farthestMs)) return null;
  }
  if (receivedMs < sentMs || remoteSentMs < remoteReceivedMs) return null;
  const slackMs = resolutionMs + rounding * Math.max(Math.abs(remoteSentMs), Math.abs(receivedMs), Math.abs(sentMs));
  const earliestMs = remoteSentMs - slackMs;
  const latestMs = remoteReceivedMs + (receivedMs - sentMs) * (1 + rateError) + slackMs;
  // It can't have worked on the answer for longer than the answer took.
  return earliestMs <= latestMs ? { atMs: receivedMs, earliestMs, latestMs } : null;
}

function pointOf({ sentMs, remoteReceivedMs, remoteSentMs, receivedMs }: ClockStamps): ClockPoint {
  return {
    localMs: (sentMs + receivedMs) / 2,
    aheadMs: (remoteReceivedMs - sentMs + (remoteSentMs - receivedMs)) / 2,
    waitedMs: Math.max(0, receivedMs - sentMs - (remoteSentMs - remoteReceivedMs)),
  };
}
