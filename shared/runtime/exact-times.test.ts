import { expect, test } from 'vitest';
import { ExactTimes } from './exact-times.js';

const readMs = 0.001;

/** Each look at the clock takes a microsecond; timers are fired by hand, as late as the test likes. */
class Machine {
  nowMs = 1000;
  readonly slept: number[] = [];
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  monotonicMs(): number {
    this.nowMs += readMs;
    return this.nowMs;
  }

  at(atMs: number, callback: () => void): () => void {
    const timer = { atMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  get timers(): readonly number[] {
    return this.#timers.map(({ atMs }) => atMs);
  }

  fire(lateMs = 0): void {
    const [timer] = this.#timers;
    if (timer === undefined) throw new Error('no timer is set');
    this.#timers = this.#timers.slice(1);
    this.nowMs = Math.max(this.nowMs, timer.atMs + lateMs);
    timer.callback();
  }
}

function start() {
  const machine = new Machine();
  const times = new ExactTimes(machine, (durationMs) => {
    machine.slept.push(durationMs);
    machine.nowMs += durationMs;
  });
  const calls: string[] = [];
  const note = (name: string) => (): void => {
    calls.push(name);
  };
  return { machine, times, calls, note };
}

test('one timer leads close to the first of all, and the rest of the way is slept', () => {
  const { machine, times, calls, note } = start();
  times.add(1100.5, note('second'));
  times.add(1100, note('first'));
  times.add(1100.5, note('third'));
  expect(machine.timers).toEqual([1095]);
  machine.fire();
  expect(calls).toEqual(['first', 'second', 'third']);
  expect(machine.nowMs).toBeGreaterThanOrEqual(1100.5);
  expect(machine.nowMs).toBeLessThan(1100.6);
  expect(machine.slept).toHaveLength(2);
  expect(machine.timers).toEqual([]);
});

test('none comes before its time, however late or early the timer is', () => {
  for (const lateMs of [0, 1, 1.99, 2, 50]) {
    const { machine, times } = start();
    const startedMs: number[] = [];
    for (const atMs of [1010, 1010.2, 1013]) times.add(atMs, () => startedMs.push(machine.nowMs - atMs));
    machine.fire(lateMs);
    expect(startedMs).toHaveLength(3);
    expect(Math.min(...startedMs)).toBeGreaterThanOrEqual(0);
  }
});

test('what is further away gets a turn of its own, and the process its own in between', () => {
  const { machine, times, calls, note } = start();
  times.add(1100, note('near'));
  times.add(1106, note('far'));
  machine.fire();
  expect(calls).toEqual(['near']);
  expect(machine.timers).toEqual([1101]);
  machine.fire();
  expect(calls).toEqual(['near', 'far']);
});

test('a time that is added from a callback waits for the next turn, even when it has passed', () => {
  const { machine, times, calls, note } = start();
  times.add(1100, () => times.add(1099, note('again')));
  times.add(1101, note('after'));
  machine.fire();
  expect(calls).toEqual(['after']);
  machine.fire();
  expect(calls).toEqual(['after', 'again']);
  expect(machine.timers).toEqual([]);
});

test('one that is cancelled never comes, also when one right before it cancels it', () => {
  const { machine, times, calls, note } = start();
  const cancelFirst = times.add(1050, note('first'));
  const cancelLast = times.add(1100.4, note('last'));
  times.add(1100, () => cancelLast());
  cancelFirst();
  cancelFirst();
  expect(machine.timers).toEqual([1095]);
  machine.fire();
  expect(calls).toEqual([]);
  expect(machine.timers).toEqual([]);
  times.add(Infinity, note('never'))();
  expect(machine.timers).toEqual([]);
});

test('one that throws takes no turn from the others', () => {
  const { machine, times, calls, note } = start();
  times.add(1100, () => {
    throw new Error('this one is wrong');
  });
  times.add(1100.1, note('other'));
  expect(() => machine.fire()).toThrow('this one is wrong');
  expect(calls).toEqual([]);
  machine.fire();
  expect(calls).toEqual(['other']);
});
