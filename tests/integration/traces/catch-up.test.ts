import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

const requests = (trace: readonly string[], node: string): number => trace.filter((line) => line.includes(`${node} → master: delta-request`)).length;

describe('catching up', () => {
  it('asks once for a gap of several versions, and applies them one by one, in order', () => {
    const group = leading(['a', 'b']);
    let cut = true;
    group.passes = (packet, receiver) => !(cut && receiver === 'b' && packet.from.node === 'master');
    for (let version = 1; version <= 4; version += 1) group.replicate(version, { phases: 'one', content: 'change' });
    cut = false;
    group.replicate(5, { phases: 'one', content: 'change' });
    group.run(50);
    expect(group.slave('b').applied, group.trace.slice(-30).join('\n')).toEqual([1, 2, 3, 4, 5]);
    expect(requests(group.trace, 'b')).toBe(1);
    const asked = group.trace.find((line) => line.includes('b → master: delta-request'));
    expect(asked, 'only what leads to the prior of the packet at hand').toContain('nothing → e1 v4');
  });

  it('needs no delta request when the packet carries the chain of earlier changes', () => {
    const group = leading(['a', 'b']);
    let cut = true;
    group.passes = (packet, receiver) => !(cut && receiver === 'b' && packet.from.node === 'master');
    group.replicate(1, { phases: 'one', content: 'change' });
    group.replicate(2, { phases: 'one', content: 'change' });
    cut = false;
    group.replicate(3, { phases: 'one', content: 'chain' });
    expect(group.slave('b').applied).toEqual([1, 2, 3]);
    expect(requests(group.trace, 'b')).toBe(0);
  });

  it('needs none either when the chain rides on a prepare', () => {
    const group = leading(['a', 'b']);
    let cut = true;
    group.passes = (packet, receiver) => !(cut && receiver === 'b' && packet.message.kind === 'announce');
    group.replicate(1, { phases: 'one', content: 'change' });
    cut = false;
    const command = group.replicate(2, { content: 'chain' });
    expect(group.results.get(command)?.kind, group.trace.slice(-30).join('\n')).toBe('committed');
    expect(group.slave('b').applied).toEqual([1, 2]);
    expect(requests(group.trace, 'b')).toBe(0);
  });

  it('writes nothing when a version-only packet names what the slave has', () => {
    const group = leading(['a']);
    group.replicate(1, { phases: 'one', content: 'version' });
    group.run(100);
    const before = [...group.slave('a').calls];
    expect(before).toEqual(['commit 1']);
    const announced = group.trace.length;
    group.run(5000); // heartbeats name it again and again
    expect(group.slave('a').calls).toEqual(before);
    expect(requests(group.trace.slice(announced), 'a')).toBe(0);
  });

  it('fetches the bytes of a version-only prepare, and votes', () => {
    const group = leading(['a', 'b']);
    const command = group.replicate(1, { content: 'version' });
    expect(group.results.get(command)?.kind, group.trace.slice(-30).join('\n')).toBe('committed');
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1], [1]]);
  });

  it('takes a whole state from anywhere', () => {
    const group = leading(['a', 'b']);
    let cut = true;
    group.passes = (packet, receiver) => !(cut && receiver === 'b' && packet.from.node === 'master');
    group.replicate(1, { phases: 'one' });
    cut = false;
    const command = group.replicate(2, { content: 'state' });
    expect(group.results.get(command)?.kind, group.trace.slice(-30).join('\n')).toBe('committed');
    expect(group.slave('b').calls.filter((call) => call.startsWith('commit'))).toEqual(['commit 2']);
    expect(requests(group.trace, 'b')).toBe(0);
  });

  it('takes a snapshot when the history is gone: "too old" never waits for ever', () => {
    const group = leading(['a', 'b'], { historyBytes: 2 });
    let cut = true;
    group.userDelta = () => null;
    group.replicate(1, { phases: 'one' });
    group.passes = (packet, receiver) => !(cut && receiver === 'b' && packet.from.node === 'master');
    for (let version = 2; version <= 9; version += 1) group.replicate(version, { phases: 'one' });
    cut = false;
    group.run(3000);
    expect(group.trace.some((line) => line.includes('too-old'))).toBe(true);
    expect(group.slave('b').calls, group.trace.slice(-30).join('\n')).toEqual(['commit 1', 'install 9']);
  });

  it('ends in the same tip by one compacted delta as step by step', () => {
    const group = leading(['a', 'b'], { historyBytes: 2 });
    let cut = true;
    group.replicate(1, { phases: 'one' });
    group.passes = (packet, receiver) => !(cut && receiver === 'b' && packet.from.node === 'master');
    for (let version = 2; version <= 9; version += 1) group.replicate(version, { phases: 'one' });
    cut = false;
    group.run(3000);
    expect(group.slave('b').applied, group.trace.slice(-30).join('\n')).toEqual([1, 9]);
    expect(group.slave('a').applied).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(group.slave('b').tip).toEqual(group.slave('a').tip);
    const command = group.replicate(10);
    group.run(50);
    expect(group.results.get(command)?.kind).toBe('committed');
    expect(group.slave('b').tip).toEqual(group.slave('a').tip);
  });

  it('shows a newcomer nothing of a round that is open and later aborts', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.passes = (packet) => packet.message.kind !== 'vote';
    const command = group.replicate(2, { timeoutMs: 1500 });
    const late = group.addSlave('c');
    group.run(1000);
    expect(late.applied, group.trace.slice(-30).join('\n')).toEqual([1]);
    group.run(1000);
    expect(group.results.get(command)?.kind).toBe('aborted');
    expect(late.applied).toEqual([1]);
    expect(late.calls).toEqual(['commit 1']);
  });

  it('never lands a one-phase change on top of an undecided one', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => packet.message.kind !== 'vote';
    const open = group.replicate(1, { timeoutMs: 500 });
    const waiting = group.replicate(2, { phases: 'one' });
    expect(group.results.has(waiting)).toBe(false);
    group.run(600);
    expect(group.results.get(open)?.kind).toBe('aborted');
    expect(group.results.get(waiting)?.kind).toBe('committed');
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[2], [2]]);
  });
});
