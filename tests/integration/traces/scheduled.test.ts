import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { CoreGroup, Packet } from '../harness/cores.js';
import { leading } from '../harness/leading.js';
import { armedOutcome, groupOffsetMs, instantIn, isMark, lateTo, schedule, testMs, wholeLeaseMs } from '../harness/scheduled.js';

/** A change that is decided before an instant and shown everywhere at it. */

const hourMs = 3_600_000;

function applied(group: CoreGroup): readonly (readonly number[])[] {
  return group.slaves.map((slave) => slave.applied);
}

/** What the slaves called themselves, asked every so often until then. */
function statesUntil(group: CoreGroup, untilMs: number, everyMs: number): Map<string, Set<string>> {
  const states = new Map<string, Set<string>>();
  while (group.nowMs < untilMs) {
    group.run(Math.min(everyMs, untilMs - group.nowMs));
    for (const { name } of group.slaves) states.set(name, (states.get(name) ?? new Set()).add(group.view(name).state));
  }
  return states;
}

describe('a scheduled change', () => {
  it('is decided and armed before its instant, shown by nobody before it, and by all at it', () => {
    const group = leading(['a', 'b', 'c']);
    group.replicate(1);
    group.run(200);
    const { command, activateAtMs } = schedule(group, 2, 5000);
    expect(armedOutcome(group, command)).toMatchObject({
      activateAtMs, tip: { version: 2 }, votes: { yes: 3, no: 0, silent: 0 }, arming: { armed: 3, of: 3, missing: [] }, durable: true,
    });
    expect(group.master.core.view(group.nowMs)).toMatchObject({ tip: { version: 1 }, armed: { version: 2, activateAtMs, armed: 3, of: 3, phase: 'armed' } });
    group.run(testMs(activateAtMs) - group.nowMs - 1);
    expect(applied(group)).toEqual([[1], [1], [1]]);
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', tip: { version: 1 }, inDoubt: [], armed: { version: 2, armed: true } });
    group.run(2);
    expect(applied(group)).toEqual([[1, 2], [1, 2], [1, 2]]);
    for (const node of [group.master, ...group.slaves]) {
      expect(node.shown).toHaveLength(1);
      expect(Math.abs((node.shown[0]?.atMs ?? 0) - testMs(activateAtMs))).toBeLessThan(0.1);
    }
    group.run(500);
    expect(group.master.core.view(group.nowMs)).toMatchObject({ tip: { version: 2 }, armed: null });
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', tip: { version: 2 }, armed: null });
    expect(group.trace.filter((line) => line.includes('inquiry')), 'nobody was in doubt').toEqual([]);
  });

  it('settles for a caller that waits until it is exposed only then, as committed', () => {
    const group = leading(['a', 'b']);
    const { command, activateAtMs } = schedule(group, 1, 4000, { wait: 'exposed' });
    expect(group.results.has(command)).toBe(false);
    group.run(testMs(activateAtMs) - group.nowMs - 1);
    expect(group.results.has(command)).toBe(false);
    group.run(100);
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', tip: { version: 1 } });
  });

  it('is decided durably before the first arming leaves (G16)', () => {
    const group = leading(['a', 'b']);
    const before = group.sent.length;
    const said = (kind: string): number => group.sent.slice(before).filter(({ message }) => message.kind === kind).length;
    group.masterWrites = () => false;
    schedule(group, 1, 8000);
    expect(said('vote')).toBe(2);
    expect(said('arming')).toBe(0);
    group.run(12_000);
    expect(said('arming')).toBe(0);
    expect(applied(group), 'nobody was armed').toEqual([[], []]);
    for (const { name } of group.slaves) expect(group.view(name).state, 'no lease reached the instant').not.toBe('current');
  });

  it('is reported as armed only once that is on disk (G16)', () => {
    const group = leading(['a', 'b']);
    let armings = 0;
    group.slaveWrites = (name, operations) => {
      if (isMark(operations)) armings += 1;
      return name !== 'a' || !isMark(operations);
    };
    const { command } = schedule(group, 1, 5000, { timeoutMs: 700 });
    group.run(1000);
    expect(armings).toBe(2);
    expect(armedOutcome(group, command).arming).toEqual({ armed: 1, of: 2, missing: ['a'] });
  });

  it('carries the same instant to clocks that are hours apart and drift, with the error that each reports', () => {
    const group = leading([]);
    const clocks = [[5 * hourMs, 1 + limits.clockRateError], [-7 * hourMs, 1 - limits.clockRateError], [0, 1]] as const;
    clocks.forEach(([aheadMs, rate], index) => void group.addSlave(`s${index}`, `s${index}`, null, { aheadMs, rate }));
    group.run(20_000);
    const { command, activateAtMs } = schedule(group, 1, 60_000);
    expect(armedOutcome(group, command).arming.armed).toBe(3);
    group.run(61_000);
    for (const { shown, name } of group.slaves) {
      expect(shown, name).toHaveLength(1);
      expect(Math.abs((shown[0]?.atMs ?? 0) - testMs(activateAtMs)), name).toBeLessThan(1);
    }
    const { activation } = group.master.core.view(group.nowMs);
    expect(activation).toMatchObject({ version: 1, exposed: 3, of: 3, missing: [] });
    expect(activation?.spreadMs).toBeLessThan(1);
    expect(activation?.boundMs).toBeGreaterThanOrEqual(activation?.spreadMs ?? Infinity);
    expect(group.trace.some((line) => line.includes('activated everywhere'))).toBe(true);
  });

  it('is shown within the error that each reports, and the bound of the skew holds it, where one way is much longer than the other', () => {
    const group = leading([]);
    const pass = lateTo(group, 'far', 40);
    group.addSlave('near');
    group.addSlave('far', 'far', null, { aheadMs: 5 * hourMs, rate: 1 + limits.clockRateError });
    pass(20_000);
    const activateAtMs = instantIn(group, 30_000);
    const command = group.replicate(1, { activateAtMs });
    pass(500);
    expect(armedOutcome(group, command).arming.armed).toBe(2);
    pass(31_000);
    const shownMs = [group.master, ...group.slaves].map(({ shown }) => shown[0]?.atMs ?? NaN);
    const [, nearMs = NaN, farMs = NaN] = shownMs;
    // Nothing that it can measure tells it so: it is twenty milliseconds late.
    expect(farMs - testMs(activateAtMs)).toBeGreaterThan(15);
    for (const [name, atMs] of [['near', nearMs], ['far', farMs]] as const) {
      const reports = group.sent.flatMap(({ from, message }) => (from.node === name && message.kind === 'status' && message.activation !== null ? [message.activation] : []));
      const { exposedAtMs, errorMs = NaN } = reports[0] ?? {};
      expect(Math.abs((exposedAtMs ?? NaN) - groupOffsetMs - atMs), name).toBeLessThanOrEqual(errorMs + 0.01);
    }
    const { activation } = group.master.core.view(group.nowMs);
    expect(activation).toMatchObject({ exposed: 2, of: 2, missing: [] });
    const spreadMs = Math.max(...shownMs) - Math.min(...shownMs);
    expect(activation?.spreadMs, 'by their own clocks').toBeLessThan(5);
    expect(spreadMs).toBeGreaterThan(15);
    expect(activation?.boundMs).toBeGreaterThanOrEqual(spreadMs);
  });

  it('is committed at once by a master that hears of copies before its own turn: they hold no lease for what was before (G12)', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(200);
    const { activateAtMs } = schedule(group, 2, 5000);
    group.run(testMs(activateAtMs) - group.nowMs - 50);
    const waiting: Packet[] = [];
    group.master.alive = false;
    group.passes = (packet, receiver) => {
      if (receiver === 'master') waiting.push(packet);
      return receiver !== 'master';
    };
    group.run(50 + 2 * limits.afterShowingMs);
    expect(applied(group)).toEqual([[1, 2], [1, 2]]);
    group.master.alive = true;
    group.passes = () => true;
    for (const packet of waiting) group.deliverNow('master', packet);
    for (const { name } of group.slaves) expect(group.view(name).leaseUntilMs, 'it has a lease').toBeGreaterThan(group.nowMs + 1000);
    group.run(1);
    expect(group.master.shown.map(({ version }) => version)).toEqual([2]);
    group.run(500);
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', tip: { version: 2 } });
  });

  it('is shown by whoever is armed though nothing is heard of the master any more', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 4000);
    group.master.alive = false;
    group.run(testMs(activateAtMs) - group.nowMs + 10);
    expect(applied(group)).toEqual([[1], [1]]);
    group.restartMaster();
    group.run(12_000);
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 }, armed: null });
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', tip: { version: 1 } });
  });

  it('is exposed before its write, which a crash in between does again', () => {
    const group = leading(['a']);
    const { activateAtMs } = schedule(group, 1, 4000);
    group.slaveWrites = () => false;
    group.run(testMs(activateAtMs) - group.nowMs + 5);
    expect(group.slave('a').shown, 'readers see it').toHaveLength(1);
    expect(group.slave('a').tip, 'the disk does not').toBeNull();
    expect(group.view('a').tip).toBeNull();
    group.slave('a').alive = false;
    group.slaveWrites = () => true;
    group.restartSlave('a');
    group.run(5000);
    expect(group.slave('a').tip).toMatchObject({ version: 1 });
    expect(group.view('a').state).toBe('current');
  });
});

