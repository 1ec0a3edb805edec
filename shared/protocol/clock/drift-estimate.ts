/** One sample as a point: how far the other clock was ahead when the one here showed `localMs`. */
export interface ClockPoint {
  readonly localMs: number;
  readonly aheadMs: number;
  /** The two ways together: the true `aheadMs` is within half of it. */
  readonly waitedMs: number;
}

/** The newest points, whatever they waited: a burst, or some seconds while an instant is near. */
const recentPoints = 8;
/** Of each such span the point that waited least is kept, … */
const spanMs = 8000;
/** … for two minutes: crystals change their rate with temperature, hardly faster. */
const spans = 16;
/** Points closer together tell more of the network than of the clocks' rates. */
const shortestBaseMs = 8000;
/** What a measured rate is wrong by after a while; weighs an old point that waited little against a new one that waited long. */
const wander = 0.00002;

/**
 * The likeliest reading of another clock: the point that waited least, carried on at the rate that the points show. Where
 * queues are short both ways are alike, which is when the middle is right. It promises nothing; `ClockEstimate` has the bounds.
 */
export class DriftEstimate {
  readonly #rateError: number;
  #recent: ClockPoint[] = [];
  #kept: ClockPoint[] = [];
  #rate = 0;

  constructor(rateError: number) {
    this.#rateError = rateError;
  }

  /** How much faster than this clock the other runs, as a fraction; 0 until it is known better than the rate error. */
  get rate(): number {
    return this.#rate;
  }

  add(point: ClockPoint): void {
    this.#recent = [...this.#recent.slice(1 - recentPoints), point];
    const newest = this.#kept.at(-1);
    if (newest === undefined || spanOf(newest) !== spanOf(point)) this.#kept = [...this.#kept.slice(1 - spans), point];
    else if (point.waitedMs <= newest.waitedMs) this.#kept[this.#kept.length - 1] = point;
    this.#rate = this.#measuredRate();
  }

  /** Null before the first point. */
  at(localMs: number): number | null {
    let best: ClockPoint | null = null;
    let leastDoubt = Infinity;
    for (const point of [...this.#kept, ...this.#recent]) {
      const doubt = point.waitedMs / 2 + wander * Math.abs(localMs - point.localMs);
      if (doubt > leastDoubt) continue;
      best = point;
      leastDoubt = doubt;
    }
    return best === null ? null : localMs + best.aheadMs + (localMs - best.localMs) * this.#rate;
  }

  /** By the two points that leave least doubt: far apart, and with little waiting at both. */
  #measuredRate(): number {
    let rate = 0;
    let leastDoubt = this.#rateError;
    for (const [index, first] of this.#kept.entries()) {
      for (const second of this.#kept.slice(index + 1)) {
        const baseMs = second.localMs - first.localMs;
        const doubt = (first.waitedMs + second.waitedMs) / 2 / baseMs;
        if (baseMs < shortestBaseMs || doubt >= leastDoubt) continue;
        leastDoubt = doubt;
        rate = (second.aheadMs - first.aheadMs) / baseMs;
      }
    }
    return Math.min(Math.max(rate, -this.#rateError), this.#rateError);
  }
}

function spanOf({ localMs }: ClockPoint): number {
  return Math.floor(localMs / spanMs);
}
