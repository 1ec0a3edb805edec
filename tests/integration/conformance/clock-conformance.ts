import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../shared/runtime/ports.js';
import type { ConformanceTime } from './harness.js';

export interface ClockHarness {
  readonly time: ConformanceTime;
  readonly clock: Clock;
}

/** What every clock keeps. */
export function clockConformance(name: string, makeHarness: () => Promise<ClockHarness>): void {
  describe(`${name}: clock`, () => {
    test('a callback runs once, not before its time and not from inside the call', async () => {
      const { clock, time } = await makeHarness();
      const calls: number[] = [];
      const atMs = clock.monotonicMs() + 12.5;
      clock.at(atMs, () => calls.push(clock.monotonicMs()));
      expect(calls).toEqual([]);
      await time.until(() => calls.length > 0, 'the callback');
      await time.pass(20);
      expect(calls).toHaveLength(1);
      expect(calls[0]).toBeGreaterThanOrEqual(atMs);
    });

    test('a time that has passed is due at once, and still not from inside the call', async () => {
      const { clock, time } = await makeHarness();
      let calls = 0;
      clock.at(clock.monotonicMs() - 1000, () => (calls += 1));
      expect(calls).toBe(0);
      await time.until(() => calls === 1, 'the callback');
    });

    test('a cancelled callback never runs; cancelling twice, or after it ran, does nothing', async () => {
      const { clock, time } = await makeHarness();
      const calls: string[] = [];
      const cancel = clock.at(clock.monotonicMs() + 5, () => calls.push('cancelled'));
      const cancelLate = clock.at(clock.monotonicMs() + 5, () => calls.push('ran'));
      cancel();
      cancel();
      await time.until(() => calls.length > 0, 'the other callback');
      cancelLate();
      await time.pass(15);
      expect(calls).toEqual(['ran']);
    });

    test('callbacks run in the order of their times', async () => {
      const { clock, time } = await makeHarness();
      const calls: number[] = [];
      const nowMs = clock.monotonicMs();
      for (const afterMs of [30, 10, 20]) clock.at(nowMs + afterMs, () => calls.push(afterMs));
      await time.until(() => calls.length === 3, 'all callbacks');
      expect(calls).toEqual([10, 20, 30]);
    });

    test('a time far beyond what a system timer can hold, and never, do not come at once', async () => {
      const { clock, time } = await makeHarness();
      let calls = 0;
      const cancels = [2 ** 31, 2 ** 40, Infinity].map((afterMs) =>
        clock.at(clock.monotonicMs() + afterMs, () => (calls += 1)),
      );
      await time.pass(30);
      for (const cancel of cancels) cancel();
      expect(calls).toBe(0);
    });

    test('an exact time is met closely, again and again, and never before it', async () => {
      const { clock, time } = await makeHarness();
      const lateMs: number[] = [];
      let isOver = false;
      const next = (): void => {
        if (isOver) return;
        const atMs = clock.monotonicMs() + 4.3;
        clock.exactlyAt(atMs, () => {
          lateMs.push(clock.monotonicMs() - atMs);
          next();
        });
      };
      next();
      expect(lateMs).toEqual([]);
      // A machine that is busy meets some of them late; a timer alone would never meet six of eight.
      const isClose = (): boolean => lateMs.slice(-8).filter((late) => late < 0.2).length >= 6;
      await time.until(() => lateMs.length >= 8 && isClose(), 'six of eight within a fifth of a millisecond');
      isOver = true;
      expect(Math.min(...lateMs)).toBeGreaterThanOrEqual(0);
    });

    test('an exact time: once, not from inside the call, never after it was cancelled, and not at once when it is far', async () => {
      const { clock, time } = await makeHarness();
      const calls: string[] = [];
      const nowMs = clock.monotonicMs();
      const cancels = [1, 6, 2 ** 31, 2 ** 40, Infinity].map((afterMs) =>
        clock.exactlyAt(nowMs + afterMs, () => calls.push(`${afterMs}`)),
      );
      for (const cancel of cancels) cancel();
      for (const afterMs of [2 ** 31, 2 ** 40, Infinity])
        cancels.push(clock.exactlyAt(nowMs + afterMs, () => calls.push('far')));
      const cancelLate = clock.exactlyAt(nowMs - 50, () => calls.push('past'));
      clock.exactlyAt(nowMs + 5, () => calls.push('five'));
      expect(calls).toEqual([]);
      await time.until(() => calls.length === 2, 'both that are near');
      cancelLate();
      await time.pass(15);
      for (const cancel of cancels) cancel();
      expect(calls).toEqual(['past', 'five']);
    });

    test('soon: once, after promises that hang on what runs now, before anything is waited for', async () => {
      const { clock, time } = await makeHarness();
      const calls: string[] = [];
      clock.at(clock.monotonicMs() + 5, () => calls.push('timer'));
      clock.soon(() => calls.push('soon'));
      void Promise.resolve()
        .then(() => undefined)
        .then(() => calls.push('promise'));
      expect(calls).toEqual([]);
      await time.until(() => calls.length === 3, 'all three');
      expect(calls).toEqual(['promise', 'soon', 'timer']);
    });

    test('the monotonic clock never goes back, and moves', async () => {
      const { clock, time } = await makeHarness();
      const startMs = clock.monotonicMs();
      let lastMs = startMs;
      await time.until(() => {
        const nowMs = clock.monotonicMs();
        expect(nowMs).toBeGreaterThanOrEqual(lastMs);
        lastMs = nowMs;
        return nowMs >= startMs + 10;
      }, 'ten milliseconds');
      const wallMs = clock.wallMs();
      await time.pass(20);
      expect(clock.wallMs()).toBeGreaterThan(wallMs);
    });
  });
}
