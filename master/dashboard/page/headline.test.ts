import { describe, expect, test } from 'vitest';
import type { LiveDataSet, LiveRound } from '../../http/live-bodies.js';
import { dataSetOf, groupOf, member, nowMs, round, tip, veto } from './fixtures.js';
import { accountOf, type Account } from './headline.js';

const abc = [member('a'), member('b'), member('c')];

function account(dataSet: LiveDataSet, rounds: readonly LiveRound[] = [], atMs = nowMs): Account {
  const known = groupOf(dataSet, rounds);
  return accountOf(known.group, known.dataSet, atMs);
}

describe('when nothing is the matter', () => {
  test('all are current', () => {
    expect(account(dataSetOf(abc), [round(12)])).toEqual({
      first: { tone: 'calm', key: 'calm 3', text: 'All 3 slaves are current at version 12' },
      others: [],
    });
  });

  test.each([
    [[member('a')], 'The one slave is current at version 12'],
    [[member('a'), member('b')], 'Both slaves are current at version 12'],
    [[], 'No slave has joined; the master is at version 12'],
  ])('the number of slaves is said as a person would: %#', (members, text) => {
    expect(account(dataSetOf(members)).first).toMatchObject({ tone: 'calm', text });
  });

  test('an empty data set is no trouble', () => {
    const empty = abc.map((each) => ({ ...each, tip: null }));
    expect(account(dataSetOf(empty, { tip: null })).first.text).toBe(
      'All 3 slaves are here; nothing has been committed yet',
    );
    expect(account(dataSetOf([], { tip: null })).first.text).toBe(
      'No slave has joined; nothing has been committed yet',
    );
  });

  test('what every change does for a moment is no news: behind, in doubt, an open round', () => {
    const busy = member('b', { behind: 1, behindMs: 300, inDoubt: 1, oldestInDoubtMs: 200, tip: tip(11) });
    const openRounds = [{ round: 4, version: 13, phase: 'preparing', ageMs: 80, voters: ['a'], missing: ['a'] }];
    expect(account(dataSetOf([member('a'), busy], { openRounds })).first.tone).toBe('calm');
  });
});

describe('a veto', () => {
  test('is the news, with its reason', () => {
    const { first } = account(dataSetOf(abc), [veto(13, 'b', 'cents must be positive'), round(12, { agoMs: 9000 })]);
    expect(first).toMatchObject({ tone: 'watch', text: 'b vetoed version 13: cents must be positive' });
  });

  test('steps back when another change is committed, and is forgotten a minute later', () => {
    const rounds = [round(14, { agoMs: 500 }), veto(13, 'b', 'no', 20_000)];
    const soon = account(dataSetOf(abc, { tip: tip(14) }), rounds);
    expect(soon.first.tone).toBe('calm');
    expect(soon.others.map(({ text }) => text)).toEqual([
      'b vetoed version 13: no (20 s ago; version 14 is committed since)',
    ]);
    expect(account(dataSetOf(abc, { tip: tip(14) }), rounds, nowMs + 60_000).others).toEqual([]);
  });

  test('is the news for ten minutes when nothing follows it', () => {
    const rounds = [veto(13, 'b', 'no', 0)];
    expect(account(dataSetOf(abc), rounds, nowMs + 599_000).first.tone).toBe('watch');
    expect(account(dataSetOf(abc), rounds, nowMs + 601_000).first.tone).toBe('calm');
  });

  test('is the news although the master has no record of its rounds', () => {
    const no = { version: 13, yes: false, reason: 'cents must be positive' };
    const members = [member('a'), member('b', { lastVote: no })];
    expect(account(dataSetOf(members)).first.text).toBe('b vetoed version 13: cents must be positive');
    expect(account(dataSetOf(members, { tip: tip(13) })).first.tone).toBe('calm');
  });

  test('of several names them; an abort without one gives its reason', () => {
    const both = veto(13, 'b', 'too high');
    const votes = [{ node: 'c', yes: false, reason: '', afterMs: 1 }, ...both.votes];
    expect(account(dataSetOf(abc), [{ ...both, votes }]).first.text).toBe('b and c vetoed version 13: too high');
    const late = round(13, { outcome: 'aborted', reason: 'timeout', missing: ['c'], silent: 1 });
    expect(account(dataSetOf(abc), [late]).first.text).toBe(
      'Version 13 was not committed: timeout; no vote came from c',
    );
  });
});

describe('a slave that is not heard', () => {
  const dead = dataSetOf([member('a'), member('c', { live: false, heardMsAgo: 12_000 })]);

  test('is an alarm, with how long; it counts on while nothing more is told', () => {
    expect(account(dead).first).toMatchObject({ tone: 'alarm', text: "c hasn't been heard for 12 s" });
    expect(account(dead, [], nowMs + 8000).first.text).toBe("c hasn't been heard for 20 s");
  });

  test('is the same matter while the seconds count: it is said aloud once', () => {
    expect(account(dead).first.key).toBe(account(dead, [], nowMs + 8000).first.key);
  });

  test('several are listed, or counted', () => {
    const silent = (count: number): LiveDataSet =>
      dataSetOf(
        Array.from({ length: count }, (_, index) => member(`s${index + 1}`, { live: false, heardMsAgo: 5000 })),
      );
    expect(account(silent(3)).first.text).toBe("s1, s2 and s3 haven't been heard for up to 5 s");
    expect(account(silent(12)).first.text).toBe("s1, s2 and 10 more haven't been heard for up to 5 s");
  });

  test('one that a new master never heard is worth a look, and comes after an alarm', () => {
    const never = member('b', { live: false, heardMsAgo: null, state: null, tip: null, behind: null, behindMs: null });
    expect(account(dataSetOf([member('a'), never])).first).toMatchObject({
      tone: 'watch',
      text: "b hasn't been heard since this master took the lead",
    });
    const both = account(dataSetOf([member('c', { live: false, heardMsAgo: 5000 }), never]));
    expect(both.first.text).toContain('c has');
    expect(both.others.map(({ text }) => text)).toEqual(["b hasn't been heard since this master took the lead"]);
  });
});

