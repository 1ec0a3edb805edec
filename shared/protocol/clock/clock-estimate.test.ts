import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { limits } from '../kernel/limits.js';
import { ClockEstimate, type ClockStamps } from './clock-estimate.js';

const ρ = limits.clockRateError;
/** What one clock may gain on the other: one fast, one slow. */
const pairRate = (2 * ρ) / (1 - ρ);
const hourMs = 3_600_000;

/** Two clocks over one true time, in milliseconds. Rates change at given times and stay within 1 ± ρ. */
class Pair {
  readonly #local: { readonly fromMs: number; readonly rate: number }[] = [];
  readonly #remote: { readonly fromMs: number; readonly rate: number }[] = [];

  constructor(
    readonly startMs: { readonly local: number; readonly remote: number },
    rates: readonly { readonly fromMs: number; readonly local: number; readonly remote: number }[],
  ) {
    for (const { fromMs, local, remote } of [{ fromMs: 0, local: 1, remote: 1 }, ...rates]) {
      this.#local.push({ fromMs, rate: local });
      this.#remote.push({ fromMs, rate: remote });
    }
  }

  local(trueMs: number): number {
    return this.startMs.local + shown(this.#local, trueMs);
  }

  remote(trueMs: number): number {
    return this.startMs.remote + shown(this.#remote, trueMs);
  }

  stamps(trueMs: number, delays: Delays): ClockStamps {
    const { thereMs, heldMs, backMs } = delays;
    return {
      sentMs: this.local(trueMs),
      remoteReceivedMs: this.remote(trueMs + thereMs),
      remoteSentMs: this.remote(trueMs + thereMs + heldMs),
      receivedMs: this.local(trueMs + thereMs + heldMs + backMs),
    };
  }
}

interface Delays {
  readonly thereMs: number;
  readonly heldMs: number;
  readonly backMs: number;
}

function shown(spans: readonly { readonly fromMs: number; readonly rate: number }[], trueMs: number): number {
  let sum = 0;
  for (const [index, { fromMs, rate }] of spans.entries()) {
    const toMs = Math.min(spans[index + 1]?.fromMs ?? Infinity, trueMs);
    if (toMs > fromMs) sum += (toMs - fromMs) * rate;
  }
  return sum;
}

const evenly: Delays = { thereMs: 0.5, heldMs: 0.1, backMs: 0.5 };

function truePair(): Pair {
  return new Pair({ local: 1000, remote: 1_796_119_200_000 }, []);
}

function expectHolds(estimate: ClockEstimate, pair: Pair, trueMs: number): void {
  const reading = estimate.at(pair.local(trueMs));
  if (reading === null) throw new Error('nothing is known');
  const remoteMs = pair.remote(trueMs);
  expect(reading.earliestMs).toBeLessThanOrEqual(remoteMs);
  expect(reading.latestMs).toBeGreaterThanOrEqual(remoteMs);
  expect(reading.bestMs).toBeGreaterThanOrEqual(reading.earliestMs);
  expect(reading.bestMs).toBeLessThanOrEqual(reading.latestMs);
  // What is reported is the best value with an error, and not the interval.
  expect(Math.abs(reading.bestMs - remoteMs)).toBeLessThanOrEqual(estimate.errorMs(pair.local(trueMs)));
}

describe('what another clock shows', () => {
  test('is not known before a sample, and no guess is made', () => {
    const estimate = new ClockEstimate();
    expect(estimate.at(5)).toBeNull();
    expect(estimate.errorMs(5)).toBe(Infinity);
    expect(estimate.localMsOf(1_796_119_200_000, 5)).toBeNull();
  });

  test('is known to half a round trip after one sample', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    expect(estimate.sample(pair.stamps(0, evenly))).toBe(true);
    const reading = estimate.at(pair.local(1.1));
    expect(reading?.bestMs).toBeCloseTo(pair.remote(1.1), 2);
    expect(estimate.errorMs(pair.local(1.1))).toBeCloseTo(0.5, 1);
    expectHolds(estimate, pair, 1.1);
  });

  test('grows vaguer with age at the pair’s rate, and no sooner', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    estimate.sample(pair.stamps(0, evenly));
    const atMs = pair.local(1.1);
    const error = estimate.errorMs(atMs);
    expect(estimate.errorMs(atMs + 10_000) - error).toBeCloseTo(10_000 * pairRate, 3);
    expect(estimate.errorMs(atMs - 10_000) - error).toBeCloseTo(10_000 * pairRate, 3);
    const known = new ClockEstimate({ rateError: 0.00001 });
    known.sample(pair.stamps(0, evenly));
    expect(known.errorMs(atMs + 10_000) - known.errorMs(atMs)).toBeCloseTo(0.1, 3);
  });

  test('is narrowed by every sample: what is in one interval and not in another is not the truth', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    estimate.sample(pair.stamps(0, { thereMs: 40, heldMs: 0, backMs: 0.1 }));
    const once = estimate.errorMs(pair.local(100));
    estimate.sample(pair.stamps(50, { thereMs: 0.1, heldMs: 0, backMs: 40 }));
    expect(once).toBeGreaterThan(20);
    expect(estimate.errorMs(pair.local(100))).toBeLessThan(0.5);
    expectHolds(estimate, pair, 100);
    // A slow one adds nothing, and takes nothing away.
    const before = estimate.at(pair.local(2000));
    estimate.sample(pair.stamps(100, { thereMs: 900, heldMs: 0, backMs: 900 }));
    expect(estimate.at(pair.local(2000))).toEqual(before);
  });

