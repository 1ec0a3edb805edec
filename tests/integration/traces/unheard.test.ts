import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

/** A starting master that hears only a part of its group. */

describe('a second master that no answer reaches', () => {
  it.each([[false, 'start this one with --take-over'], [true, 'others hold more']] as const)(
    'still hears the heartbeats, which count as reports (told to take over: %s)',
    (takeOver, text) => {
      const group = leading(['a', 'b']);
      group.replicate(1);
      group.run(200);
      const calls = group.slaves.map((slave) => [...slave.calls]);
      group.passes = ({ to }, receiver) => !(receiver === 'second' && to !== 'all');
      const second = group.addMaster('second', { takeOver });
      group.run(10_000);
      expect(second.halted).toContain(text);
      expect(group.sent.some(({ from, message }) => from.node === 'second' && message.kind === 'claim')).toBe(false);
      expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 1 } });
      expect(group.slaves.map((slave) => slave.calls)).toEqual(calls);
      expect(group.results.get(group.replicate(2))).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    },
  );

  it('and that hears nobody at all before its claim goes back when a promise shows what it lacks, and wipes nothing', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(200);
    group.master.alive = false;
    group.run(10_000);
    group.passes = ({ message }) => message.kind !== 'report';
    const empty = group.addMaster('empty');
    group.run(10_000);
    expect(empty.halted).toContain('others hold more');
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([1, 1]);
    expect(group.slaves.map((slave) => slave.calls)).toEqual([['prepare 1', 'commit 1'], ['prepare 1', 'commit 1']]);
  });
});

describe('a survey', () => {
  it('changes nothing at those who answer it, and is answered by a report that says what they hold and whom they hear', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(200);
    const slave = group.slave('a');
    const view = slave.core.view(group.nowMs);
    const before = group.sent.length;
    const stranger = { node: 'second' as never, incarnation: { storeId: 's'.repeat(32), start: 1 } };
    group.deliverNow('a', { from: stranger, to: 'all', epoch: { number: 0, claimant: '0'.repeat(32) }, message: { kind: 'survey' } });
    expect(slave.core.view(group.nowMs)).toEqual(view);
    expect(group.sent.slice(before)).toMatchObject([
      { to: stranger, message: { kind: 'report', role: 'slave', promised: { number: 1 }, tip: { version: 1 }, prepared: [], hears: { node: 'master' } } },
    ]);
  });
});

describe('a new reign', () => {
  it('commits nothing while a member that has not promised may still call itself current (G12)', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(500);
    // `b` answers the survey, and is out of reach from the claim on: its lease of the old reign runs.
    group.passes = ({ epoch, from }, receiver) => !(epoch.number > 1 && (receiver === 'b' || from.node === 'b'));
    group.master.alive = false;
    const before = group.nowMs;
    group.restartMaster();
    group.run(1500);
    const command = group.replicate(2, { timeoutMs: 30_000 });
    expect(group.master.core.view(group.nowMs), 'it leads, and waits').toMatchObject({ phase: 'leading', mayCommit: false });
    expect(group.slave('b').core.view(group.nowMs).state).toBe('current');
    while (!group.results.has(command) && group.nowMs < before + 30_000) {
      group.run(10);
      if (group.slave('b').core.view(group.nowMs).state === 'current') expect(group.results.has(command)).toBe(false);
    }
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 1 } });
    expect(group.nowMs - before, 'the longest lease there is, and the error of two clocks').toBeGreaterThanOrEqual(5010);
  });
});
