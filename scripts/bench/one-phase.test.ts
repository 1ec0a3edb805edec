import { expect, test } from 'vitest';
import { onePhaseFigures } from './one-phase.js';

test('each size is held against the plain datagrams of the same moment', () => {
  const figures = onePhaseFigures([
    { messageBytes: 1400, messagesPerSecond: [80, 30, 90], plainPerSecond: [100, 60, 100], lostShare: 0 },
  ]);
  const share = figures.find(({ target }) => target !== undefined);
  expect(share?.spread.median, 'of 0.8, 0.5 and 0.9').toBeCloseTo(0.8);
  expect(share?.target).toEqual({ kind: 'at least', value: 0.8 });
  expect(figures.map(({ name }) => name)[0]).toContain('1,400 B');
});

test('what the plain receivers lost is told', () => {
  const [, plain] = onePhaseFigures([
    { messageBytes: 256, messagesPerSecond: [1], plainPerSecond: [1], lostShare: 0.015 },
  ]);
  expect(plain?.note).toBe('1.50 % lost');
});
