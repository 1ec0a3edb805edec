import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

const inDoubt = (group: ReturnType<typeof leading>, name: string): number => group.slave(name).core.view(group.nowMs).inDoubt.length;

describe('a round in doubt', () => {
  it('is learnt from another slave, which answers with a decision it received', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet, receiver) => !(receiver === 'a' && (packet.message.kind === 'commit' || packet.message.kind === 'heartbeat'));
    group.replicate(1);
    group.master.alive = false;
    group.passes = () => true;
    expect(inDoubt(group, 'a')).toBe(1);
    expect(group.slave('b').applied).toEqual([1]);
    group.run(5000);
    expect(group.slave('a').applied, group.trace.slice(-20).join('\n')).toEqual([1]);
  });

  it('is never decided by votes: two slaves that only voted wait for the master', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.run(60_000);
    expect([inDoubt(group, 'a'), inDoubt(group, 'b')]).toEqual([1, 1]);
    expect(group.slave('a').core.view(group.nowMs).inDoubt[0]?.ageMs).toBeGreaterThanOrEqual(60_000);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[], []]);
  });

  it('of a foreign reign is for no other master to say: "no record" is no abort there', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.run(100);
    group.masterWrites = () => true;
    const other = group.addMaster('other', { takeOver: true });
    group.run(8000);
    expect(other.core.view(group.nowMs).phase).toBe('leading');
    expect(inDoubt(group, 'a')).toBe(1);
    expect(group.trace.some((line) => line.includes('resolution r1 unknown'))).toBe(true);
    expect(group.slave('a').calls).toEqual(['prepare 1']);
  });

  it('of a foreign reign ends when its own master starts, refuses to lead, and says that it was aborted', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.masterWrites = () => true;
    const other = group.addMaster('other', { takeOver: true });
    group.run(8000);
    expect([inDoubt(group, 'a'), inDoubt(group, 'b')]).toEqual([1, 1]);
    group.restartMaster();
    group.run(3000);
    expect(group.master.halted).toContain('other leads this group');
    expect(group.slaves.map(({ calls }) => calls), group.trace.slice(-40).join('\n')).toEqual([['prepare 1', 'abort 1'], ['prepare 1', 'abort 1']]);
    const said = group.sent.filter(({ message }) => message.kind === 'resolution' && message.outcome === 'aborted');
    expect(said[0]?.from.node).toBe('master');
    expect(said.slice(1).every(({ from, epoch }) => from.node === 'other' && epoch.number === other.core.view(group.nowMs).epoch.number)).toBe(true);
  });

  it('that its own master has committed is told as no abort: it stays in doubt under a master that lacks it', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => packet.message.kind !== 'commit' && packet.message.kind !== 'heartbeat';
    group.replicate(1);
    group.master.alive = false;
    group.passes = () => true;
    group.addMaster('other', { takeOver: true });
    group.run(8000);
    expect([inDoubt(group, 'a'), inDoubt(group, 'b')]).toEqual([1, 1]);
    group.restartMaster();
    group.run(3000);
    expect(group.master.halted).not.toBeNull();
    expect([inDoubt(group, 'a'), inDoubt(group, 'b')]).toEqual([1, 1]);
    expect(group.slaves.map(({ calls }) => calls)).toEqual([['prepare 1'], ['prepare 1']]);
  });

  it('ends under a master that adopted a copy, also when it was killed before it claimed', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.masterWrites = () => false;
    group.replicate(2);
    group.master.alive = false;
    group.run(10_000);
    group.masterWrites = () => true;
    expect([inDoubt(group, 'a'), inDoubt(group, 'b')]).toEqual([1, 1]);
    const heir = group.addMaster('heir', { adoptFrom: 'a' as never, takeOver: true });
    expect(heir.records.get(['user', 'tip']), group.trace.slice(-20).join('\n')).toMatchObject({ version: 1 });
    expect(heir.core.view(group.nowMs).phase).toBe('surveying');
    heir.alive = false;
    const again = group.addMaster('heir', {}, heir.records.copy());
    group.run(10_000);
    expect(again.core.view(group.nowMs).phase, group.trace.slice(-20).join('\n')).toBe('leading');
    expect(group.slaves.map(({ calls }) => calls.at(-1))).toEqual(['abort 2', 'abort 2']);
  });

  it('keeps its birth epoch under a newer reign of the same master, and is answered there', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.masterWrites = () => true;
    group.restartMaster();
    group.run(300);
    const resolution = group.sent.find(({ message }) => message.kind === 'resolution');
    expect(resolution?.epoch.number).toBe(2);
    expect(resolution?.message).toMatchObject({ round: { epoch: { number: 1 } }, outcome: 'aborted' });
    expect(inDoubt(group, 'a')).toBe(0);
  });

  it('survives the slave: killed after its yes, it prepares again and waits', () => {
    const group = leading(['a', 'b']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.slave('a').alive = false;
    group.restartSlave('a');
    expect(group.slave('a').calls).toEqual(['prepare 1', 'prepare 1']);
    group.run(500);
    expect(inDoubt(group, 'a')).toBe(1);
  });

  it('is done when the killed slave had committed already: the tip alone says so', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    const slave = group.slave('a');
    const prepared = slave.kept.at(-1);
    if (prepared === undefined) throw new Error('nothing was prepared');
    slave.records.apply([prepared]); // the removal of the prepared record was lost
    slave.alive = false;
    const calls = slave.calls.length;
    group.restartSlave('a');
    group.run(1000);
    expect(inDoubt(group, 'a')).toBe(0);
    expect(group.slave('a').calls.slice(calls)).toEqual([]);
    expect(group.slave('a').applied).toEqual([1]);
  });
});

