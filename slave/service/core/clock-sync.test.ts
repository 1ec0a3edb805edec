import { describe, expect, test } from 'vitest';
import type { DataSetId, NodeId, Peer } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { ClockSync } from './clock-sync.js';
import { SlaveContext } from './context.js';

const incarnation = { storeId: 'a'.repeat(32), start: 1 };
const master: Peer = { node: 'master' as NodeId, incarnation: { storeId: 'b'.repeat(32), start: 1 } };
const groupOffsetMs = 1_796_119_200_000;

/** One slave's clock, and a master that answers at once. */
class Bench {
  readonly context = new SlaveContext({
    dataSet: 'prices' as DataSetId,
    node: 's1' as NodeId,
    incarnation,
    seed: 1,
    durability: 'disk',
    maxLeaseMs: 5000,
    windowBytes: 1 << 20,
  });
  readonly sync = new ClockSync(this.context);
  readonly asked: number[] = [];
  answers = true;

  constructor(groupSize = 1, slot = 0) {
    this.context.master = master;
    this.context.slot = slot;
    this.context.groupSize = groupSize;
    this.context.nowMs = 1000;
    this.sync.onWelcome();
    this.#answer();
  }

  run(durationMs: number): number[] {
    const from = this.asked.length;
    const endMs = this.context.nowMs + durationMs;
    for (let nextMs = this.context.timers.next(); nextMs <= endMs; nextMs = this.context.timers.next()) {
      this.context.nowMs = Math.max(this.context.nowMs, nextMs);
      this.sync.onTick();
      this.#answer();
      this.context.nowMs += 0.01;
    }
    this.context.nowMs = endMs;
    return this.asked.slice(from);
  }

  #answer(): void {
    for (const effect of this.context.takeEffects()) {
      if (effect.kind !== 'send' || effect.message.kind !== 'clock-request') continue;
      const { sentMs } = effect.message;
      this.asked.push(sentMs);
      const groupMs = this.context.nowMs + groupOffsetMs;
      if (this.answers)
        this.sync.onClock({
          kind: 'clock',
          member: incarnation,
          requestSentMs: sentMs,
          receivedMs: groupMs,
          sentMs: groupMs,
          era: 1,
        });
    }
  }
}

function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((at, index) => at - (times[index] ?? 0));
}

describe('while an instant is expected', () => {
  test('the clock is asked for often from ten seconds before it until as long after it, and at leisure otherwise', () => {
    const bench = new Bench();
    bench.run(2000);
    const instantMs = bench.context.nowMs + 60_000;
    bench.sync.expect(instantMs + groupOffsetMs);
    const far = bench.run(60_000 - limits.clockNearMs - 100);
    expect(Math.min(...gaps(far))).toBeGreaterThanOrEqual(limits.clockEveryMs);
    const near = bench.run(limits.clockNearMs + 100);
    expect(near.length).toBeGreaterThanOrEqual(limits.clockNearMs / (1.25 * limits.clockNearEveryMs) - 1);
    expect(instantMs - (near[0] ?? 0), 'begins in time').toBeGreaterThan(limits.clockNearMs - 1);
    expect(bench.context.clock.errorMs(instantMs)).toBeLessThan(1.5);
    const after = bench.run(limits.clockNearMs - 500);
    expect(gaps(after).every((gap) => gap < 1.3 * limits.clockNearEveryMs)).toBe(true);
    const closest = Math.min(...[...near, ...after].map((atMs) => Math.abs(atMs - instantMs)));
    expect(closest, 'and nobody asks around it').toBeGreaterThanOrEqual(limits.clockQuietMs - 1);
    bench.run(1000);
    expect(Math.min(...gaps(bench.run(30_000)))).toBeGreaterThanOrEqual(limits.clockEveryMs);
  });

  test('that is near already, the next request leaves at once; that is given up, at leisure again', () => {
    const bench = new Bench();
    bench.run(8000);
    const nowMs = bench.context.nowMs;
    bench.sync.expect(nowMs + 3000 + groupOffsetMs);
    const [first = Infinity] = bench.run(1000);
    expect(first - nowMs).toBeLessThan(1.3 * limits.clockNearEveryMs);
    bench.sync.expect(null);
    expect(bench.run(4000).length).toBeLessThanOrEqual(1);
  });

  test('and nobody knows when that is, the clock is asked for often', () => {
    const bench = new Bench();
    bench.run(2000);
    bench.answers = false;
    bench.context.clock.forget();
    bench.sync.expect(groupOffsetMs + 1e9);
    bench.run(6000);
    expect(gaps(bench.run(5000)).every((gap) => gap < 1.3 * limits.clockNearEveryMs)).toBe(true);
  });
});

