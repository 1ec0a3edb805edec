import { describe, expect, test } from 'vitest';
import { ClockJumps, groupOffsetOf } from './group-clock.js';
import type { Clock } from './ports.js';

/** Two clocks that are moved by hand; this test sets no timers. */
class FakeClock implements Clock {
  nowMs = 1000;
  wallOffsetMs = 1_796_119_200_000;

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs + this.wallOffsetMs;
  }

  at(): () => void {
    throw new Error('no timer is set here');
  }

  exactlyAt(): () => void {
    throw new Error('no timer is set here');
  }

  soon(): void {
    throw new Error('nothing is put off here');
  }
}

describe('group time', () => {
  test('goes on from the time of day at the start, whoever sets that later', () => {
    const clock = new FakeClock();
    clock.nowMs = 500;
    const offsetMs = groupOffsetOf(clock);
    expect(clock.monotonicMs() + offsetMs).toBe(clock.wallMs());
    clock.nowMs += 1000;
    clock.wallOffsetMs += 3_600_000;
    expect(clock.monotonicMs() + offsetMs).toBe(clock.wallMs() - 3_600_000);
  });
});

describe('a sleep of the machine', () => {
  function watched(): { readonly clock: FakeClock; readonly jumps: ClockJumps } {
    const clock = new FakeClock();
    return { clock, jumps: new ClockJumps(clock) };
  }

  test('is found once, and told no shorter than it was', () => {
    const { clock, jumps } = watched();
    expect(jumps.takeMs()).toBe(0);
    clock.wallOffsetMs += 40;
    const byMs = jumps.takeMs();
    expect(byMs).toBeGreaterThanOrEqual(40);
    expect(byMs).toBeLessThan(50);
    expect(jumps.takeMs()).toBe(0);
  });

  test('is found when many short ones add up, though none is', () => {
    const { clock, jumps } = watched();
    let told = 0;
    for (let count = 0; count < 100; count += 1) {
      clock.nowMs += 10;
      clock.wallOffsetMs += 1;
      told += jumps.takeMs();
    }
    expect(told).toBeGreaterThan(90);
  });

  test('is neither a time of day that drifts as clocks may nor one that is set back', () => {
    const { clock, jumps } = watched();
    for (let count = 0; count < 10_000; count += 1) {
      clock.nowMs += 100;
      clock.wallOffsetMs += 0.09;
      expect(jumps.takeMs()).toBe(0);
    }
    clock.wallOffsetMs -= 60_000;
    expect(jumps.takeMs()).toBe(0);
    clock.wallOffsetMs += 30;
    expect(jumps.takeMs(), 'from where it was set to').toBeGreaterThanOrEqual(30);
  });

  test('is not what passes while the two clocks are read', () => {
    const clock = new FakeClock();
    const jumps = new ClockJumps(clock);
    // Between the two readings the process was kept from running.
    clock.wallMs = () => {
      const wallMs = clock.nowMs + clock.wallOffsetMs;
      clock.nowMs += 30;
      return wallMs;
    };
    for (let count = 0; count < 5; count += 1) expect(jumps.takeMs()).toBe(0);
  });
});
