import { expect, test } from 'vitest';
import type { FanOutOf, FanOutRun } from './fan-out.js';
import { fanOutFigures } from './fan-out-figures.js';

function runOf(updates: number, packets: number, userUs: number): FanOutRun {
  const cpu = { userUs, systemUs: userUs / 2 };
  const bytes = packets * 100;
  return { updates, rounds: updates, seconds: 1, packets, bytes, received: 2, systemPackets: packets, cpu };
}

function plainOf(slaves: number): FanOutOf['raw'] {
  return { flood: [{ userUs: 1, systemUs: 2 }], exchange: [{ userUs: 1 + slaves / 20, systemUs: 4 }] };
}

function groupOf(slaves: number, packets: number): FanOutOf {
  const memory = { rssBytes: 0, heapBytes: 1024 * (1000 + slaves), externalBytes: 0 };
  const runs = [runOf(100, packets, 1000 + 10 * slaves)];
  const loads = { batches: runs, singles: runs, pacedBatches: runs, pacedSingles: runs };
  return { slaves, ...loads, idle: runOf(1, 1, slaves), memory, raw: plainOf(slaves) };
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

test('system time is held against plain datagrams, and user time against plain answers', () => {
  // 1,300 µs for 100 updates, half as much in the system; 1,010 with one slave.
  const at = figures.findIndex(({ name, target }) => name.includes('in the system ÷') && target !== undefined);
  expect(figures[at]?.spread.median).toBeCloseTo(6.5 / 2);
  expect(figures[at]?.target).toEqual({ kind: 'at most', value: 1.2 });
  expect(figures[at + 1]?.spread.median).toBeCloseTo(6.5 / 4);
  expect(figures[at + 2]?.spread.median).toBeCloseTo((13 - 10.1) / (29 / 20));
});

test('what each slave costs is the slope of a line', () => {
  const base = figures.findIndex(({ name }) => name === "master's memory: base");
  expect(figures[base]?.spread.median).toBeCloseTo(1000);
  expect(figures[base + 1]?.spread.median).toBeCloseTo(1);
});

test('nothing measured is nothing said', () => {
  expect(fanOutFigures([])).toEqual([]);
});
