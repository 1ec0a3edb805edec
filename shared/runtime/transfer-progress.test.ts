import { expect, test } from 'vitest';
import { FakeClock } from '../../tests/support/fake-clock.js';
import { withProgress } from './transfer-progress.js';

test('a long transfer tells how far it is about once a second, and at its end', async () => {
  const clock = new FakeClock();
  async function* chunks(): AsyncGenerator<Uint8Array, void, void> {
    for (let index = 0; index < 6; index += 1) {
      await Promise.resolve();
      clock.advance(400);
      yield new Uint8Array(10);
    }
  }
  const told: unknown[] = [];
  let read = 0;
  for await (const chunk of withProgress(chunks(), clock, (progress) => told.push(progress))) read += chunk.byteLength;
  expect(read).toBe(60);
  expect(told).toEqual([
    { bytes: 30, ms: 1200 },
    { bytes: 60, ms: 2400 },
    { bytes: 60, ms: 2400 },
  ]);
});
