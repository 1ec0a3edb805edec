import { describe, expect, it } from 'vitest';
import type { MasterConfig } from '../../../master/service/core/io.js';
import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { MasterNode } from '../harness/cores.js';
import { CoreGroup } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

/** A master whose store doesn't know everybody who may hold a lease: another store led the group before it (G12). */

const longestLeaseMs = limits.maxLeaseMs * (1 + 2 * limits.clockRateError);

function cutOff(group: CoreGroup, name: string): void {
  group.passes = ({ from }, receiver) => from.node !== name && receiver !== name;
}

function isAnybodyCurrentBelow(group: CoreGroup, version: number): boolean {
  return group.slaves.some(
    ({ core, tip }) => core.view(group.nowMs).state === 'current' && (tip?.version ?? 0) < version,
  );
}

/** Lets `heir` lead, replicates version 9 at once, and returns how long after the heir's start it committed. */
function firstCommitMs(group: CoreGroup, heir: MasterNode): number {
  const startMs = group.nowMs;
  group.master = heir;
  while (heir.core.view(group.nowMs).phase !== 'leading' && group.nowMs < startMs + 20_000) group.run(20);
  expect(heir.halted, group.trace.slice(-30).join('\n')).toBeNull();
  const command = group.replicate(9, { timeoutMs: 30_000 });
  while (!group.results.has(command) && group.nowMs < startMs + 40_000) group.run(20);
  const lastly = group.trace.slice(-40).join('\n');
  expect(group.results.get(command)?.kind, lastly).toBe('committed');
  expect(isAnybodyCurrentBelow(group, 9), `current, and replaced\n${lastly}`).toBe(false);
  return group.nowMs - startMs;
}

/** The master dies; `a` has not heard it for a lease, and `b`, which holds a fresh one, is out of everybody's reach. */
function orphaned(): CoreGroup {
  const group = leading(['a', 'b'], { leaseMs: 5000 });
  group.replicate(1);
  group.run(100);
  cutOff(group, 'a');
  group.run(5200);
  cutOff(group, 'b');
  group.master.alive = false;
  expect(group.slave('b').core.view(group.nowMs).state).toBe('current');
  return group;
}

/** Lets `node` hear nothing of `master` for longer than a lease, with everybody else connected. */
function forgetMaster(group: CoreGroup, node: string, master: string): void {
  group.passes = ({ from }, receiver) =>
    !(from.node === master && receiver === node) && !(from.node === node && receiver === master);
  group.run(5200);
}

describe('a master that knows no member, and not who may hold a lease', () => {
  const told: readonly [string, Partial<MasterConfig>][] = [
    ['adopted a copy', { adoptFrom: 'a' as NodeId }],
    ['was told to reset the group', { resetGroup: true }],
  ];

  it.each(told)('and that %s commits nothing before the longest lease is over (G12)', (_how, config) => {
    const group = orphaned();
    expect(firstCommitMs(group, group.addMaster('heir', config))).toBeGreaterThanOrEqual(longestLeaseMs);
  });

  it.each(told)('and that %s still waits when it is killed after its claim, and told nothing at its next start', (_how, config) => {
    const group = orphaned();
    const heir = group.addMaster('heir', config);
    while (heir.core.view(group.nowMs).phase !== 'claiming' && group.nowMs < 60_000) group.run(10);
    expect(group.slave('a').core.view(group.nowMs).promised.number, 'bound to the heir, so no other master shows').toBe(2);
    heir.alive = false;
    group.master = heir;
    group.restartMaster();
    expect(group.slave('b').core.view(group.nowMs).state).toBe('current');
    firstCommitMs(group, group.master);
  });
});

describe('a master that does not hear the group which it was told', () => {
  it.each<[string, Partial<MasterConfig>]>([
    ['to reset', { resetGroup: true }],
    ['to take over', { takeOver: true }],
  ])('%s commits nothing before the longest lease is over (G12)', (_what, config) => {
    const group = orphaned();
    group.passes = () => false;
    expect(firstCommitMs(group, group.addMaster('heir', config))).toBeGreaterThanOrEqual(longestLeaseMs);
  });
});