describe('callbacks', () => {
  it('that throw are a no that names the node', () => {
    const group = leading(['a', 'b']);
    group.slave('b').veto = () => ({ kind: 'failed', reason: 'prepare threw: out of cheese' });
    const command = group.replicate(1);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', refusals: [{ node: 'b', reason: 'prepare threw: out of cheese' }] });
    group.run(10);
    expect(group.slave('b').calls).toEqual(['prepare 1', 'abort 1']);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'abort 1']);
  });

  it('that hang are a no at their time, "busy" until they end, and released exactly once', () => {
    const group = leading(['a', 'b']);
    group.slave('b').veto = (version) => (version === 1 ? { kind: 'failed', reason: 'prepare took longer than 100 ms', late: true } : null);
    const first = group.replicate(1);
    expect(group.results.get(first)).toMatchObject({ kind: 'aborted', refusals: [{ node: 'b', reason: 'prepare took longer than 100 ms' }] });
    const second = group.replicate(2);
    expect(group.results.get(second)).toMatchObject({ kind: 'aborted', refusals: [{ node: 'b', reason: expect.stringContaining('busy') as string }] });
    expect(group.slave('b').calls).toEqual(['prepare 1']);
    group.endLateCall('b');
    expect(group.slave('b').calls).toEqual(['prepare 1', 'abort 1']);
    const third = group.replicate(3);
    expect(group.results.get(third)?.kind).toBe('committed');
  });

  it('that answer after the round was aborted are released all the same, once', () => {
    const group = leading(['a', 'b']);
    group.slave('a').holdsPrepare = true;
    const command = group.replicate(1, { timeoutMs: 100 });
    group.run(200);
    expect(group.results.get(command)).toMatchObject({ kind: 'aborted', reason: 'timeout', refusals: [{ node: 'a' }] });
    expect(group.slave('a').calls, 'not before its prepare has ended').toEqual(['prepare 1']);
    group.endLateCall('a');
    group.slave('a').holdsPrepare = false;
    group.run(1000);
    expect(group.slave('a').calls).toEqual(['prepare 1', 'abort 1']);
    expect(group.sent.some(({ from, message }) => from.node === 'a' && message.kind === 'vote')).toBe(false);
    expect(group.results.get(group.replicate(2))).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
  });

  it('that fail to commit change no outcome: the copy stops serving, says so, and tries again', () => {
    const group = leading(['a', 'b']);
    group.slave('b').failCommits = 2;
    const command = group.replicate(1);
    expect(group.results.get(command)?.kind).toBe('committed');
    expect(group.slave('b').core.view(group.nowMs)).toMatchObject({ state: 'failed', reason: expect.stringContaining('could not commit version 1') as string });
    group.run(2000);
    expect(group.slave('b').applied).toEqual([1]);
    expect(group.slave('b').core.view(group.nowMs).state).toBe('current');
  });
});

