import { describe, expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

type Group = ReturnType<typeof leading>;

function askedBy(group: Group, name: string): number {
  return group.sent.filter(({ from, message }) => from.node === name && message.kind === 'inquiry').length;
}

/** What each slave need not say: it costs the master a datagram for every one of them. */
describe('a slave with a prepared round', () => {
  it('asks nothing while rounds follow each other, though one of them is always prepared', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }) => message.kind !== 'heartbeat';
    group.slave('b').holdsPrepare = true;
    group.replicate(1);
    for (let version = 2; version <= 30; version += 1) {
      group.replicate(version);
      group.run(25);
      expect(group.slave('a').core.view(group.nowMs).inDoubt.length).toBeGreaterThan(0);
      group.endLateCall('b');
      group.run(25);
    }
    expect(group.slave('a').applied.length, group.trace.slice(-20).join('\n')).toBeGreaterThan(20);
    expect(askedBy(group, 'a')).toBe(0);
  });

  it('asks nothing while heartbeats say that the round is still open, and soon when they don’t come', () => {
    const group = leading(['a', 'b']);
    group.slave('b').holdsPrepare = true;
    group.replicate(1, { timeoutMs: 10_000 });
    group.run(4000);
    expect(askedBy(group, 'a'), group.trace.slice(-20).join('\n')).toBe(0);
    group.passes = ({ message }) => message.kind !== 'heartbeat';
    group.run(2000);
    expect(askedBy(group, 'a')).toBeGreaterThan(0);
  });
});
