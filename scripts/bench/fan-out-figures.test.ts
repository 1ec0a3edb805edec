import { expect, test } from 'vitest';
import type { FanOutOf, FanOutRun } from './fan-out.js';
import { fanOutFigures } from './fan-out-figures.js';

function runOf(updates: number, packets: number, userUs: number): FanOutRun {
  const cpu = { userUs, systemUs: userUs / 2 };
  return { updates, rounds: updates, seconds: 1, packets, bytes: packets * 100, systemPackets: packets, cpu };
}

function groupOf(slaves: number, packets: number): FanOutOf {
  const memory = { rssBytes: 0, heapBytes: 1024 * (1000 + slaves), externalBytes: 0 };
  const runs = [runOf(100, packets, 1000 + 10 * slaves)];
  const loads = { batches: runs, singles: runs, pacedBatches: runs, pacedSingles: runs };
  return { slaves, ...loads, idle: runOf(1, 1, slaves), memory, rawSystemUs: [5] };
}

const figures = fanOutFigures([groupOf(1, 100), groupOf(3, 100), groupOf(30, 110)]);

function named(name: string): (typeof figures)[number] | undefined {
  return figures.find((figure) => figure.name === name);
}

test('thirty slaves are held against one', () => {
  const packets = named('30 slaves ÷ 1: packets for an update, batches');
  expect(packets?.spread.median).toBeCloseTo(1.1);
  expect(packets?.target).toEqual({ kind: 'at most', value: 1.05 });
  expect(named('3 slaves ÷ 1: packets for an update, batches')?.target, 'only thirty are promised').toBeUndefined();
  expect(named("30 slaves ÷ 1: master's CPU in user mode for an update, batches")?.spread.median).toBeCloseTo(
    1300 / 1010,
  );
});

test('what each slave costs is the slope of a line', () => {
  const base = figures.findIndex(({ name }) => name === "master's memory: base");
  expect(figures[base]?.spread.median).toBeCloseTo(1000);
  expect(figures[base + 1]?.spread.median).toBeCloseTo(1);
});

test('nothing measured is nothing said', () => {
  expect(fanOutFigures([])).toEqual([]);
});