describe('a diverged copy', () => {
  it('is fenced and kept when no majority stands behind the master, and says so', () => {
    const group = leading(['a']);
    const stranger = group.addSlave('x', 'x', { epoch: { number: 1, claimant: 'f'.repeat(32) }, version: 7 as never, chain: 'e'.repeat(32) as never });
    group.replicate(1);
    group.run(3000);
    expect(stranger.core.view(group.nowMs)).toMatchObject({ state: 'diverged', tip: { version: 7 }, reason: expect.stringContaining('e1 v7') as string });
    expect(stranger.calls).toEqual([]);
    group.slaveInput('x', { kind: 'discard', command: 1 });
    group.run(3000);
    expect(stranger.calls, group.trace.slice(-20).join('\n')).toEqual(['install 1']);
    expect(stranger.core.view(group.nowMs).state).toBe('current');
  });

  it('heals by snapshot when a majority of the registered members stands behind the master', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    group.restartMaster();
    group.run(2000);
    const stranger = group.addSlave('x', 'x', { epoch: { number: 1, claimant: 'f'.repeat(32) }, version: 7 as never, chain: 'e'.repeat(32) as never });
    group.run(3000);
    expect(stranger.calls, group.trace.slice(-20).join('\n')).toEqual(['install 1']);
    expect(stranger.tip?.version).toBe(1);
  });

  it('goes back no further than to what the master has: an older snapshot, which others share, is not for it (G5)', () => {
    const group = leading(['a']);
    group.replicate(1);
    const older = group.slave('a').tip;
    for (const version of [2, 3, 4]) group.replicate(version);
    let isOlder = true;
    group.passes = ({ message }) => !(message.kind === 'bulk-offer' && isOlder);
    const stranger = group.addSlave('x', 'x', { epoch: { number: 1, claimant: 'f'.repeat(32) }, version: 3 as never, chain: 'e'.repeat(32) as never });
    group.run(1000);
    group.slaveInput('x', { kind: 'discard', command: 1 });
    group.run(50);
    const asked = group.sent.findLast(({ message }) => message.kind === 'snapshot-request');
    if (asked?.message.kind !== 'snapshot-request' || older === null) throw new Error('no snapshot was asked for');
    const offer = { kind: 'bulk-offer', request: asked.message.request, mode: 'snapshot', from: null, to: older, port: 1, token: '0'.repeat(32) } as const;
    group.deliverNow('x', { from: group.master.peer, to: stranger.peer, epoch: asked.epoch, message: offer });
    expect(stranger.calls).toEqual([]);
    isOlder = false;
    group.run(3000);
    expect(stranger.calls, group.trace.slice(-20).join('\n')).toEqual(['install 4']);
  });
});

describe('pipelined rounds', () => {
  it('commit in order, and an abort takes those on top of it along, newest first', () => {
    const group = leading(['a', 'b']);
    let held = true;
    group.passes = (packet) => !(held && packet.message.kind === 'vote' && packet.from.node === 'b');
    const commands = [1, 2, 3].map((version) => group.replicate(version, { timeoutMs: 300 }));
    expect(group.slave('a').calls).toEqual(['prepare 1', 'prepare 2', 'prepare 3']);
    group.run(400);
    held = false;
    expect(commands.map((command) => group.results.get(command))).toMatchObject([
      { kind: 'aborted', reason: 'timeout' }, { kind: 'aborted', reason: 'prior aborted' }, { kind: 'aborted', reason: 'prior aborted' },
    ]);
    expect(group.slave('a').calls.slice(3)).toEqual(['abort 3', 'abort 2', 'abort 1']);
    const next = [4, 5, 6].map((version) => group.replicate(version));
    group.run(20);
    expect(next.map((command) => group.results.get(command)?.kind)).toEqual(['committed', 'committed', 'committed']);
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[4, 5, 6], [4, 5, 6]]);
  });

  it('one lost prepare in the middle holds back only itself', () => {
    const group = leading(['a', 'b']);
    let drop = true;
    group.passes = (packet, receiver) => !(drop && receiver === 'b' && packet.message.kind === 'prepare' && packet.message.round === 2);
    const commands = [1, 2, 3].map((version) => group.replicate(version));
    drop = false;
    group.run(50);
    expect(commands.map((command) => group.results.get(command)?.kind), group.trace.slice(-40).join('\n')).toEqual(['committed', 'committed', 'committed']);
    expect(group.slave('b').calls).toEqual(['prepare 1', 'commit 1', 'prepare 2', 'prepare 3', 'commit 2', 'commit 3']);
  });
});
