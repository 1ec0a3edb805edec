import { describe, expect, it } from 'vitest';
import { CoreGroup } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

describe('taking the lead', () => {
  it('does not disturb a healthy master', () => {
    const group = leading(['a', 'b']);
    const second = group.addMaster('second');
    group.run(1000);
    expect(second.halted).toContain('start this one with --take-over');
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 1 } });
    expect(group.results.get(group.replicate(1))?.kind).toBe('committed');
  });

  it('takes over when it is told to: the older one steps down, and the slaves never waver', () => {
    const group = leading(['a', 'b']);
    const second = group.addMaster('second', { takeOver: true });
    group.run(3000);
    expect(second.halted).toBeNull();
    expect(second.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 2 } });
    expect(group.master.halted).toContain('steps down');
    for (const slave of group.slaves) expect(slave.core.view(group.nowMs)).toMatchObject({ state: 'current', promised: { number: 2 } });
  });

  it('refuses with an empty store when slaves hold a copy, and nobody loses anything', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    group.master.alive = false;
    group.run(10_000);
    const empty = group.addMaster('empty');
    group.run(10_000);
    expect(empty.halted).toContain('--adopt-from a');
    expect(empty.halted).toContain('--reset-group');
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([1, 1]);
    expect(group.slaves.map(({ calls }) => calls)).toEqual([['prepare 1', 'commit 1'], ['prepare 1', 'commit 1']]);
  });

  it('refuses with a store from an old backup', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    const backup = group.master.records.copy();
    group.replicate(2);
    group.run(100);
    group.master.alive = false;
    group.run(10_000);
    const old = group.addMaster('master', {}, backup);
    group.run(10_000);
    expect(old.halted).toContain('others hold more: a (e1 v2)');
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([2, 2]);
  });

  it('leads when the operator resets the group, and the slaves take its copy', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    group.master.alive = false;
    group.run(10_000);
    const fresh = group.addMaster('fresh', { resetGroup: true });
    group.run(3000);
    group.master = fresh;
    group.replicate(1, { phases: 'one' });
    group.run(3000);
    expect(group.slaves.map(({ calls }) => calls.at(-1)), group.trace.slice(-40).join('\n')).toEqual(['install 1', 'install 1']);
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs).state)).toEqual(['current', 'current']);
  });

  it('claims an epoch above every promise it heard of, and two claims at once never tie', () => {
    const group = new CoreGroup(['a']);
    group.addMaster('other', {}, undefined, 'd');
    group.start();
    group.run(6000);
    const leaders = [group.master, ...group.otherMasters].filter(({ core }) => core.view(group.nowMs).phase === 'leading');
    expect(leaders, group.trace.slice(-40).join('\n')).toHaveLength(1);
    expect(group.slave('a').core.view(group.nowMs).promised).toEqual(leaders[0]?.core.view(group.nowMs).epoch);
  });

  it('commits nothing in a new reign before older leases are over', () => {
    const group = leading(['a', 'b']);
    group.slave('b').alive = false; // paused, not dead: its lease runs on
    group.master.alive = false;
    group.run(100);
    group.restartMaster();
    const before = group.nowMs;
    const command = group.replicate(1, { timeoutMs: 20_000 });
    while (!group.results.has(command) && group.nowMs < before + 30_000) group.run(50);
    expect(group.results.get(command)?.kind).toBe('committed');
    expect(group.nowMs - before, 'the longest lease has passed').toBeGreaterThanOrEqual(5000);
  });
});

describe('an older epoch', () => {
  it('changes nothing, on any kind of message', () => {
    const group = leading(['a']);
    group.replicate(1);
    const older = group.sent.filter(({ from }) => from.node === 'master');
    const kinds = new Set(older.map(({ message }) => message.kind));
    expect([...kinds].sort()).toEqual(['claim', 'clock', 'commit', 'heartbeat', 'prepare', 'survey', 'welcome']);
    group.master.alive = false;
    group.restartMaster();
    group.run(3000);
    group.replicate(2, { phases: 'one' });
    group.run(100);
    const slave = group.slave('a');
    const calls = [...slave.calls];
    const view = slave.core.view(group.nowMs);
    group.master.alive = false;
    for (const packet of older) group.deliverNow('a', packet);
    expect(slave.calls).toEqual(calls);
    expect(slave.core.view(group.nowMs)).toEqual(view);
  });
});