  test('is most likely what the sample says that waited least', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    estimate.sample(pair.stamps(0, { thereMs: 0.1, heldMs: 0, backMs: 0.1 }));
    for (let count = 1; count <= 8; count += 1)
      estimate.sample(pair.stamps(50 * count, { thereMs: 4, heldMs: 0, backMs: 0.1 }));
    expect(Math.abs((estimate.at(pair.local(500))?.bestMs ?? 0) - pair.remote(500))).toBeLessThan(0.05);
  });

  test('is followed at the rate that samples show: a slow drift costs next to nothing between them', () => {
    const pair = new Pair({ local: 0, remote: hourMs * 24 * 365 * 50 }, [{ fromMs: 0, local: 1, remote: 1.0004 }]);
    const estimate = new ClockEstimate();
    for (let at = 0; at <= 60_000; at += 5000) estimate.sample(pair.stamps(at, evenly));
    const trueMs = 65_000;
    expect(Math.abs((estimate.at(pair.local(trueMs))?.bestMs ?? 0) - pair.remote(trueMs))).toBeLessThan(0.2);
    const far = estimate.localMsOf(pair.remote(120_000), pair.local(trueMs)) ?? 0;
    expect(Math.abs(far - pair.local(120_000))).toBeLessThan(1.5);
  });

  test('is followed within seconds of the first sample: an instant may be as near', () => {
    const pair = new Pair({ local: 0, remote: hourMs }, [{ fromMs: 0, local: 1.0005, remote: 0.9996 }]);
    const estimate = new ClockEstimate();
    for (let at = 0; at <= 3500; at += 250) estimate.sample(pair.stamps(at, evenly));
    const trueMs = 3750;
    expect(Math.abs((estimate.at(pair.local(trueMs))?.bestMs ?? 0) - pair.remote(trueMs))).toBeLessThan(0.05);
  });

  test('is asked for the other way round: when the clock here shows it', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    estimate.sample(pair.stamps(0, evenly));
    const nowMs = pair.local(2);
    const instantMs = pair.remote(hourMs);
    const atMs = estimate.localMsOf(instantMs, nowMs) ?? 0;
    expect(atMs).toBeCloseTo(pair.local(hourMs), 1);
    expect(estimate.localMsOf(pair.remote(0), nowMs)).toBeLessThan(nowMs);
  });

  test('holds for clocks that are years apart, either way', () => {
    for (const remote of [0, 1_796_119_200_000, -62_135_596_800_000, 4_102_444_800_000]) {
      const pair = new Pair({ local: 1_600_000_000_000.123, remote }, []);
      const estimate = new ClockEstimate();
      estimate.sample(pair.stamps(17.3, { thereMs: 0.02, heldMs: 0, backMs: 0.01 }));
      estimate.sample(pair.stamps(117.9, { thereMs: 0.01, heldMs: 0, backMs: 0.02 }));
      expectHolds(estimate, pair, 118.4);
      expect(estimate.errorMs(pair.local(118.4))).toBeLessThan(0.3);
    }
  });

  test('is nothing any more once it is forgotten', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    estimate.sample(pair.stamps(0, evenly));
    estimate.forget();
    expect(estimate.at(pair.local(2))).toBeNull();
    const other = new Pair({ local: 1000, remote: 5 }, []);
    estimate.sample(other.stamps(3, evenly));
    expectHolds(estimate, other, 5);
    expect(estimate.contradictions).toBe(0);
  });

  test('is later by as long as the machine may have slept, and no earlier', () => {
    const pair = truePair();
    const estimate = new ClockEstimate();
    estimate.mayHaveStopped(5000);
    expect(estimate.at(5)).toBeNull();
    estimate.sample(pair.stamps(0, evenly));
    const before = estimate.at(pair.local(2));
    estimate.mayHaveStopped(5000);
    const after = estimate.at(pair.local(2));
    expect(after?.earliestMs).toBe(before?.earliestMs);
    expect((after?.latestMs ?? 0) - (before?.latestMs ?? 0)).toBeGreaterThanOrEqual(5000 * (1 + ρ));
    // The next sample tells whether it did.
    estimate.sample(pair.stamps(10, evenly));
    expect(estimate.errorMs(pair.local(12))).toBeLessThan(0.6);
    expect(estimate.contradictions).toBe(0);
  });

  test('starts over when a sample can’t be true after the ones before', () => {
    const pair = truePair();
    const stepped = new Pair({ local: 1000, remote: pair.startMs.remote - 300 }, []);
    const estimate = new ClockEstimate();
    estimate.sample(pair.stamps(0, evenly));
    estimate.sample(stepped.stamps(1000, evenly));
    expect(estimate.contradictions).toBe(1);
    expectHolds(estimate, stepped, 1002);
  });

  test.each<[string, Partial<ClockStamps>]>([
    ['no number', { sentMs: Number.NaN }],
    ['an endless time', { remoteSentMs: Infinity }],
    ['a time without a date', { remoteReceivedMs: 1e300, remoteSentMs: 1e300 }],
    ['an answer before its question', { receivedMs: 900 }],
    ['a reply that left before the question came', { remoteReceivedMs: 1_796_119_200_005 }],
    ['an answer that took longer there than it was away', { remoteSentMs: 1_796_119_210_000 }],
  ])('is not learnt from %s', (_what, wrong) => {
    const estimate = new ClockEstimate();
    const good = truePair().stamps(0, evenly);
    expect(estimate.sample({ ...good, ...wrong })).toBe(false);
    expect(estimate.at(1002)).toBeNull();
    estimate.sample(good);
    const before = estimate.at(1002);
    expect(estimate.sample({ ...good, ...wrong })).toBe(false);
    expect(estimate.at(1002)).toEqual(before);
    expect(estimate.contradictions).toBe(0);
  });
});