describe('a store that comes back after another one led', () => {
  it.each([
    ['commits nothing before the leases of members that it never had are over (G12)', false],
    ['remembers that when it is killed after its claim, and its next start hears of its own epoch alone (G12)', true],
  ])('%s', (_what, isKilled) => {
    const group = leading(['a'], { leaseMs: 5000 });
    group.replicate(1);
    group.run(100);
    const first = group.master;
    const second = group.addMaster('second', { takeOver: true, adoptFrom: 'a' as NodeId });
    group.run(3000);
    const late = group.addSlave('late');
    group.run(1000);
    expect(first.halted).toContain('steps down');
    expect(late.core.view(group.nowMs)).toMatchObject({ state: 'current', promised: { number: 2 } });
    forgetMaster(group, 'a', 'second');
    second.alive = false;
    cutOff(group, 'late');
    first.alive = false;
    group.restartMaster();
    if (isKilled) {
      while (group.master.core.view(group.nowMs).phase === 'surveying') group.run(10);
      group.restartMaster();
    }
    expect(late.core.view(group.nowMs).state).toBe('current');
    firstCommitMs(group, group.master);
  });

  it('and hears a member only after its claim waits too: nobody knows whom that one obeyed (G12)', () => {
    const group = leading(['a', 'm'], { leaseMs: 5000 });
    group.replicate(1);
    group.run(100);
    group.master.alive = false;
    const ofSecond = new Set(['m', 'late', 'second']);
    group.passes = ({ from }, receiver) => ofSecond.has(from.node) === ofSecond.has(receiver);
    const second = group.addMaster('second', { takeOver: true, adoptFrom: 'm' as NodeId }, undefined, 'b');
    const late = group.addSlave('late');
    group.run(9000);
    expect(late.core.view(group.nowMs)).toMatchObject({ state: 'current', promised: { number: 2 } });
    group.restartMaster();
    while (group.master.core.view(group.nowMs).phase === 'surveying') group.run(10);
    second.alive = false;
    cutOff(group, 'late');
    expect(late.core.view(group.nowMs).state).toBe('current');
    firstCommitMs(group, group.master);
    expect(group.slave('m').applied, 'it promised, and voted').toContain(9);
  });
});

describe('a master with an empty store and no order', () => {
  it('that hears of another master only after its claim waits for the leases of that one (G12)', () => {
    const group = leading(['a', 'b'], { leaseMs: 5000 });
    cutOff(group, 'a');
    group.run(5200);
    group.master.alive = false;
    group.slave('a').alive = false;
    // Nothing is heard of `a` but how it looks for a master, bound to the one that it had.
    let isFound = false;
    group.passes = ({ from, message }, receiver) => {
      if (from.node === 'b' || receiver === 'b') return false;
      isFound ||= message.kind === 'join';
      return isFound;
    };
    const heir = group.addMaster('heir');
    while (heir.core.view(group.nowMs).phase === 'surveying') group.run(10);
    group.restartSlave('a');
    expect(group.slave('b').core.view(group.nowMs).state).toBe('current');
    firstCommitMs(group, heir);
  });
});

describe('a group in which nothing tells of another master', () => {
  it('is not kept waiting when it starts for the first time', () => {
    const group = new CoreGroup(['a', 'b']);
    group.start();
    expect(firstCommitMs(group, group.master)).toBeLessThan(2000);
  });

  it('is not kept waiting by a restart of its master that everybody answers', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    group.restartMaster();
    expect(firstCommitMs(group, group.master)).toBeLessThan(500);
  });

  it('is not kept waiting any more by a master that was told something, once that one has committed', () => {
    const group = orphaned();
    firstCommitMs(group, group.addMaster('heir', { resetGroup: true }));
    group.passes = () => true;
    group.run(5000);
    group.restartMaster();
    const startMs = group.nowMs;
    const command = group.replicate(10, { timeoutMs: 9000 });
    while (!group.results.has(command) && group.nowMs < startMs + 9000) group.run(20);
    expect(group.results.get(command), group.trace.slice(-30).join('\n')).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    expect(group.nowMs - startMs).toBeLessThan(1000);
  });
});
