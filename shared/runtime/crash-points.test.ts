import { expect, test } from 'vitest';
import { crashPointOf } from './crash-points.js';

test('nothing is armed unless it is asked for', () => {
  expect(crashPointOf(undefined)).toBeUndefined();
  expect(crashPointOf('')).toBeUndefined();
});

test('an armed point dies at its time and not before', () => {
  let deaths = 0;
  const point = crashPointOf('after-decision:3', () => {
    deaths += 1;
  });
  point?.reached('after-decision');
  point?.reached('after-decision');
  expect(deaths).toBe(0);
  point?.reached('after-decision');
  expect(deaths).toBe(1);
});

test.each(['before-lunch', 'after-decision:0', 'after-decision:x', 'after-decision:1:2', ':1'])(
  'a wrong value is refused with the names that there are: %s',
  (text) => {
    expect(() => crashPointOf(text)).toThrow(/LOCKSTEP_CRASH_AT .*after-decision/);
  },
);
