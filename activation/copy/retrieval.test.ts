import { describe, expect, test } from 'vitest';
import { copyIn, skewMs, stageNow, world } from '../../tests/support/cycle-stage.js';
import { quietNetwork, type Network } from '../../tests/support/cycle-world.js';

describe('rolling', () => {
  test('is done by the first; the others only fetch, and know nothing of each other', () => {
    const all = world();
    const copies = Array.from({ length: 20 }, (_, place) => copyIn(all, `s${place}`, { seed: place }));
    all.time.runUntil(10_000);
    expect(all.server.rolls).toHaveLength(1);
    expect(copies.flatMap((copy) => copy.named('rolled'))).toHaveLength(1);
    for (const copy of copies) expect(copy.view()).toMatchObject({ state: 'current', active: 1, staged: 2 });
  });

  test('goes on when the holder of the lock dies: the lock is over, and another rolls', () => {
    const all = world();
    const { time, server } = all;
    server.put('a', 1);
    stageNow(all);
    const copies = [copyIn(all, 's1', { seed: 1 }), copyIn(all, 's2', { seed: 2 })];
    server.nextHolderDies = true;
    time.runUntil(5300);
    for (const copy of copies) expect(copy.content).toEqual(new Map([['a', 1]]));
    time.runUntil(12_000);
    expect(copies.flatMap((copy) => copy.named('roll locked')).length).toBeGreaterThan(0);
    expect(server.rolls).toHaveLength(1);
    for (const copy of copies) expect(copy.view()).toMatchObject({ state: 'current', active: 1, staged: 2 });
  });

  test('after nobody ran for five intervals leads to an instant that is on the grid and in the future', () => {
    const all = world({ intervalMs: 10_000 });
    const { time, server } = all;
    server.put('a', 1);
    const gridMs = server.activateAtMs;
    time.runUntil(5000 + 57_000);
    const copy = copyIn(all, 's1');
    time.runUntil(5000 + 57_500);
    expect(server.rolls).toHaveLength(1);
    expect(server.activateAtMs).toBeGreaterThan(server.nowMs);
    expect((server.activateAtMs - gridMs) % 10_000).toBe(0);
    time.runUntil(5000 + 60_100);
    expect(copy.view()).toMatchObject({ state: 'current' });
    expect(copy.cycle).toBe(server.staged);
  });
});

describe('a retrieval', () => {
  test('is tried until it succeeds; how long the one that succeeded took is told to the data server', () => {
    const all = world({ firstInMs: 30_000 });
    const { time, server } = all;
    server.refusesStaged = true;
    const copy = copyIn(all, 's1');
    time.runUntil(12_000);
    server.refusesStaged = false;
    time.runUntil(20_000);
    expect(copy.named('retrieval failed')).toHaveLength(1);
    const [retrieval] = server.retrievals;
    expect(retrieval).toMatchObject({ by: 's1', cycle: 1 });
    expect(retrieval?.durationMs).toBeLessThan(10);
    expect(Number(copy.named('retrieved')[0]?.fields['wantedMs'])).toBeGreaterThan(11_000);
    expect(copy.view()).toMatchObject({ state: 'current', staged: 1, retrieval: { cycle: 1 } });
  });

  test('that takes longer than the interval is said', () => {
    const all = world({ firstInMs: 2000, intervalMs: 2000 });
    const slow: Network = { toServerMs: () => 1500, toCopyMs: () => 1500 };
    const copy = copyIn(all, 's1', { network: slow });
    all.time.runUntil(30_000);
    expect(copy.named('retrieval too long').length).toBeGreaterThan(0);
  });

  test('is done again for what was promoted in between, before anything is armed', () => {
    const all = world({ firstInMs: 30_000 });
    const { time, server } = all;
    server.put('a', 1);
    stageNow(all);
    const copy = copyIn(all, 's1');
    time.runUntil(10_000);
    server.put('a', 2);
    server.promote();
    time.runUntil(16_000);
    expect(copy.view().armed).toMatchObject({ cycle: 2 });
    time.runUntil(31_000);
    expect(copy.shown.map(({ cycle }) => cycle)).toEqual([0, 2]);
    expect(copy.content).toEqual(new Map([['a', 2]]));
  });

  test('follows an instant that is moved, to sooner and to later', () => {
    const all = world({ firstInMs: 60_000 });
    const { time, server } = all;
    const copy = copyIn(all, 's1');
    time.runUntil(10_000);
    server.activateAtMs -= 40_000;
    time.runUntil(20_100);
    expect(skewMs(copy, 1, 20_000)).toBeCloseTo(0, 0);
    time.runUntil(30_000);
    server.activateAtMs += 25_000;
    time.runUntil(90_000);
    expect(copy.cycle).toBe(1);
    expect(copy.view().state).toBe('current');
    time.runUntil(106_000);
    expect(copy.cycle).toBe(2);
  });

  test('survives a network that loses a third of everything', () => {
    const all = world();
    const { time, server } = all;
    const lossy: Network = {
      toServerMs: (random) => (random.chance(0.3) ? null : 1 + random.next() * 5),
      toCopyMs: (random) => (random.chance(0.3) ? null : 1 + random.next() * 5),
    };
    const copy = copyIn(all, 's1', { network: lossy, seed: 7 });
    for (let round = 1; round < 20; round += 1) {
      server.put('round', round);
      time.runUntil(5000 + round * 60_000 - 1000, () => {
        if (copy.cycle !== null) expect(copy.content).toEqual(server.contents.get(copy.cycle));
      });
      expect(copy.cycle).toBeGreaterThanOrEqual(server.active - 1);
    }
    copy.network = quietNetwork;
    time.runUntil(5000 + 21 * 60_000);
    expect(copy.cycle).toBe(server.active);
  });
});