describe('whoever is not armed', () => {
  it('gets no lease that reaches the instant, and is not current when the others switch (G12, G16)', () => {
    const group = leading(['a', 'b', 'c']);
    group.replicate(1);
    group.run(200);
    group.slaveWrites = (name, operations) => name !== 'c' || !isMark(operations);
    const { command, activateAtMs } = schedule(group, 2, 8000, { timeoutMs: 1000 });
    group.run(1000);
    expect(armedOutcome(group, command).arming).toEqual({ armed: 2, of: 3, missing: ['c'] });
    const { leaseUntilMs } = group.view('c');
    expect(leaseUntilMs).toBeLessThanOrEqual(testMs(activateAtMs) - limits.maxClockErrorMs);
    group.run(testMs(activateAtMs) - group.nowMs - limits.maxClockErrorMs);
    expect(group.view('a').state).toBe('current');
    expect(group.view('c').state).not.toBe('current');
    group.run(2000);
    expect(group.view('c')).toMatchObject({ state: 'current', tip: { version: 2 } });
  });

  it('stays current until a lease before the instant, and says no to nothing meanwhile', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 60_000);
    const late = group.addSlave('late');
    group.run(3000);
    expect(group.view('late').state).toBe('current');
    const untilMs = testMs(activateAtMs) - limits.maxClockErrorMs;
    group.run(untilMs - group.nowMs);
    expect(group.view('late').state).not.toBe('current');
    group.run(1000);
    expect(late.applied).toEqual([1]);
    expect(group.view('late').state).toBe('current');
  });

  it('has no voice in a decision that would come too late for leases: the round aborts a lease before the instant', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message, from }) => !(message.kind === 'vote' && from.node === 'b');
    const { command, activateAtMs } = schedule(group, 1, 4000, { timeoutMs: 60_000 });
    const armByMs = testMs(activateAtMs) - wholeLeaseMs - limits.maxClockErrorMs;
    group.run(armByMs - group.nowMs - 1);
    expect(group.results.has(command)).toBe(false);
    group.run(2);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'too late to arm', refusals: [{ node: 'b' }] });
    group.passes = () => true;
    group.run(6000);
    expect(applied(group)).toEqual([[], []]);
    const later = group.replicate(2);
    group.run(200);
    expect(group.results.get(later)).toMatchObject({ kind: 'committed' });
  });
});

