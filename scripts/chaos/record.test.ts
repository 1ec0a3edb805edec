import { expect, test } from 'vitest';
import { ChaosRecord, reportText } from './record.js';

function soundRun(): ChaosRecord {
  const record = new ChaosRecord();
  record.convergedMs = 10;
  record.note('master', { kind: 'change', how: 'committed' });
  record.note('master', { kind: 'committed' });
  record.note('master', { kind: 'aborted', version: '1.3', reason: 'refused' });
  record.note('s1', { kind: 'exposed', versions: ['1.2'] });
  record.note('s1', { kind: 'in doubt', longestMs: 40 });
  record.note('s1', { kind: 'activated', lateMs: 0.2 });
  return record;
}

const run = { seed: 1, minutes: 2, nodes: [] };

test('a sound run passes, with its figures', () => {
  const report = soundRun().report(run);
  expect(report).toMatchObject({
    failures: [],
    changes: { committed: 1 },
    roundsAborted: { refused: 1 },
    longestInDoubtMs: 40,
  });
  expect(reportText(report)).toContain('rounds: 1 committed, 1 aborted (refused 1)');
  expect(reportText(report)).toMatch(/none of them aborted: yes[^]*\n1 passed, 0 failed\n$/);
});

test.each([
  ['before', true],
  ['after', false],
])('an aborted version that a slave shows fails the run, told %s the abort', (_name, first) => {
  const record = soundRun();
  const shown = { kind: 'exposed', versions: ['1.9'] } as const;
  if (first) record.note('s2', shown);
  record.note('master', { kind: 'aborted', version: '1.9', reason: 'timeout' });
  if (!first) record.note('s2', shown);
  const report = record.report(run);
  expect(report.failures).toEqual(['version 1.9 was aborted, and shown by s2 (G1)']);
  expect(reportText(report)).toMatch(/aborted: NO[^]*\n0 passed, 1 failed\n$/);
});

test('copies that differ at the end, and a run in which nothing happened, fail', () => {
  const record = soundRun();
  record.convergedMs = null;
  record.apart = ['the original is leading at 1.4', 's2 is serving at 1.2'];
  expect(record.report(run).failures).toEqual([
    'the copies did not all come to the content of the original; the original is leading at 1.4; s2 is serving at 1.2',
  ]);
  expect(new ChaosRecord().report(run).failures).toHaveLength(5);
});
