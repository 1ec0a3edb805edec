import { describe, expect, it } from 'vitest';
import type { Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../../shared/protocol/kernel/ids.js';
import type { Message } from '../../../shared/protocol/wire/messages.js';
import { CoreGroup } from '../harness/cores.js';
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

describe('a master with an empty store, which reports do not reach', () => {
  /** The slaves hold version 1, and their master is gone for good. */
  function orphaned(): CoreGroup {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    group.master.alive = false;
    group.run(10_000);
    return group;
  }

  it('refuses to lead when it hears a slave look for its master, and say what it holds', () => {
    const group = orphaned();
    group.passes = ({ message }) => message.kind === 'join';
    const empty = group.addMaster('empty');
    group.restartSlave('a');
    group.run(3000);
    expect(empty.halted).toContain('others hold more: a (e1 v1)');
    expect(group.sent.some(({ from, message }) => from.node === 'empty' && message.kind === 'claim')).toBe(false);
  });

  it('refuses to lead when such a slave is heard only after its claim', () => {
    const group = orphaned();
    group.passes = () => false;
    const empty = group.addMaster('empty');
    while (empty.core.view(group.nowMs).phase === 'surveying') group.run(10);
    group.passes = ({ message }) => message.kind === 'join';
    group.restartSlave('a');
    group.run(3000);
    expect(empty.halted).toContain('others hold more: a (e1 v1)');
    expect(group.sent.some(({ from, message }) => from.node === 'empty' && message.kind === 'heartbeat')).toBe(false);
  });

  it('takes a promise that is refused for what it says as well: the slave holds more', () => {
    const group = orphaned();
    group.passes = ({ message }) => message.kind !== 'report';
    // Its first claim ties with the epoch that the slaves are bound to, and loses.
    const empty = group.addMaster('empty', {}, undefined, 'a');
    group.run(1500);
    expect(group.sent.some(({ message }) => message.kind === 'promise' && !message.granted)).toBe(true);
    expect(empty.halted).toContain('others hold more: a (e1 v1)');
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([1, 1]);
  });

  it('leads in no epoch that it knows to be beaten: it claims above it first', () => {
    const group = leading(['a']);
    group.master.alive = false;
    group.run(10_000);
    group.passes = ({ message }) => message.kind !== 'report';
    const heir = group.addMaster('heir', {}, undefined, 'a');
    group.run(6000);
    const beats = group.sent.filter(({ from, message }) => from.node === 'heir' && message.kind === 'heartbeat');
    expect(new Set(beats.map(({ epoch }) => epoch.number)), group.trace.slice(-30).join('\n')).toEqual(new Set([2]));
    expect(heir.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 2 } });
  });

  it('refuses to lead a slave that said yes to another master, unless it is told to', () => {
    const group = leading(['a']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.masterWrites = () => true;
    group.run(10_000);
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toHaveLength(1);
    const empty = group.addMaster('empty');
    group.run(3000);
    expect(empty.halted).toContain('others hold more: a (nothing, in doubt about e1 v1)');
    expect(empty.halted).toContain('--reset-group');
    const told = group.addMaster('told', { resetGroup: true });
    group.run(3000);
    expect(told.core.view(group.nowMs).phase).toBe('leading');
    expect(group.slave('a').core.view(group.nowMs).inDoubt, 'given up, by the operator’s word').toEqual([]);
  });
});

describe('a stranger that calls itself a leading master in no epoch', () => {
  const stranger: Peer = { node: 'stranger' as Peer['node'], incarnation: { storeId: '9'.repeat(32), start: 1 } };
  const tip = { epoch: { number: 7, claimant: '9'.repeat(32) }, version: 99, chain: '9'.repeat(32) } as unknown as Tip;
  const heartbeat: Message = {
    kind: 'heartbeat',
    sequence: 1,
    sentMs: 0,
    tip,
    lowestOpenRound: 1,
    openRounds: [],
    recentDecisions: [],
    heal: 'nobody',
    leaseMs: 3000,
    nextInMs: 100,
    asks: true,
    acknowledged: [],
    arming: null,
  };
  const report: Message = { kind: 'report', role: 'master', promised: noEpoch, tip, prepared: [], hears: stranger };

  it.each([heartbeat, report])('keeps no fresh master from leading, by its $kind, at any time', (message) => {
    const group = new CoreGroup(['a']);
    group.start();
    for (let times = 0; times < 60; times += 1) {
      group.command({ kind: 'received', from: stranger, epoch: noEpoch, message });
      group.run(50);
    }
    expect(group.master.halted).toBeNull();
    expect(group.results.get(group.replicate(1))).toMatchObject({ kind: 'committed', votes: { yes: 1 } });
  });

  it('in an epoch, it is respected: this one can’t know better', () => {
    const group = new CoreGroup(['a']);
    group.start();
    group.command({ kind: 'received', from: stranger, epoch: tip.epoch, message: heartbeat });
    group.run(100);
    expect(group.master.halted).toContain('stranger leads this group (epoch 7)');
  });
});
