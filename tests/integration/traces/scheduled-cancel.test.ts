import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { leading } from '../harness/leading.js';
import { armedOutcome, cancelActivation, isMark, schedule, testMs, wholeLeaseMs } from '../harness/scheduled.js';

/** A scheduled change that is taken back before its instant: everywhere, or not at all. */

describe('a cancellation', () => {
  it('takes it back at all that are armed, and is durable before it is told; then nobody ever shows it', () => {
    const group = leading(['a', 'b']);
    const { command, activateAtMs } = schedule(group, 1, 6000);
    armedOutcome(group, command);
    const waiting = group.replicate(2, { timeoutMs: 60_000 });
    const before = group.trace.length;
    cancelActivation(group, 900, 1);
    group.run(50);
    expect(group.results.get(900)).toMatchObject({ kind: 'cancelled', version: 1 });
    const lines = group.trace.slice(before);
    const at = (text: string): number => lines.findIndex((line) => line.includes(text));
    expect(at('a · disarmed')).toBeGreaterThan(at('a persists put prepared'));
    expect(at('master persists remove armed')).toBeGreaterThan(Math.max(at('a · disarmed'), at('b · disarmed')));
    expect(at('abort r1')).toBeGreaterThan(at('master persists remove armed'));
    expect(group.results.get(waiting), 'what was made on top of it ends with it or goes on').toMatchObject({ kind: 'committed' });
    group.run(testMs(activateAtMs) - group.nowMs + 1000);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[2], [2]]);
    expect(group.master.core.view(group.nowMs).armed).toBeNull();
    expect(group.master.shown).toEqual([]);
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', armed: null, inDoubt: [] });
  });

  it('ends the wait of a caller that waits for the exposure', () => {
    const group = leading(['a']);
    const { command } = schedule(group, 1, 6000, { wait: 'exposed' });
    cancelActivation(group, 900, 1);
    group.run(50);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    expect(group.restored).toEqual([[1]]);
  });

  it('of one that is still voted on, or waits, is an abort', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message, from }) => !(message.kind === 'vote' && from.node === 'b');
    const { command } = schedule(group, 1, 6000);
    cancelActivation(group, 900, 1);
    expect([group.results.get(command), group.results.get(900)]).toMatchObject([{ kind: 'aborted', reason: 'cancelled' }, { kind: 'cancelled' }]);
  });

  it('of what is not scheduled is refused', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(100);
    for (const version of [1, 2]) {
      cancelActivation(group, 900 + version, version);
      expect(group.results.get(900 + version)).toMatchObject({ kind: 'rejected', code: 'round-unknown' });
    }
  });

  it('fails when somebody that may be armed does not confirm: it stands, and all show it at its instant', () => {
    const group = leading(['a', 'b', 'c']);
    const { activateAtMs } = schedule(group, 1, 10_000);
    group.passes = (packet, receiver) => receiver !== 'c' && packet.from.node !== 'c';
    cancelActivation(group, 900, 1, 1000);
    group.run(500);
    expect(group.view('a').armed).toMatchObject({ armed: false });
    expect(group.results.has(900)).toBe(false);
    group.run(600);
    expect(group.results.get(900)).toMatchObject({ kind: 'stands', version: 1, activateAtMs, missing: ['c'] });
    group.run(100);
    expect(group.view('a').armed, 'armed again').toMatchObject({ armed: true });
    group.run(testMs(activateAtMs) - group.nowMs + 5);
    expect(group.slaves.map(({ applied }) => applied), 'c by its own clock, unreachable as it is').toEqual([[1], [1], [1]]);
    group.passes = () => true;
    group.run(4000);
    for (const { name } of group.slaves) expect(group.view(name).state).toBe('current');
  });

  it('never outlasts the moment from which on leases would reach the instant, whatever its own patience', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 8000);
    group.slaveWrites = (name, operations) => name !== 'b' || !isMark(operations);
    cancelActivation(group, 900, 1, 60_000);
    const byMs = testMs(activateAtMs) - wholeLeaseMs - limits.maxClockErrorMs;
    group.run(byMs - group.nowMs - 1);
    expect(group.results.has(900)).toBe(false);
    group.slaveWrites = () => true;
    group.run(2);
    expect(group.results.get(900)).toMatchObject({ kind: 'stands', missing: ['b'] });
    group.run(testMs(activateAtMs) - group.nowMs + 500);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1], [1]]);
  });

  it('comes too late within a lease of the instant', () => {
    const group = leading(['a']);
    const { activateAtMs } = schedule(group, 1, 5000);
    group.run(testMs(activateAtMs) - wholeLeaseMs - limits.maxClockErrorMs - group.nowMs + 1);
    cancelActivation(group, 900, 1);
    expect(group.results.get(900)).toMatchObject({ kind: 'rejected', code: 'already-decided' });
    group.run(5000);
    expect(group.slave('a').applied).toEqual([1]);
  });

  it('is confirmed only once it is on disk', () => {
    const group = leading(['a']);
    schedule(group, 1, 20_000);
    group.slaveWrites = (_, operations) => !isMark(operations);
    cancelActivation(group, 900, 1, 1000);
    group.run(900);
    const reports = group.sent.flatMap(({ message }) => (message.kind === 'status' && message.arming !== null ? [message.arming.armed] : []));
    expect(reports.at(-1)).toBe(true);
    group.run(200);
    expect(group.results.get(900)).toMatchObject({ kind: 'stands' });
  });

  it('wins over an arming that arrives after it, and one voter that was never armed confirms as well', () => {
    const group = leading(['a', 'b']);
    const late: Parameters<typeof group.passes>[0][] = [];
    let aIsHeard = true;
    group.passes = (packet, receiver) => {
      const { from, message } = packet;
      if (from.node === 'a') return aIsHeard;
      const tells = message.kind === 'arming' ? message : message.kind === 'heartbeat' ? message.arming : null;
      if (receiver !== 'b' || tells?.armed !== true) return true;
      late.push(packet);
      return false;
    };
    const { activateAtMs } = schedule(group, 1, 8000, { timeoutMs: 500 });
    group.run(500);
    expect(group.view('b').armed).toMatchObject({ armed: false });
    // While a's confirmation is missing the cancellation goes on, and b has confirmed.
    aIsHeard = false;
    cancelActivation(group, 900, 1);
    group.run(50);
    expect(group.results.has(900)).toBe(false);
    expect(late.length).toBeGreaterThan(0);
    for (const packet of late) group.deliverNow('b', packet);
    group.run(50);
    expect(group.view('b').armed).toMatchObject({ armed: false });
    aIsHeard = true;
    group.run(1000);
    expect(group.results.get(900)?.kind).toBe('cancelled');
    expect(group.trace.some((line) => line.includes('b · armed'))).toBe(false);
    group.run(testMs(activateAtMs) - group.nowMs + 500);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
  });

  it('that a restart of the master cuts off did not happen: it is armed again', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 20_000);
    group.passes = ({ from }) => from.node !== 'b';
    cancelActivation(group, 900, 1);
    group.run(300);
    expect(group.view('a').armed).toMatchObject({ armed: false });
    group.passes = () => true;
    group.restartMaster();
    group.run(6000);
    expect(group.master.core.view(group.nowMs).armed).toMatchObject({ armed: 2, of: 2, phase: 'armed' });
    group.run(testMs(activateAtMs) - group.nowMs + 5);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1], [1]]);
  });

  it('that was durable holds over a restart, for a slave too that missed its end', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 20_000);
    group.passes = ({ message }, receiver) => receiver !== 'b' || message.kind === 'arming';
    cancelActivation(group, 900, 1);
    group.run(300);
    expect(group.results.get(900)).toMatchObject({ kind: 'cancelled' });
    expect(group.view('b').inDoubt, 'plainly prepared again').toHaveLength(1);
    group.slave('b').alive = false;
    group.passes = () => true;
    group.restartMaster();
    group.restartSlave('b');
    group.run(testMs(activateAtMs) - group.nowMs + 1000);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
    expect(group.view('b')).toMatchObject({ inDoubt: [], armed: null, state: 'current' });
  });

  it('is joined by a second caller, and both hear how it ends', () => {
    const group = leading(['a', 'b']);
    schedule(group, 1, 20_000);
    group.passes = ({ from }) => from.node !== 'b';
    cancelActivation(group, 900, 1, 800);
    cancelActivation(group, 901, 1, 5000);
    group.run(900);
    expect([group.results.get(900), group.results.get(901)]).toMatchObject([{ kind: 'stands' }, { kind: 'stands' }]);
  });
});

describe('a newer reign', () => {
  it('of another store activates nothing of what it has not been told: its slaves wait for its word', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 20_000);
    group.master.alive = false;
    const other = group.addMaster('other', { takeOver: true, claimant: 'f'.repeat(32) });
    group.run(12_000);
    expect(other.core.view(group.nowMs).phase).toBe('leading');
    group.run(testMs(activateAtMs) - group.nowMs + 1000);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
    for (const { name } of group.slaves) expect(group.view(name).promised.claimant).toBe('f'.repeat(32));
  });
});