describe('what else is the matter', () => {
  test('in doubt: a watch, and after a while an alarm', () => {
    const doubtful = dataSetOf([member('b', { inDoubt: 1, oldestInDoubtMs: 3000 })]);
    expect(account(doubtful).first).toMatchObject({ tone: 'watch' });
    expect(account(doubtful).first.text).toBe("b has been in doubt for 3 s: voted yes, and doesn't know the decision");
    expect(account(doubtful, [], nowMs + 8000).first.tone).toBe('alarm');
  });

  test('diverged and failed copies come before everything', () => {
    const { first, others } = account(
      dataSetOf([
        member('a', { state: 'failed' }),
        member('b', { state: 'diverged' }),
        member('c', { live: false, heardMsAgo: 9000 }),
      ]),
    );
    expect(first.text).toBe("b has diverged: its copy is not on the master's chain");
    expect(others.map(({ text }) => text)).toEqual([
      "a can't apply what is committed; its log says why",
      "c hasn't been heard for 9 s",
    ]);
  });

  test('behind, by how much and for how long', () => {
    const behind = dataSetOf([member('c', { state: 'catching up', behind: 3, behindMs: 4000, tip: tip(9) })]);
    expect(account(behind).first).toMatchObject({ tone: 'watch', text: 'c is 3 versions behind, for 4 s' });
  });

  test('a master that cannot tell for how long: it is counted here', () => {
    const body = member('c', { state: 'serving', behind: 3, behindMs: null, tip: tip(9) });
    const behind = dataSetOf([body]);
    expect(account(behind).first.tone).toBe('calm');
    expect(account(behind, [], nowMs + 3000).first.text).toBe('c is 3 versions behind, for 3 s');
  });

  test('an open round names whom it waits for', () => {
    const openRounds = [{ round: 4, version: 13, phase: 'preparing', ageMs: 2000, voters: ['a', 'c'], missing: ['c'] }];
    const waiting = dataSetOf(abc, { openRounds });
    expect(account(waiting).first).toMatchObject({ tone: 'watch', text: 'Version 13 waits for c, since 2 s' });
    expect(account(waiting, [], nowMs + 4000).first.tone).toBe('alarm');
  });

  test('a slow one', () => {
    const slow = dataSetOf([member('a'), member('b', { roundTripMs: 480 })]);
    expect(account(slow).first.text).toBe('b is slow to answer: 480 ms there and back');
  });

  test.each([
    ['surveying', true, 'watch', 'master is asking its group whether it may lead'],
    ['claiming', false, 'watch', "master is waiting for its group's promises"],
    ['leading', false, 'watch', 'master leads, and commits nothing until'],
    ['halted', false, 'alarm', 'master does not lead prices; its log says why'],
  ])('a master that is %s (may commit: %s)', (phase, mayCommit, tone, text) => {
    const { first } = account(dataSetOf(abc, { phase, mayCommit }));
    expect(first.tone).toBe(tone);
    expect(first.text).toContain(text);
  });
});

describe('a scheduled change', () => {
  const armed = { version: 13, activateAt: '2026-11-21T13:01:00Z', inMs: 3_600_000, phase: 'armed', of: 3 } as const;
  const whole = { ...armed, armed: 3, missing: [] };
  const lacking = { ...armed, armed: 2, missing: ['b'] };

  test('that all are armed for is no matter, and neither is the moment that arming takes', () => {
    const round13 = round(13, { outcome: 'armed', agoMs: 60_000, exposedMs: null });
    expect(account(dataSetOf(abc, { armed: whole }), [round13]).first.tone).toBe('calm');
    const fresh = round(13, { outcome: 'armed', agoMs: 500, exposedMs: null });
    expect(account(dataSetOf(abc, { armed: lacking }), [fresh]).first.tone).toBe('calm');
  });

  test('names who is not armed, and when it is due; a cancelled one lacks nobody', () => {
    const known = [round(13, { outcome: 'armed', agoMs: 60_000, exposedMs: null })];
    expect(account(dataSetOf(abc, { armed: lacking }), known).first).toEqual({
      tone: 'watch',
      key: 'not armed 13 b',
      text: "b hasn't reported that it is armed for version 13, due in 60 min",
    });
    const both = { ...armed, armed: 1, missing: ['c', 'b'] };
    expect(account(dataSetOf(abc, { armed: both })).first.text).toBe(
      "b and c haven't reported that they are armed for version 13, due in 60 min",
    );
    expect(account(dataSetOf(abc, { armed: { ...both, phase: 'cancelling' } }), known).first.tone).toBe('calm');
  });
});
