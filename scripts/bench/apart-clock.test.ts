import { expect, test } from 'vitest';
import { FakeClock } from '../../tests/support/fake-clock.js';
import { ApartClock } from './apart-clock.js';

test('a clock that is hours ahead and fast calls back when it shows the time, not when the machine does', () => {
  const machine = new FakeClock();
  const clock = new ApartClock(machine, { aheadMs: 3_600_000, rate: 2 });
  const startMs = clock.monotonicMs();
  expect(clock.wallMs() - machine.wallMs()).toBe(3_600_000);
  const called: number[] = [];
  clock.at(startMs + 100, () => called.push(clock.monotonicMs() - startMs));
  clock.exactlyAt(startMs + 200, () => called.push(clock.monotonicMs() - startMs));
  machine.advance(49);
  expect(called).toEqual([]);
  machine.advance(1);
  expect(called).toEqual([100]);
  machine.advance(50);
  expect(called).toEqual([100, 200]);
});