describe('leases', () => {
  it('end when the master is not heard, and with them the claim to be current', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(500);
    expect(group.slave('a').core.view(group.nowMs).state).toBe('current');
    group.master.alive = false;
    group.run(3100);
    expect(group.slave('a').core.view(group.nowMs).state).toBe('serving');
  });

  it('of a silent voter are waited out before "at least n" goes on without it', () => {
    const group = leading(['a', 'b', 'c']);
    group.passes = (packet, receiver) => packet.from.node !== 'c' && receiver !== 'c';
    const before = group.nowMs;
    const leaseUntil = group.slave('c').core.view(before).leaseUntilMs;
    const command = group.replicate(1, { voters: 2, timeoutMs: 300 });
    while (!group.results.has(command) && group.nowMs < before + 10_000) group.run(10);
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    expect(group.nowMs).toBeGreaterThanOrEqual(leaseUntil);
    expect(group.slave('c').core.view(group.nowMs).state).not.toBe('current');
    group.passes = () => true;
    group.run(3000);
    expect(group.slave('c').applied).toEqual([1]);
    expect(group.slave('c').core.view(group.nowMs).state).toBe('current');
  });

  it('end when the machine was suspended', () => {
    const group = leading(['a']);
    group.slaveInput('a', { kind: 'suspended' });
    expect(group.slave('a').core.view(group.nowMs).state).not.toBe('current');
    group.run(1500);
    expect(group.slave('a').core.view(group.nowMs).state).toBe('current');
  });

  it('are not renewed for a newcomer while a round is open that it does not vote in', () => {
    const group = leading(['a']);
    group.passes = (packet) => packet.message.kind !== 'vote';
    group.replicate(1, { timeoutMs: 4000 });
    const late = group.addSlave('late');
    group.run(3500);
    expect(late.core.view(group.nowMs)).toMatchObject({ welcomed: true, leaseUntilMs: 0 });
  });
});

describe('who must vote', () => {
  it('"all": a registered member that is lost makes each round abort, named, until it is forgotten', () => {
    const group = leading(['a', 'b']);
    group.slave('b').alive = false;
    group.run(4000);
    const aborted = group.replicate(1, { voters: 'all', timeoutMs: 300 });
    group.run(400);
    expect(group.results.get(aborted)).toMatchObject({ kind: 'aborted', reason: 'timeout', refusals: [{ node: 'b' }] });
    group.command({ kind: 'forget', command: 900, node: 'b' });
    expect(group.results.get(900)).toEqual({ kind: 'done' });
    expect(group.results.get(group.replicate(2, { voters: 'all' }))?.kind).toBe('committed');
  });

  it('"live": a member past its lease is left out', () => {
    const group = leading(['a', 'b']);
    group.slave('b').alive = false;
    group.run(4000);
    expect(group.results.get(group.replicate(1))).toMatchObject({ kind: 'committed', votes: { yes: 1 } });
  });

  it('"live" with nobody live: it commits alone, once every lease is over, and who comes back catches up', () => {
    const group = leading(['a', 'b']);
    group.passes = () => false;
    const whileHeard = group.replicate(1, { timeoutMs: 300 });
    group.run(400);
    expect(group.results.get(whileHeard), 'they are live for a lease more').toMatchObject({ kind: 'aborted', reason: 'timeout' });
    group.run(2500);
    const command = group.replicate(2, { timeoutMs: 9000 });
    while (!group.results.has(command)) group.run(10);
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 0, no: 0, silent: 0 } });
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs).state)).not.toContain('current');
    expect(group.results.get(group.replicate(3, { voters: 1 }))).toMatchObject({ kind: 'aborted', reason: 'too few voters' });
    group.passes = () => true;
    group.run(3000);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[2], [2]]);
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs).state)).toEqual(['current', 'current']);
  });

  it('"at least n": fewer live ones at the start refuse at once', () => {
    const group = leading(['a', 'b']);
    expect(group.results.get(group.replicate(1, { voters: 3 }))).toMatchObject({ kind: 'aborted', reason: 'too few voters' });
    expect(group.slaves.map(({ calls }) => calls)).toEqual([[], []]);
  });
});

