import { expect, test } from 'vitest';
import { linearFit } from './linear-fit.js';

test('a line is found again, and says that nothing lies beside it', () => {
  const fit = linearFit([3, 10, 30, 100].map((n) => ({ n, value: 7 + 0.5 * n })));
  expect(fit.base).toBeCloseTo(7);
  expect(fit.slope).toBeCloseTo(0.5);
  expect(fit.worst).toBeCloseTo(0);
});

test('a point beside the line is told as a share of its value', () => {
  const fit = linearFit([
    { n: 0, value: 10 },
    { n: 1, value: 20 },
    { n: 2, value: 10 },
  ]);
  expect(fit.slope).toBeCloseTo(0);
  expect(fit.worst).toBeCloseTo((20 - 40 / 3) / 20);
});

test('one point is its own base', () => {
  expect(linearFit([{ n: 3, value: 12 }])).toEqual({ base: 12, slope: 0, worst: 0 });
});