describe('an instant', () => {
  it('that has passed, or is nearer than the group can arm, is refused with the earliest possible one', () => {
    const group = leading(['a']);
    for (const inMs of [-1000, 0, 3000, 3200]) {
      const command = group.replicate(1, { activateAtMs: instantIn(group, inMs) });
      const result = group.results.get(command);
      expect(result).toMatchObject({ kind: 'rejected', code: 'instant-too-early' });
      if (result?.kind !== 'rejected') return;
      expect(result.text).toContain(inMs <= 0 ? 'has passed' : 'nearer than the group can arm');
      expect(result.earliestAtMs).toBeGreaterThan(instantIn(group, 3000));
      expect(result.earliestAtMs).toBeLessThan(instantIn(group, 4000));
    }
    const { earliestAtMs } = group.results.get(group.replicate(1, { activateAtMs: 0 })) as { earliestAtMs: number };
    const command = group.replicate(1, { activateAtMs: earliestAtMs });
    group.run(100);
    expect(armedOutcome(group, command).arming).toMatchObject({ armed: 1, of: 1 });
  });

  it('beyond the horizon is refused with the latest and the earliest possible one', () => {
    const group = leading(['a']);
    const command = group.replicate(1, { activateAtMs: instantIn(group, limits.activationHorizonMs + 1000) });
    const refused = group.results.get(command);
    expect(refused).toMatchObject({ kind: 'rejected', code: 'instant-too-late', latestAtMs: instantIn(group, limits.activationHorizonMs) });
    const { earliestAtMs } = group.results.get(group.replicate(1, { activateAtMs: 0 })) as { earliestAtMs: number };
    expect(refused).toMatchObject({ earliestAtMs });
    const within = group.replicate(1, { activateAtMs: instantIn(group, limits.activationHorizonMs - 1000) });
    group.run(100);
    expect(armedOutcome(group, within).arming.armed).toBe(1);
    expect(group.slave('a').core.nextWakeMs(), 'nothing fires at once').toBeGreaterThan(group.nowMs);
  });

  it('that came too near while the change waited in the queue is refused then', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message, from }) => !(message.kind === 'vote' && from.node === 'b');
    const first = group.replicate(1, { timeoutMs: 1500 });
    const second = group.replicate(2, { activateAtMs: instantIn(group, 4000) });
    group.run(2000);
    expect(group.results.get(first)).toMatchObject({ kind: 'aborted', reason: 'timeout' });
    expect(group.results.get(second)).toMatchObject({ kind: 'rejected', code: 'instant-too-early' });
    expect(group.restored).toContainEqual([2]);
  });
});

