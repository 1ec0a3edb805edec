import { expect, test } from 'vitest';
import { rateOf } from './peer.js';

test('what every caller has done counts, also when their requests are under way at the same time', async () => {
  const callers = 5;
  let requests = 0;
  const startedMs = performance.now();
  const rate = await rateOf({ callers, batch: 10, seconds: 0.05 }, async () => {
    requests += 1;
    await new Promise((resolve) => setImmediate(resolve));
    return 10;
  });
  const seconds = (performance.now() - startedMs) / 1000;
  expect(requests).toBeGreaterThan(callers);
  // The time is measured inside, too, so that it is a little shorter there.
  expect(rate).toBeGreaterThanOrEqual((requests * 10) / seconds);
});
