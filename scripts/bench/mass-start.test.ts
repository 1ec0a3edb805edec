import { expect, test } from 'vitest';
import { measureMassStart } from './mass-start.js';

test('a small group comes together and votes once each', async () => {
  const { slaves, joins, votes, mostInOneMs } = await measureMassStart(4);
  expect(slaves).toBe(4);
  // Each copy to all reaches the others and the master; a calm start needs few.
  expect(joins).toBeGreaterThanOrEqual(4);
  expect(joins).toBeLessThanOrEqual(4 * 4 * 4);
  expect(votes).toBe(4);
  expect(mostInOneMs).toBeLessThanOrEqual(4);
});
