import { expect, test } from 'vitest';
import type { ChainId, Tip, Version } from '../../../shared/protocol/kernel/ids.js';
import { HeardTimes } from './heard-times.js';

const at = (version: number): Tip => ({
  epoch: { number: 1, claimant: 'c'.repeat(32) },
  version: version as Version,
  chain: String(version).padStart(32, '0') as ChainId,
});

test('tells since when the oldest state that is lacking was heard of', () => {
  const heard = new HeardTimes();
  heard.note(at(2), at(1), 100);
  heard.note(at(3), at(1), 200);
  heard.note(at(3), at(1), 300);
  expect(heard.oldestMs).toBe(100);
  heard.onExposed(at(2));
  expect(heard.oldestMs).toBe(200);
  heard.onExposed(at(3));
  expect(heard.oldestMs).toBeNull();
  heard.note(at(3), at(3), 400);
  expect(heard.oldestMs, 'it is exposed').toBeNull();
});

test('forgets what a reign that begins at an older version has not committed', () => {
  const heard = new HeardTimes();
  heard.note(at(5), at(1), 100);
  heard.note(at(9), at(1), 200);
  heard.note(at(6), at(1), 300);
  heard.onExposed(at(5));
  expect(heard.oldestMs).toBe(300);
});

test('stays bounded, and then tells less than the true age, never more', () => {
  const heard = new HeardTimes();
  for (let version = 1; version <= 100_000; version += 1) heard.note(at(version), null, version);
  for (const exposed of [0, 10, 50_000, 99_000]) {
    if (exposed > 0) heard.onExposed(at(exposed));
    const oldestMs = heard.oldestMs ?? 0;
    expect(oldestMs).toBeGreaterThan(exposed);
    expect(oldestMs).toBeLessThanOrEqual(100_000);
  }
  heard.onExposed(at(100_000));
  expect(heard.oldestMs).toBeNull();
});
