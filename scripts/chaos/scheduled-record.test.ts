import { expect, test } from 'vitest';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { ScheduledRecord, scheduledText } from './scheduled-record.js';

function oneActivation(): ScheduledRecord {
  const record = new ScheduledRecord();
  record.note('master', { kind: 'scheduled', how: 'armed' });
  record.note('master', { kind: 'armed', version: 2, atMs: 10_000 });
  record.note('s1', { kind: 'activated', lateMs: 0.4 });
  return record;
}

test('what is shown at its instant is counted, with the spread of those that all showed', () => {
  const record = oneActivation();
  record.note('s1', { kind: 'current', version: 1, atMs: 10_000 + limits.maxClockErrorMs });
  record.note('s1', { kind: 'current', version: 2, atMs: 20_000 });
  for (const spreadMs of [3, 900, 1, 2])
    record.note('master', { kind: 'activated everywhere', spreadMs, boundMs: spreadMs + 1 });
  expect(record.failures()).toEqual([]);
  const report = record.report();
  expect(report).toEqual({ changes: { armed: 1 }, activations: 1, late: 0, medianSpreadMs: 2, largestSpreadMs: 3 });
  expect(scheduledText(report).join('\n')).toContain('2 ms from the first to the last (median; most 3 ms)');
});

test('whoever is current with what was before, when the others have switched, fails the run', () => {
  const record = oneActivation();
  record.note('s2', { kind: 'current', version: 1, atMs: 10_000 + limits.maxClockErrorMs + 1 });
  expect(record.failures()).toEqual([
    's2 called itself current at version 1 51 ms after the instant of version 2 (G12, G16)',
  ]);
});

test('not so when the change was taken back', () => {
  const record = oneActivation();
  record.note('master', { kind: 'disarmed', version: 2 });
  record.note('s2', { kind: 'current', version: 1, atMs: 15_000 });
  expect(record.failures()).toEqual([]);
});

test('late ones are counted apart, and a run in which nothing was shown at its instant fails', () => {
  const record = new ScheduledRecord();
  record.note('s1', { kind: 'activated', lateMs: limits.maxClockErrorMs + 1 });
  record.note('s1', { kind: 'activated', lateMs: null });
  expect(record.report()).toMatchObject({ activations: 0, late: 2, medianSpreadMs: null });
  expect(record.failures()).toEqual(['no scheduled change was shown at its instant']);
  expect(scheduledText(record.report()).join('\n')).toContain('never by all of them');
});
