import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Member } from './members.js';
import { RoundLog, type RoundRecord } from './round-log.js';

const epoch = { number: 3, claimant: 'c'.repeat(32) };
// The log asks a member for nothing but its name and its slot.
const members = ['a', 'b', 'c'].map((node, slot) => ({ node, slot }) as Member);
const b = { node: 'b' as NodeId };

function begin(log: RoundLog, version: number, voters: readonly Member[] = members): RoundRecord {
  return log.begin(
    { epoch, number: version, version, phases: 'two', startedMs: version * 10, operations: null, bytes: 7 },
    voters,
  );
}

describe('the account of rounds', () => {
  test('has the newest first, each with its votes as they came and who is missing', () => {
    const log = new RoundLog();
    const first = begin(log, 1);
    log.onYes(first, 2, 11);
    log.onYes(first, 0, 12.5);
    begin(log, 2);
    expect(log.newest(10).map(({ version, outcome }) => [version, outcome])).toEqual([
      [2, 'open'],
      [1, 'open'],
    ]);
    expect(log.newest(10)[1]).toMatchObject({
      votes: [
        { node: 'c', yes: true, reason: '', afterMs: 1 },
        { node: 'a', yes: true, reason: '', afterMs: 2.5 },
      ],
      missing: ['b'],
    });
    expect(log.newest(1)).toHaveLength(1);
  });

  test('a no has its reason, and is missing no more', () => {
    const log = new RoundLog();
    const round = begin(log, 1);
    log.onNo(round, { ...b, reason: 'too cheap' }, 13);
    log.onEnded(round, 'aborted', 'refused', 13);
    expect(log.newest(1)).toMatchObject([
      {
        outcome: 'aborted',
        reason: 'refused',
        decidedMs: 13,
        exposedMs: null,
        votes: [{ node: 'b', yes: false, reason: 'too cheap', afterMs: 3 }],
        missing: ['a', 'c'],
      },
    ]);
  });

  test('is exposed when the last of its voters shows it, or a later version', () => {
    const log = new RoundLog();
    const rounds = [begin(log, 1), begin(log, 2, members.slice(0, 2)), begin(log, 3)];
    for (const round of rounds) log.onCommitted(round, 40);
    const exposed = (): unknown[] => log.newest(3).map(({ exposedMs }) => exposedMs);
    log.onShown(0, 3, 50);
    log.onShown(1, 2, 51);
    expect(exposed()).toEqual([null, 51, null]);
    log.onShown(2, 1, 52);
    log.onShown(2, 1, 53);
    expect(exposed()).toEqual([null, 51, 52]);
    log.onShown(2, 3, 54);
    log.onShown(1, 3, 55);
    expect(exposed()).toEqual([55, 51, 52]);
  });

  test('keeps as many as it may, and forgets the oldest', () => {
    const log = new RoundLog();
    for (let version = 1; version <= limits.loggedRounds + 3; version += 1) begin(log, version);
    const versions = log.newest(Infinity).map(({ version }) => version);
    expect(versions).toHaveLength(limits.loggedRounds);
    expect([versions[0], versions.at(-1)]).toEqual([limits.loggedRounds + 3, 4]);
  });

  test('waits for the newest committed rounds only', () => {
    const log = new RoundLog();
    for (let version = 1; version <= limits.unexposedRounds + 1; version += 1)
      log.onCommitted(begin(log, version, members.slice(0, 1)), 1000);
    log.onShown(0, limits.unexposedRounds + 1, 2000);
    const exposed = log.newest(Infinity).map(({ exposedMs }) => exposedMs);
    expect(exposed.at(-1)).toBe(null);
    expect(exposed.slice(0, -1).every((exposedMs) => exposedMs === 2000)).toBe(true);
  });
});