describe('a clock error above the bound', () => {
  it('is a no with the reason', () => {
    const group = leading(['a', 'b']);
    group.run(3000);
    // Nothing is heard of the clock for so long that its error grows beyond the bound.
    group.passes = ({ message }, receiver) => receiver !== 'b' || message.kind !== 'clock';
    group.run(60_000);
    const { command } = schedule(group, 1, 60_000);
    group.run(limits.clockVoteMs);
    const result = group.results.get(command);
    expect(result).toMatchObject({ kind: 'aborted', reason: 'refused', refusals: [{ node: 'b' }] });
    expect(result?.kind === 'aborted' && result.refusals[0]?.reason).toMatch(/^clock error of \d+ ms is above 50 ms$/);
  });

  it('that an answer brings down is asked for at once, and the vote is a yes', () => {
    const group = leading(['a', 'b']);
    group.run(3000);
    group.passes = ({ message }, receiver) => receiver !== 'b' || message.kind !== 'clock';
    group.run(60_000);
    group.passes = () => true;
    // In a step of its own, so that no request at leisure comes first.
    const { command } = schedule(group, 1, 60_000);
    group.run(limits.clockVoteMs / 2);
    expect(armedOutcome(group, command)).toMatchObject({ arming: { armed: 2, of: 2 } });
    expect(group.sent.filter(({ message }) => message.kind === 'vote'), 'one each').toHaveLength(2);
  });

  it('that was never measured is a no as well', () => {
    const group = leading(['a']);
    group.passes = ({ message }) => message.kind !== 'clock';
    group.addSlave('b');
    group.run(3000);
    const { command } = schedule(group, 1, 60_000);
    group.run(limits.clockVoteMs);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', refusals: [{ node: 'b', reason: "the master's clock is not known here yet" }] });
  });

  it('that arises after the arming makes it wait and not be current, until it knows; it does not guess', () => {
    const group = leading(['a', 'b']);
    group.run(2000);
    const { activateAtMs } = schedule(group, 1, 120_000);
    group.passes = ({ message }, receiver) => receiver !== 'b' || message.kind !== 'clock';
    group.run(testMs(activateAtMs) - group.nowMs - 1000);
    expect(group.view('b').state, 'well before it').toBe('current');
    // From now on nothing at all reaches it, not even what is committed.
    const cutMs = group.nowMs + 950;
    group.run(950);
    group.passes = (_, receiver) => receiver !== 'b';
    group.run(testMs(activateAtMs) - group.nowMs + 10);
    expect(group.slave('a').applied).toEqual([1]);
    expect(group.slave('b').applied).toEqual([]);
    expect(group.nowMs - cutMs, 'its lease would still run').toBeLessThan(1000);
    expect(group.view('b').state).not.toBe('current');
    expect(group.view('b').reason).toMatch(/may be due/);
    group.passes = () => true;
    group.run(500);
    expect(group.slave('b').applied).toEqual([1]);
    expect(group.view('b').state).toBe('current');
  });

  it('shrinks to nothing in what an unreachable slave does: it switches when even its slowest reading has passed the instant', () => {
    const group = leading(['a', 'b']);
    group.run(2000);
    const { activateAtMs } = schedule(group, 1, 120_000);
    group.passes = (_, receiver) => receiver !== 'b';
    group.run(testMs(activateAtMs) - group.nowMs + 50);
    expect(group.slave('b').applied).toEqual([]);
    group.run(2000);
    expect(group.slave('b').applied).toEqual([1]);
    expect(group.trace.some((line) => line.includes('b · activated late'))).toBe(true);
  });
});

