import { expect, test } from 'vitest';
import { deltaOf } from '../../../tests/integration/process/http-fakes.js';
import { FeedLines } from './lines.js';

const delta = (version: number): ReturnType<typeof deltaOf> => deltaOf(version, [{ put: ['k', 'x'.repeat(1000)] }]);

test('a change is decoded once: all listeners share its bytes', () => {
  const lines = new FeedLines(1_000_000);
  const change = delta(2);
  const first = lines.of(change);
  expect(first.ok && first.bytes.toString()).toMatch(/^\{"epoch":3,"version":2,.*\}\n$/);
  expect(lines.of(change)).toBe(first);
});

test('what is kept is bounded, the newest longest, and one that is larger than all still goes', () => {
  const lines = new FeedLines(5000);
  const changes = Array.from({ length: 50 }, (_, index) => delta(index + 2));
  const made = changes.map((change) => lines.of(change));
  expect(lines.heldBytes).toBeLessThanOrEqual(5000);
  expect(lines.of(changes[49] ?? delta(51))).toBe(made[49]);
  expect(lines.of(changes[0] ?? delta(2))).not.toBe(made[0]);
  expect(new FeedLines(1).of(delta(2)).ok).toBe(true);
  lines.clear();
  expect(lines.heldBytes).toBe(0);
});
