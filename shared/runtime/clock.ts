import type { Clock } from './ports.js';

/** Above this a system timer fires at once instead of late. */
const longestTimerMs = 2 ** 31 - 1;

/** A system timer is late by a millisecond, sometimes two: from here on to an exact time, the process sleeps. */
const approachMs = 2;
/** A sleep ends late by less than this, so that it is asked to end so much sooner; what is left is no time for anything else. */
const sleepLateMs = 0.06;

/** Nobody ever wakes who waits on it: it only is what a thread can sleep on, to the microsecond. */
const sleeper = new Int32Array(new SharedArrayBuffer(4));

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

  /**
   * The last stretch is slept in one piece, which the system ends far more exactly than a timer. Looking at the clock all the time
   * instead would take a processor from whoever else of the group waits on this machine for the same instant.
   */
  exactlyAt(atMs: number, callback: () => void): () => void {
    return this.at(atMs - approachMs, () => {
      const sleepMs = atMs - performance.now() - sleepLateMs;
      if (sleepMs > 0) Atomics.wait(sleeper, 0, 0, Math.min(sleepMs, approachMs));
      let nowMs = performance.now();
      while (nowMs < atMs) nowMs = performance.now();
      callback();
    });
  }
}