describe('what a caller may do to a replication', () => {
  it('roll it back before the decision: the change reaches nobody', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => !(packet.message.kind === 'vote' && packet.from.node === 'b');
    const command = group.replicate(1);
    group.command({ kind: 'rollBack', command: 901, version: 1 });
    group.passes = () => true;
    group.run(1000);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'rolled back' });
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
    expect(group.trace.some((line) => line.includes('master calls restore'))).toBe(true);
  });

  it('not after it', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.command({ kind: 'rollBack', command: 902, version: 1 });
    expect(group.results.get(902)).toMatchObject({ kind: 'rejected', code: 'already-decided' });
    group.command({ kind: 'rollBack', command: 903, version: 9 });
    expect(group.results.get(903)).toMatchObject({ kind: 'rejected', code: 'round-unknown' });
  });

  it('name a version that is not greater, or a prior that is not current: refused before anything is sent', () => {
    const group = leading(['a']);
    group.replicate(5);
    group.run(10);
    const before = group.sent.length;
    expect(group.results.get(group.replicate(5))).toMatchObject({ kind: 'rejected', code: 'version-not-greater' });
    expect(group.results.get(group.replicate(6, { prior: 4 }))).toMatchObject({ kind: 'rejected', code: 'prior-not-current' });
    expect(group.results.get(group.replicate(0))).toMatchObject({ kind: 'rejected', code: 'version-not-greater' });
    expect(group.sent.length).toBe(before);
  });

  it('unregister during it: a typed outcome, never a hang', () => {
    const group = leading(['a']);
    group.passes = (packet) => packet.message.kind !== 'vote';
    const open = group.replicate(1);
    const queued = group.replicate(2, { phases: 'one' });
    group.command({ kind: 'close', command: 904, reason: 'unregistered' });
    expect(group.results.get(open)).toMatchObject({ kind: 'aborted', reason: 'unregistered' });
    expect(group.results.get(queued)).toMatchObject({ kind: 'aborted', reason: 'unregistered' });
    expect(group.results.get(904)).toEqual({ kind: 'done' });
  });
});

describe('a master that led unheard', () => {
  it('with an empty store, steps back from the first slave that holds a copy, and fences nobody', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(100);
    group.master.alive = false;
    group.passes = (packet) => packet.to === 'all'; // no unicast: neither reports nor promises arrive
    group.run(10_000);
    const empty = group.addMaster('empty');
    group.run(3000);
    expect(empty.core.view(group.nowMs).phase).toBe('leading');
    group.passes = () => true;
    group.run(6000);
    expect(empty.halted).toContain('others hold more: a (e1 v1)');
    expect(group.slave('a').tip?.version).toBe(1);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'commit 1']);
  });
});

describe('the first round of a reign', () => {
  it('waits for the members that promised it: a change that was queued loses nobody its veto', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    group.restartMaster();
    group.slave('b').veto = () => ({ kind: 'refused', reason: 'not on my watch', refused: [] });
    const command = group.replicate(2);
    group.run(1500);
    expect(group.results.get(command)).toMatchObject({
      kind: 'aborted',
      refusals: [{ node: 'b', reason: 'not on my watch' }],
    });
  });

  it('waits for nobody that stays away', () => {
    const group = leading(['a', 'b']);
    group.master.alive = false;
    group.restartMaster();
    group.slave('b').alive = false; // it promised, and died
    group.run(50);
    const command = group.replicate(1, { timeoutMs: 6000 });
    group.run(9000);
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 1 } });
  });
});
