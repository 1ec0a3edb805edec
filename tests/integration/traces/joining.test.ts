import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { CoreGroup, type Packet } from '../harness/cores.js';

function joinsOf(group: CoreGroup, name: string): readonly Packet[] {
  return group.sent.filter(({ from, message }) => from.node === name && message.kind === 'join');
}

describe('joining', () => {
  it('is said to all ever more seldom while no master is heard: each copy of it reaches everybody', () => {
    const group = new CoreGroup(['a', 'b']);
    group.run(500);
    expect(joinsOf(group, 'a').length).toBeLessThanOrEqual(3);
    group.run(60_000);
    expect(joinsOf(group, 'a').length).toBeLessThanOrEqual(6 + 60_000 / limits.joinMaxMs);
    expect(joinsOf(group, 'a').every(({ to }) => to === 'all')).toBe(true);
  });

  it('is said to the master alone, and at once, when that is heard after a long silence', () => {
    const group = new CoreGroup(['a', 'b']);
    group.run(60_000);
    const before = joinsOf(group, 'a').length;
    group.start();
    group.run(2500);
    const after = joinsOf(group, 'a').slice(before);
    expect(after.length, group.trace.slice(-30).join('\n')).toBeGreaterThan(0);
    expect(after.filter(({ to }) => to === 'all').length).toBeLessThanOrEqual(1);
    for (const { core } of group.slaves) expect(core.view(group.nowMs).state).toBe('current');
  });

  it('is repeated to the master in milliseconds when its welcome gets lost', () => {
    const group = new CoreGroup(['a']);
    let lost = 0;
    group.passes = ({ message }) => message.kind !== 'welcome' || (lost += 1) > 3;
    group.start();
    group.run(2500);
    expect(lost).toBeGreaterThan(3);
    expect(group.slave('a').core.view(group.nowMs).state).toBe('current');
  });
});
