import type { Clock } from './ports.js';

/** Above this a system timer fires at once instead of late. */
const longestTimerMs = 2 ** 31 - 1;

/** A system timer is late by a millisecond, sometimes two: from here on to an exact time, the clock is looked at all the time. */
const approachMs = 2;

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

  /** Each look is a turn of the event loop, which reads what has arrived and waits for nothing while another turn is asked for. */
  exactlyAt(atMs: number, callback: () => void): () => void {
    let turn: NodeJS.Immediate | undefined;
    const approach = (): void => {
      if (performance.now() >= atMs) callback();
      else turn = setImmediate(approach);
    };
    const cancelTimer = this.at(atMs - approachMs, approach);
    return () => {
      cancelTimer();
      clearImmediate(turn);
    };
  }
}