describe('a large group', () => {
  test.each([100, 1000, 4096])(
    'of %d asks its master no more than it can answer, near an instant and in bursts',
    (size) => {
      const bench = new Bench(size);
      const from = bench.context.nowMs;
      bench.sync.expect(from + groupOffsetMs + 10_000);
      const asked = bench.run(20_000).length;
      expect((asked * size * 1000) / 20_000).toBeLessThanOrEqual(limits.clockNearAnswersPerSecond + size / 20);
      expect(asked).toBeGreaterThan(1);
    },
  );
});

test.each([1, 10, 100, 1000])(
  'a group of %d that has just come asks no faster than a quiet one, though nobody has heard yet how many there are',
  (size) => {
    const step = Math.max(1, size / 50);
    const asked = Array.from({ length: size / step }, (_, index) => new Bench(1, index * step).run(2000).length * step);
    const perSecond = asked.reduce((sum, count) => sum + count, 0) / 2;
    // Early places think the group smaller than it is, and each asks once as it comes.
    expect(perSecond).toBeLessThan(limits.clockAnswersPerSecond * (2 + Math.log(size)) + size / 2);
  },
);

test('a clock that is not known well enough to arm anything is asked for soon when an instant is expected, however far', () => {
  const bench = new Bench(1000, 999);
  bench.run(20_000);
  bench.answers = false;
  bench.run(60_000);
  bench.answers = true;
  const { clock } = bench.context;
  expect(clock.errorMs(bench.context.nowMs)).toBeGreaterThan(limits.maxClockErrorMs);
  bench.sync.expect(bench.context.nowMs + groupOffsetMs + 86_400_000);
  expect(bench.run(2000)).toHaveLength(1);
  expect(clock.errorMs(bench.context.nowMs)).toBeLessThan(limits.maxClockErrorMs / 5);
});

describe('what was measured', () => {
  test('counts no more with the first answer of a new era, though it would agree with it', () => {
    const { context, sync } = new Bench();
    const exchange = (groupMs: number, era: number): void => {
      const requestSentMs = context.nowMs;
      sync.onWelcome();
      context.nowMs += 1000;
      sync.onClock({ kind: 'clock', member: incarnation, requestSentMs, receivedMs: groupMs, sentMs: groupMs, era });
    };
    context.clock.forget();
    exchange(groupOffsetMs, 1);
    // The master slept: a second later by the clock here, its own has moved on by 700 ms.
    exchange(groupOffsetMs + 700, 2);
    expect([sync.era, context.clock.contradictions]).toEqual([2, 0]);
    const reading = context.clock.at(context.nowMs);
    expect(reading?.earliestMs, 'by the new answer alone').toBeCloseTo(groupOffsetMs + 700, 1);
    expect(reading?.latestMs).toBeCloseTo(groupOffsetMs + 700 + 1000 * (1 + 2 * limits.clockRateError), 1);
  });
});

describe('a slave that is no member any more', () => {
  test('asks nothing, and anew when it is one again', () => {
    const bench = new Bench();
    bench.run(2000);
    bench.context.slot = null;
    expect(bench.run(30_000)).toEqual([]);
    bench.context.slot = 3;
    bench.sync.onWelcome();
    expect(bench.run(2000)).toHaveLength(limits.clockBurst);
  });
});
