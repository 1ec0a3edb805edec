import { describe, expect, test } from 'vitest';
import { dataSetOf, groupOf, nowMs } from './fixtures.js';
import { shownLast, untilText, waitingFor, wallClock } from './scheduled.js';

/** The master's clock is a minute ahead: this is an hour from now by it. */
const activateAt = '2026-11-21T13:01:00.000Z';

describe('what is scheduled', () => {
  test.each([
    [3_600_000, 'in 60 min'],
    [41_700, 'in 42 s'],
    [200, 'in 1 s'],
    [0, 'now'],
    [-1400, 'now'],
    [-12_000, '12 s ago'],
    [-7_300_000, '2 h ago'],
  ])('%d ms before its instant it is %s', (leftOverMs, text) => {
    expect(untilText(leftOverMs)).toBe(text);
  });

  test('an instant is told as a clock on the wall shows it', () => {
    expect(wallClock('2026-12-01T09:00:00Z', 'Asia/Kathmandu')).toBe('1 Dec 2026, 14:45:00 GMT+5:45');
    expect(wallClock('2026-07-01T09:00:00Z', 'UTC')).toBe('1 Jul 2026, 09:00:00 UTC');
  });

  test('nothing is nothing', () => {
    const { group, dataSet } = groupOf(dataSetOf([]));
    expect([waitingFor(group, dataSet, nowMs), shownLast(group, dataSet, nowMs)]).toEqual([null, null]);
  });

  test.each([
    ['armed', 'Version 13 · Waits for its instant'],
    ['cancelling', 'Version 13 · Is being cancelled'],
    ['withdrawing', 'Version 13 · Is cancelled, and being taken back'],
    ['activating', 'Version 13 · Its instant has come'],
    ['of a later version', 'Version 13 · of a later version'],
  ])('in the phase %s it is headed "%s"', (phase, title) => {
    const armed = { version: 13, activateAt, inMs: 0, phase, armed: 3, of: 3, missing: [] };
    const { group, dataSet } = groupOf(dataSetOf([], { armed }));
    expect(waitingFor(group, dataSet, nowMs)).toMatchObject({ title, armed: '3 of 3', tone: 'calm', at: activateAt });
  });

  test('it counts down by the clock of the master, and names who is not armed', () => {
    const armed = { version: 13, activateAt, inMs: 0, phase: 'armed', armed: 1, of: 3, missing: ['b', 'c'] };
    const { group, dataSet } = groupOf(dataSetOf([], { armed }));
    const waiting = waitingFor(group, dataSet, nowMs + 3_570_000);
    expect(waiting).toMatchObject({ armed: '1 of 3; not b and c', tone: 'watch' });
    expect(waiting?.when).toBe(`${wallClock(activateAt)}, in 30 s`);
  });

  test('of the newest that showed: at how many, and how far apart at most', () => {
    const known = { version: 12, activateAt: '2026-11-21T12:00:48Z', exposed: 3, of: 3, missing: [] };
    const whole = groupOf(dataSetOf([], { activation: { ...known, spreadMs: 0.42, boundMs: 3.14 } }));
    expect(shownLast(whole.group, whole.dataSet, nowMs)).toMatchObject({
      title: 'Version 12 · Shown at its instant',
      when: `${wallClock(known.activateAt)}, 12 s ago`,
      shown: '3 of 3',
      spread: '< 1 ms by their own clocks, 3.1 ms at most',
      tone: 'calm',
    });
    const partly = { ...known, exposed: 2, missing: ['b'], spreadMs: null, boundMs: null };
    const lacking = groupOf(dataSetOf([], { activation: partly }));
    expect(shownLast(lacking.group, lacking.dataSet, nowMs)).toMatchObject({
      shown: '2 of 3; not yet reported by b',
      spread: 'nobody has reported it yet',
      tone: 'watch',
    });
  });
});