describe('what comes later', () => {
  it('queues behind an armed change, and goes when it has shown', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 5000);
    const two = group.replicate(2, { timeoutMs: 60_000 });
    const one = group.replicate(3, { phases: 'one', timeoutMs: 60_000 });
    group.run(testMs(activateAtMs) - group.nowMs - 1);
    expect([group.results.has(two), group.results.has(one)]).toEqual([false, false]);
    expect(group.sent.some(({ message }) => message.kind === 'prepare' && message.to.version === 2)).toBe(false);
    group.run(500);
    expect([group.results.get(two), group.results.get(one)]).toMatchObject([{ kind: 'committed' }, { kind: 'committed' }]);
    expect(applied(group)).toEqual([[1, 2, 3], [1, 2, 3]]);
  });

  it('has its own deadline: an outcome says what it waited for', () => {
    const group = leading(['a']);
    schedule(group, 1, 60_000);
    const command = group.replicate(2, { timeoutMs: 1000 });
    group.run(990);
    expect(group.results.has(command)).toBe(false);
    group.run(20);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'behind an armed change' });
    expect(group.restored).toContainEqual([2]);
  });

  it('a scheduled change waits for what is open before it', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message, from }) => !(message.kind === 'vote' && from.node === 'b' && message.to.version === 1);
    const first = group.replicate(1, { timeoutMs: 500 });
    const second = group.replicate(2, { activateAtMs: instantIn(group, 6000), delta: new Uint8Array([2]) });
    expect(group.sent.some(({ message }) => message.kind === 'prepare' && message.to.version === 2)).toBe(false);
    group.run(1000);
    expect(group.results.get(first)).toMatchObject({ kind: 'aborted' });
    expect(armedOutcome(group, second).arming.armed).toBe(2);
  });
});

