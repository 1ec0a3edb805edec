import { ExactTimes } from './exact-times.js';
import type { Clock } from './ports.js';

/** Above this a system timer fires at once instead of late. */
const longestTimerMs = 2 ** 31 - 1;

/**
 * The machine's clocks. Timers here are no finer than a millisecond and may be woken a little early, so every wake-up
 * looks at the clock again: a callback never runs before its time, never from inside `at`, and at most once.
 *
 * What has arrived by then is read first. A process that was kept from running finds its timers due and its sockets full;
 * were the timers served first, it would take for lost what has only waited, and ask the whole group to send it again.
 */
export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  soon(callback: () => void): void {
    setImmediate(callback);
  }

  at(atMs: number, callback: () => void): () => void {
    let timer: NodeJS.Timeout | undefined;
    let afterReading: NodeJS.Immediate | undefined;
    const arm = (remainingMs: number): void => {
      timer = setTimeout(wake, Math.min(Math.max(Math.ceil(remainingMs), 0), longestTimerMs));
    };
    const wake = (): void => {
      const remainingMs = atMs - performance.now();
      if (remainingMs > 0) arm(remainingMs);
      else afterReading = setImmediate(callback);
    };
    // "Never" needs no timer, and would keep the process alive.
    if (atMs !== Infinity) arm(atMs - performance.now());
    return () => {
      clearTimeout(timer);
      clearImmediate(afterReading);
    };
  }

  exactlyAt(atMs: number, callback: () => void): () => void {
    return exactTimes.add(atMs, callback);
  }
}

/** All clocks of this process are the same machine's, and its exact times are met in one go: see there. */
const exactTimes = new ExactTimes(new SystemClock());
