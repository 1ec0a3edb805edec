import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { leading } from '../harness/leading.js';

type Group = ReturnType<typeof leading>;

const member = (group: Group, node: string): ReturnType<Group['master']['core']['view']>['members'][number] => {
  const found = group.master.core.view(group.nowMs).members.find((each) => each.node === node);
  if (found === undefined) throw new Error(`no member ${node}`);
  return found;
};

/** `c` is cut off for longer than its lease, and so many versions are committed meanwhile; it is heard again afterwards. */
function behind(versions: number): Group {
  const group = leading(['a', 'b', 'c']);
  group.passes = (packet, receiver) => packet.from.node !== 'c' && receiver !== 'c';
  group.run(4000);
  for (let version = 1; version <= versions; version += 1) group.replicate(version, { phases: 'one', content: 'change' });
  // Heard again, and kept from catching up.
  group.passes = ({ message }, receiver) => !(receiver === 'c' && ['deltas', 'bulk-offer', 'announce'].includes(message.kind));
  group.run(2500);
  expect(member(group, 'c')).toMatchObject({ live: true, state: 'catching up', behind: versions });
  return group;
}

describe('under "live", a member', () => {
  it('far behind is no voter and gets no lease: it slows nobody, and says that it is behind', () => {
    const group = behind(limits.voterLagVersions + 1);
    const moved = (): number => group.trace.filter((line) => line.endsWith('· member moved to catch-up')).length;
    expect(moved(), 'told once, with the cause').toBe(1);
    const version = limits.voterLagVersions + 2;
    const command = group.replicate(version);
    expect(group.results.get(command), 'at once, without waiting for anybody').toMatchObject({ kind: 'committed', votes: { yes: 2, silent: 0 } });
    group.run(3000);
    expect(group.slave('c').core.view(group.nowMs)).toMatchObject({ state: 'catching up', leaseUntilMs: expect.any(Number) as number });
    expect(group.slave('c').core.view(group.nowMs).leaseUntilMs).toBeLessThan(group.nowMs);
    expect(group.slave('c').core.view(group.nowMs).reason).toContain('behind');
    group.passes = () => true;
    group.run(3000);
    expect(group.slave('c').applied, 'every step of it').toEqual(Array.from({ length: version }, (_, index) => index + 1));
    expect(group.slave('c').core.view(group.nowMs).state).toBe('current');
    expect(moved()).toBe(1);
    expect(group.trace.filter((line) => line.endsWith('· member caught up'))).toHaveLength(1);
    expect(group.results.get(group.replicate(version + 1))).toMatchObject({ kind: 'committed', votes: { yes: 3 } });
  });

  it('a little behind votes: it catches up first', () => {
    const group = behind(limits.voterLagVersions);
    group.passes = () => true;
    const command = group.replicate(limits.voterLagVersions + 1, { content: 'change' });
    group.run(500);
    expect(group.results.get(command)).toMatchObject({ kind: 'committed', votes: { yes: 3 } });
  });

  it('that was forgotten while it was away joins again by itself, and votes', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ from }, receiver) => from.node !== 'b' && receiver !== 'b';
    group.run(4000);
    group.command({ kind: 'forget', command: 900, node: 'b' });
    expect(group.results.get(900)).toEqual({ kind: 'done' });
    group.passes = () => true;
    // Two leases without an acknowledgement, and the time to join.
    group.run(2 * 3000 + 1000);
    expect(group.results.get(group.replicate(1))).toMatchObject({ kind: 'committed', votes: { yes: 2, silent: 0 } });
    expect(group.slave('b').core.view(group.nowMs).state).toBe('current');
  });

  it('that has given no account of itself yet is no voter', () => {
    const group = leading(['a']);
    group.passes = ({ from, message }) => !(from.node === 'late' && message.kind === 'status');
    const late = group.addSlave('late');
    group.run(500);
    expect(late.core.view(group.nowMs).welcomed).toBe(true);
    expect(group.results.get(group.replicate(1))).toMatchObject({ kind: 'committed', votes: { yes: 1, silent: 0 } });
    group.passes = () => true;
    group.run(2000);
    expect(group.results.get(group.replicate(2))).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
  });

  it('that has diverged, or whose copy fails, is no voter and gets no lease', () => {
    const group = leading(['a', 'b']);
    const foreign = { epoch: { number: 1, claimant: 'f'.repeat(32) }, version: 7 as never, chain: 'e'.repeat(32) as never };
    const stranger = group.addSlave('x', 'x', foreign);
    group.slave('b').failCommits = 1_000_000;
    group.replicate(1);
    group.run(6000); // b's lease of before is over
    expect(stranger.core.view(group.nowMs)).toMatchObject({ state: 'diverged', leaseUntilMs: 0 });
    expect(group.slave('b').core.view(group.nowMs).state).toBe('failed');
    const before = group.nowMs;
    expect(group.results.get(group.replicate(2))).toMatchObject({ kind: 'committed', votes: { yes: 1, silent: 0 } });
    expect(group.nowMs).toBe(before);
    expect(stranger.calls).toEqual([]);
  });
});

describe('a slow voter', () => {
  it('holds up no later round that goes without it, and gets every version afterwards', () => {
    const group = leading(['a', 'b', 'c']);
    group.passes = (packet, receiver) => packet.from.node !== 'c' && receiver !== 'c';
    const first = group.replicate(1, { voters: 2, timeoutMs: 300 });
    group.run(6000);
    expect(group.results.get(first)).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    for (let version = 2; version <= 5; version += 1) {
      expect(group.results.get(group.replicate(version)), `version ${version}, at once`).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    }
    expect(group.slave('c').core.view(group.nowMs).state).not.toBe('current');
    group.passes = () => true;
    group.run(3000);
    expect(group.slave('c').applied).toEqual([1, 2, 3, 4, 5]);
  });
});
