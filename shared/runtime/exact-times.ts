/** A system timer is late by a millisecond, sometimes two: from here on to an exact time, the process sleeps. */
const approachMs = 5;
/** A sleep ends late by less than this, so that it is asked to end so much sooner; what is left is no time for anything else. */
const sleepLateMs = 0.06;
/** Times further apart than this are no company: in between, the sockets are served. */
const togetherMs = 5;

/** Nobody ever wakes who waits on it: it only is what a thread can sleep on, to the microsecond. */
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** What it needs of the machine: `SystemClock`. */
interface CoarseClock {
  monotonicMs(): number;
  at(atMs: number, callback: () => void): () => void;
}

/** Nothing else of this process runs meanwhile. */
function sleepOnThread(durationMs: number): void {
  Atomics.wait(sleeper, 0, 0, durationMs);
}

interface Waiting {
  readonly atMs: number;
  readonly callback: () => void;
}

/**
 * Callbacks at exact times, of a whole process. An ordinary timer leads close to the first; the last stretch is slept in one
 * piece, which the system ends far more exactly than a timer. Looking at the clock all the time instead would take a processor from
 * whoever else of the group waits on this machine for the same instant.
 *
 * Several nodes of a process that wait for one instant are called one right behind the other, before anything else gets its
 * turn: what follows from the first call, which may take long, keeps none of the others waiting.
 */
export class ExactTimes {
  readonly #clock: CoarseClock;
  readonly #sleep: (durationMs: number) => void;
  /** In the order of their times; who came first is first among equals. */
  #waiting: Waiting[] = [];
  #approachedMs = Infinity;
  #cancelApproach: (() => void) | null = null;

  constructor(clock: CoarseClock, sleep = sleepOnThread) {
    this.#clock = clock;
    this.#sleep = sleep;
  }

  /** Calls back once, not before `atMs` and not from inside the call. The returned function cancels it. */
  add(atMs: number, callback: () => void): () => void {
    if (atMs === Infinity) return () => undefined;
    const waiting: Waiting = { atMs, callback };
    const place = this.#waiting.findIndex((other) => other.atMs > atMs);
    this.#waiting.splice(place < 0 ? this.#waiting.length : place, 0, waiting);
    this.#approach();
    return () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
      this.#approach();
    };
  }

  #approach(): void {
    const firstMs = this.#waiting[0]?.atMs ?? Infinity;
    if (firstMs === this.#approachedMs) return;
    this.#cancelApproach?.();
    this.#approachedMs = firstMs;
    this.#cancelApproach = firstMs === Infinity ? null : this.#clock.at(firstMs - approachMs, () => this.#meet());
  }

  /** What is added from a callback gets a turn of its own, so that this one ends. */
  #meet(): void {
    const turn = this.#waiting.filter(({ atMs }) => atMs <= this.#approachedMs + togetherMs);
    this.#approachedMs = Infinity;
    try {
      for (const one of turn) {
        this.#sleepUntil(one.atMs);
        if (!this.#waiting.includes(one)) continue; // cancelled by the ones before
        this.#waiting = this.#waiting.filter((other) => other !== one);
        one.callback();
      }
    } finally {
      this.#approach();
    }
  }

  #sleepUntil(atMs: number): void {
    const sleepMs = atMs - this.#clock.monotonicMs() - sleepLateMs;
    if (sleepMs > 0) this.#sleep(sleepMs);
    while (this.#clock.monotonicMs() < atMs);
  }
}
