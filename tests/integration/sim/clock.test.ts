import { expect, test } from 'vitest';
import { Timeline } from './clock.js';

test('time stops where the condition held, also one that is looked at only now and then', async () => {
  const timeline = new Timeline();
  for (let atMs = 1; atMs <= 100; atMs += 1) timeline.schedule(atMs, () => undefined);
  let asked = 0;
  const isReached = (): boolean => {
    asked += 1;
    return asked === 10;
  };
  await timeline.runUntil(60_000, isReached);
  expect(timeline.nowMs).toBeLessThan(100);
});