/** Delays of one way: mostly quick, sometimes held up for seconds. */
const wayMs = fc.oneof(
  { weight: 5, arbitrary: fc.double({ min: 0, max: 2, noNaN: true }) },
  { weight: 1, arbitrary: fc.double({ min: 0, max: 5000, noNaN: true }) },
);
const rate = fc.double({ min: 1 - ρ, max: 1 + ρ, noNaN: true });
const rates = fc.array(
  fc.record({ afterMs: fc.double({ min: 0, max: 60_000, noNaN: true }), local: rate, remote: rate }),
  {
    maxLength: 6,
  },
);
const samples = fc.array(
  fc.record({ afterMs: fc.double({ min: 0, max: 20_000, noNaN: true }), thereMs: wayMs, heldMs: wayMs, backMs: wayMs }),
  { minLength: 1, maxLength: 40 },
);
const starts = fc.record({
  local: fc.double({ min: -1e10, max: 1e10, noNaN: true }),
  remote: fc.double({ min: -1e13, max: 1e13, noNaN: true }),
});

function pairOf(
  start: { readonly local: number; readonly remote: number },
  changes: readonly { readonly afterMs: number; readonly local: number; readonly remote: number }[],
): Pair {
  let fromMs = 0;
  return new Pair(
    start,
    changes.map(({ afterMs, local, remote }) => ({ fromMs: (fromMs += afterMs), local, remote })),
  );
}