describe('a node that was away at the instant', () => {
  it('does not show the old copy as current when it was paused across it, and activates late', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(200);
    const { activateAtMs } = schedule(group, 2, 5000);
    group.run(testMs(activateAtMs) - group.nowMs - 100);
    const paused = group.slave('b');
    paused.alive = false;
    group.run(1500);
    paused.alive = true;
    expect(group.view('b').leaseUntilMs, 'its lease still runs').toBeGreaterThan(group.nowMs);
    expect(group.view('b')).toMatchObject({ state: 'serving', tip: { version: 1 } });
    group.run(50);
    expect(paused.applied).toEqual([1, 2]);
    expect(group.trace.some((line) => line.includes('b · activated late'))).toBe(true);
    group.run(500);
    expect(group.view('b').state).toBe('current');
  });

  it('is armed again by a restart before it', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 8000);
    group.slave('b').alive = false;
    group.run(1000);
    const before = group.trace.length;
    group.restartSlave('b');
    expect(group.trace.slice(before).some((line) => line.includes('b · still armed'))).toBe(true);
    group.run(1000);
    expect(group.master.core.view(group.nowMs).armed).toMatchObject({ armed: 2, of: 2 });
    group.passes = (_, receiver) => receiver !== 'b';
    group.run(testMs(activateAtMs) - group.nowMs + 5);
    expect(group.slave('b').applied, 'by its own clock').toEqual([1]);
  });

  it('activates late after a restart that comes past it, and is not current before', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(200);
    const { activateAtMs } = schedule(group, 2, 5000);
    group.slave('b').alive = false;
    group.run(testMs(activateAtMs) - group.nowMs + 4000);
    group.restartSlave('b');
    const states = statesUntil(group, group.nowMs + 3000, 0.5);
    expect(group.slave('b').applied).toEqual([1, 2]);
    expect([...(states.get('b') ?? [])]).toContain('current');
    expect(group.trace.some((line) => line.includes('b · activated late'))).toBe(true);
    expect(group.trace.filter((line) => line.includes('master · committed'))).toHaveLength(1);
  });
});

describe('what may be shown at the instant without a step of the core', () => {
  it('is the change that is armed, at the instant by the clock of its own', () => {
    const group = leading(['a', 'b']);
    expect(group.slave('a').core.showing).toBeNull();
    const { activateAtMs } = schedule(group, 1, 20_000);
    group.run(100);
    for (const slave of group.slaves) {
      expect(slave.core.showing?.change.to.version).toBe(1);
      const atMs = ((slave.core.showing?.atMs ?? 0) - slave.clock.aheadMs) / slave.clock.rate;
      expect(Math.abs(atMs - testMs(activateAtMs))).toBeLessThan(5);
    }
  });

  it('is nothing while the mark on disk is of an older reign', () => {
    const group = leading(['a', 'b']);
    schedule(group, 1, 20_000);
    group.run(100);
    expect(group.slave('b').core.showing).not.toBeNull();
    group.passes = ({ message }, receiver) => receiver !== 'b' || (message.kind !== 'arming' && message.kind !== 'heartbeat');
    group.restartMaster();
    group.run(5000);
    expect(group.slaves.map(({ core }) => core.showing !== null)).toEqual([true, false]);
  });

  it('is nothing when the clock could be known too badly by then: it does not guess', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 120_000);
    group.passes = ({ message }, receiver) => receiver !== 'b' || message.kind !== 'clock';
    group.run(100);
    expect(group.slave('a').core.showing, 'unheard until then').toBeNull();
    group.run(testMs(activateAtMs) - group.nowMs - 1000);
    expect(group.slaves.map(({ core }) => core.showing !== null)).toEqual([true, false]);
  });
});

