/** One sample as a point: how far the other clock was ahead when the one here showed `localMs`. */
export interface ClockPoint {
  readonly localMs: number;
  readonly aheadMs: number;
  /** The two ways together: the true `aheadMs` is within half of it. */
  readonly waitedMs: number;
}

/** The newest; a dozen seconds' worth while an instant is near, and four minutes' otherwise. */
const keptPoints = 48;
/** What clocks are read to and wake-ups differ by, beside all waiting. */
const leastDoubtMs = 0.01;
/** By how much a point doubts more with each millisecond of age, a fraction: crystals change their rate with temperature, slowly. */
const wander = 0.00002;
/** A point's weight falls with this power of its doubt. Queues make one way longer, not both by chance: they don't average out. */
const weightPower = 4;

/** A straight line through the points: `aheadMs` at `localMs`, and the rate. */
interface Line {
  readonly localMs: number;
  readonly aheadMs: number;
  readonly rate: number;
}

/**
 * The likeliest reading of another clock: a line through the newest points, which weigh the more the less they waited. Where
 * queues are short both ways are alike, which is when the middle is right. It promises nothing; `ClockEstimate` has the bounds.
 */
export class DriftEstimate {
  readonly #rateError: number;
  #points: ClockPoint[] = [];
  #line: Line | null = null;

  constructor(rateError: number) {
    this.#rateError = rateError;
  }

  /** How much faster than this clock the other runs, as a fraction; near 0 until points that are far enough apart tell. */
  get rate(): number {
    return this.#line?.rate ?? 0;
  }

  add(point: ClockPoint): void {
    this.#points = [...this.#points.slice(1 - keptPoints), point];
    this.#line = this.#fit(point.aheadMs);
  }

  /** Null before the first point. */
  at(localMs: number): number | null {
    if (this.#line === null) return null;
    return localMs + this.#line.aheadMs + (localMs - this.#line.localMs) * this.#line.rate;
  }

  /**
   * Least squares, with the prior belief that clocks run alike: one point says nothing of the rate. Sums are of differences from `baseMs`, since
   * dates leave few digits for microseconds.
   */
  #fit(baseMs: number): Line {
    const newestMs = Math.max(...this.#points.map(({ localMs }) => localMs));
    const weighed = this.#points.map((point) => {
      const ageMs = newestMs - point.localMs;
      const doubtMs = point.waitedMs / 2 + leastDoubtMs + wander * ageMs;
      return { ageMs, aheadMs: point.aheadMs - baseMs, doubtMs };
    });
    const least = Math.min(...weighed.map(({ doubtMs }) => doubtMs));
    const weights = weighed.map(({ doubtMs }) => (least / doubtMs) ** weightPower);
    const sum = (of: (point: (typeof weighed)[number]) => number): number =>
      weighed.reduce((total, point, index) => total + (weights[index] ?? 0) * of(point), 0);
    const weight = sum(() => 1);
    const meanAgeMs = sum(({ ageMs }) => ageMs) / weight;
    const meanAheadMs = sum(({ aheadMs }) => aheadMs) / weight;
    const spread = sum(({ ageMs }) => (ageMs - meanAgeMs) ** 2);
    const slope = sum(({ ageMs, aheadMs }) => (meanAgeMs - ageMs) * (aheadMs - meanAheadMs));
    // One point can't outweigh it, several that are seconds apart do.
    const prior = (least / this.#rateError) ** 2;
    const rate = Math.min(Math.max(slope / (spread + prior), -this.#rateError), this.#rateError);
    return { localMs: newestMs, aheadMs: baseMs + meanAheadMs + meanAgeMs * rate, rate };
  }
}