describe('whatever the network and the clocks do', () => {
  test('the true reading is inside the interval: at each answer, between two of them, and long after', () => {
    fc.assert(
      fc.property(starts, rates, samples, (start, changes, taken) => {
        const pair = pairOf(start, changes);
        const estimate = new ClockEstimate();
        let trueMs = 0;
        for (const { afterMs, ...delays } of taken) {
          if (estimate.at(0) !== null) expectHolds(estimate, pair, trueMs + afterMs / 2);
          trueMs += afterMs;
          expect(estimate.sample(pair.stamps(trueMs, delays))).toBe(true);
          trueMs += delays.thereMs + delays.heldMs + delays.backMs;
          expectHolds(estimate, pair, trueMs);
        }
        expectHolds(estimate, pair, trueMs + hourMs);
        expect(estimate.contradictions).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  test('the interval is never wider than that of the best single sample, aged', () => {
    fc.assert(
      fc.property(samples, (taken) => {
        const pair = truePair();
        const together = new ClockEstimate();
        const alone: ClockEstimate[] = [];
        let trueMs = 0;
        for (const { afterMs, ...delays } of taken) {
          trueMs += afterMs;
          const stamps = pair.stamps(trueMs, delays);
          const single = new ClockEstimate();
          single.sample(stamps);
          alone.push(single);
          together.sample(stamps);
          trueMs += delays.thereMs + delays.heldMs + delays.backMs;
        }
        const nowMs = pair.local(trueMs);
        const widthMs = (estimate: ClockEstimate): number => {
          const { earliestMs, latestMs } = estimate.at(nowMs) ?? { earliestMs: -Infinity, latestMs: Infinity };
          return latestMs - earliestMs;
        };
        expect(widthMs(together)).toBeLessThanOrEqual(Math.min(...alone.map(widthMs)) + 1e-3);
      }),
      { numRuns: 200 },
    );
  });

  test('answers that are used out of order, twice, or late say nothing untrue', () => {
    fc.assert(
      fc.property(starts, rates, samples, fc.array(fc.nat(39), { maxLength: 60 }), (start, changes, taken, order) => {
        const pair = pairOf(start, changes);
        let trueMs = 0;
        const all = taken.map(({ afterMs, ...delays }) => {
          trueMs += afterMs;
          return pair.stamps(trueMs, delays);
        });
        const estimate = new ClockEstimate();
        for (const index of order) {
          const stamps = all[index % all.length];
          if (stamps !== undefined) estimate.sample(stamps);
        }
        if (order.length === 0) return;
        expect(estimate.contradictions).toBe(0);
        expectHolds(estimate, pair, trueMs + 20_000);
      }),
      { numRuns: 300 },
    );
  });

  test('sleeps that are told never put the truth outside', () => {
    const sleeps = fc.array(
      fc.record({
        atMs: fc.double({ min: 0, max: 50_000, noNaN: true }),
        forMs: fc.double({ min: 0, max: 9000, noNaN: true }),
      }),
      {
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(samples, sleeps, fc.double({ min: 0, max: 1, noNaN: true }), (taken, slept, exaggerated) => {
        // A local clock that stands still: the remote one runs on meanwhile.
        const estimate = new ClockEstimate();
        const rest = [...slept].sort((a, b) => a.atMs - b.atMs);
        let localMs = 0;
        let aheadMs = 1e9;
        const check = (): void => {
          const reading = estimate.at(localMs);
          if (reading === null) return;
          expect(reading.earliestMs).toBeLessThanOrEqual(localMs + aheadMs);
          expect(reading.latestMs).toBeGreaterThanOrEqual(localMs + aheadMs);
        };
        for (const { afterMs, thereMs, heldMs, backMs } of taken) {
          localMs += afterMs;
          while (rest[0] !== undefined && rest[0].atMs <= localMs) {
            aheadMs += rest[0].forMs;
            estimate.mayHaveStopped(rest[0].forMs * (1 + exaggerated));
            rest.shift();
            check();
          }
          const sentMs = localMs;
          localMs += thereMs + heldMs + backMs;
          estimate.sample({
            sentMs,
            remoteReceivedMs: sentMs + thereMs + aheadMs,
            remoteSentMs: sentMs + thereMs + heldMs + aheadMs,
            receivedMs: localMs,
          });
          check();
        }
        expect(estimate.contradictions).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test('no stamps at all make it throw, or say what is no number', () => {
    const any = fc.oneof(
      fc.double(),
      fc.constantFrom(0, -0, Infinity, -Infinity, Number.NaN, Number.MAX_VALUE, 2 ** 53),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(any, any, any, any), { maxLength: 20 }),
        fc.double({ min: -1e15, max: 1e15, noNaN: true }),
        (all, localMs) => {
          const estimate = new ClockEstimate();
          for (const [sentMs, remoteReceivedMs, remoteSentMs, receivedMs] of all)
            estimate.sample({ sentMs, remoteReceivedMs, remoteSentMs, receivedMs });
          const reading = estimate.at(localMs);
          if (reading === null) return;
          for (const value of Object.values(reading)) expect(Number.isFinite(value)).toBe(true);
          expect(reading.earliestMs).toBeLessThanOrEqual(reading.latestMs);
        },
      ),
      { numRuns: 500 },
    );
  });
});