describe('a master that starts again', () => {
  it('before the instant: what was armed still is, under the same name and for the same instant', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 30_000);
    const { round } = group.master.core.view(group.nowMs).armed ?? {};
    group.restartMaster();
    group.run(5000);
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 2 }, tip: null, armed: { round, version: 1, activateAtMs, armed: 2, of: 2 } });
    expect(group.trace.some((line) => line.includes('master · arming carried over'))).toBe(true);
    group.run(testMs(activateAtMs) - group.nowMs + 5);
    for (const node of [group.master, ...group.slaves]) expect(Math.abs((node.shown.at(-1)?.atMs ?? 0) - testMs(activateAtMs))).toBeLessThan(0.1);
    group.run(500);
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', tip: { version: 1, epoch: { number: 1 } } });
  });

  it('with an older backup of its store refuses to lead: it would take back what is decided', () => {
    const group = leading(['a', 'b']);
    const backup = group.master.records.copy();
    const { activateAtMs } = schedule(group, 1, 30_000);
    group.master.alive = false;
    group.run(1000);
    const old = group.addMaster('master', {}, backup);
    group.run(10_000);
    expect(old.halted).toContain('others hold more: a (nothing, armed with e1 v1)');
    group.run(testMs(activateAtMs) - group.nowMs + 3000);
    expect(applied(group)).toEqual([[1], [1]]);
  });

  it('past the instant: it is committed late, and the copies that show it keep it', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 4000);
    group.passes = (_, receiver) => receiver !== 'b';
    group.slave('b').alive = false;
    group.master.alive = false;
    group.run(testMs(activateAtMs) - group.nowMs + 3000);
    expect(applied(group)).toEqual([[1], []]);
    group.passes = () => true;
    group.restartSlave('b');
    group.restartMaster();
    group.run(12_000);
    expect(group.master.halted).toBeNull();
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 }, armed: null });
    expect(group.trace.some((line) => line.includes('master · activated late'))).toBe(true);
    expect(applied(group)).toEqual([[1], [1]]);
  });

  it('past the instant of its very first change: no copy that shows it takes itself for one of another original', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 4000);
    group.master.alive = false;
    group.run(testMs(activateAtMs) - group.nowMs + 100);
    expect(applied(group)).toEqual([[1], [1]]);
    // Its decision takes a while to be on disk: until then its heartbeats name no state.
    group.masterWrites = (operations) => !operations.some(({ kind, key }) => kind === 'remove' && key.includes('armed'));
    group.restartMaster();
    group.run(12_000);
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: null });
    expect(group.slaves.map(({ name }) => group.view(name).state), 'nor is it current').toEqual(['serving', 'serving']);
    expect(group.trace.filter((line) => line.includes('diverged'))).toEqual([]);
  });

  it('with a clock that was set back commits at once what a copy shows already', () => {
    const group = leading(['a', 'b']);
    const { activateAtMs } = schedule(group, 1, 4000);
    group.master.alive = false;
    group.run(testMs(activateAtMs) - group.nowMs + 1000);
    expect(applied(group)).toEqual([[1], [1]]);
    group.restartMaster({ groupOffsetMs: groupOffsetMs - hourMs });
    group.run(12_000);
    expect(group.master.halted).toBeNull();
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 }, armed: null });
    for (const { name } of group.slaves) expect(group.view(name)).toMatchObject({ state: 'current', tip: { version: 1 } });
  });

  it('whose layer had shown the change, though the record of it got lost, leads with it', () => {
    const group = leading(['a']);
    const { activateAtMs } = schedule(group, 1, 4000);
    group.masterWrites = (operations) => !operations.some(({ key }) => key.includes('history'));
    group.run(testMs(activateAtMs) - group.nowMs + 5);
    expect(group.master.shown).toHaveLength(1);
    // A layer with a store of its own: its write is done, the service's isn't.
    const tip = group.slave('a').tip;
    group.master.records.apply([{ kind: 'put', key: ['user', 'tip'], value: tip }]);
    group.masterWrites = () => true;
    group.restartMaster();
    group.run(8000);
    expect(group.master.halted).toBeNull();
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 }, armed: null });
    expect(group.view('a').state).toBe('current');
  });
});
