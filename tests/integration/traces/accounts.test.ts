import { describe, expect, it } from 'vitest';
import type { MemberView } from '../../../master/service/core/view.js';
import type { SlaveView } from '../../../slave/service/core/view.js';
import type { CoreGroup } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

const member = (group: CoreGroup, name: string): MemberView => {
  const found = group.master.core.view(group.nowMs).members.find(({ node }) => node === name);
  if (found === undefined) throw new Error(`the master knows no member ${name}`);
  return found;
};
const copy = (group: CoreGroup, name: string): SlaveView => group.slave(name).core.view(group.nowMs);

/** Nothing that the master says reaches this slave any more, until the returned function is called. */
function deafen(group: CoreGroup, name: string): () => void {
  group.passes = (packet, receiver) => !(receiver === name && packet.from.node === 'master');
  return () => {
    group.passes = () => true;
  };
}

describe('what the views tell of a group', () => {
  it('is zero behind when nothing is lacking', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(500);
    expect(member(group, 'a')).toMatchObject({ behind: 0, behindMs: 0, oldestInDoubtMs: null, lastVeto: null });
    expect(copy(group, 'a')).toMatchObject({ behind: 0, behindMs: 0, lastVeto: null });
  });

  it('counts the time since the oldest version that a member lacks was committed', () => {
    const group = leading(['a', 'b']);
    group.replicate(1, { phases: 'one' });
    group.run(200);
    const hear = deafen(group, 'b');
    const committedMs = group.nowMs;
    group.replicate(2, { phases: 'one' });
    group.run(400);
    group.replicate(3, { phases: 'one' });
    group.run(100);
    const { behind, behindMs } = member(group, 'b');
    expect(behind).toBe(2);
    expect(behindMs, 'of version 2, not of version 3').toBeCloseTo(group.nowMs - committedMs, 0);
    hear();
    group.run(2000);
    expect(member(group, 'b')).toMatchObject({ behind: 0, behindMs: 0 });
  });

  it('tells no lag of a slave that hears no master: there may be versions that nobody told it of', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(200);
    deafen(group, 'a');
    group.run(10_000);
    expect(copy(group, 'a')).toMatchObject({ state: 'serving', behind: null, behindMs: null });
  });

  it('tells at a slave since when it knows of a version that it lacks', () => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(200);
    group.slave('a').failCommits = 1_000_000;
    const heardMs = group.nowMs;
    group.replicate(2, { phases: 'one' });
    group.run(700);
    const { behind, behindMs } = copy(group, 'a');
    expect(behind).toBe(1);
    expect(behindMs).toBeCloseTo(group.nowMs - heardMs, 0);
  });

  it('keeps the newest veto, also after later yeses, at both ends', () => {
    const group = leading(['a']);
    group.slave('a').veto = (version) => (version === 2 ? { kind: 'refused', reason: 'no such price', refused: [] } : null);
    group.replicate(1);
    const vetoedMs = group.nowMs;
    group.replicate(2);
    group.run(50);
    group.replicate(3);
    group.run(500);
    expect(member(group, 'a').lastVote).toMatchObject({ version: 3, yes: true });
    for (const { lastVeto } of [member(group, 'a'), copy(group, 'a')]) {
      expect(lastVeto).toMatchObject({ version: 2, reason: 'no such price' });
      expect(lastVeto?.atMs).toBeCloseTo(vetoedMs, 0);
    }
  });

  it('tells how long a member has been in doubt', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => packet.message.kind !== 'vote' || packet.from.node !== 'b';
    const startedMs = group.nowMs;
    group.replicate(1, { timeoutMs: 60_000 });
    group.run(2000);
    const { inDoubt, oldestInDoubtMs } = member(group, 'a');
    expect(inDoubt).toBe(1);
    expect(oldestInDoubtMs).toBeGreaterThan(0);
    expect(oldestInDoubtMs).toBeLessThanOrEqual(group.nowMs - startedMs);
    const earlier = oldestInDoubtMs ?? 0;
    group.run(3000);
    expect(member(group, 'a').oldestInDoubtMs).toBeCloseTo(earlier + 3000, 0);
    group.passes = () => true;
    group.run(1000);
    expect(member(group, 'a')).toMatchObject({ inDoubt: 0, oldestInDoubtMs: null });
  });

  it('counts resyncs by cause, alike at both ends', () => {
    const group = leading(['a', 'b']);
    const counts = (name: string): unknown => [copy(group, name).resyncs, member(group, name).resyncs];
    group.replicate(1, { phases: 'one' });
    group.run(200);
    expect(counts('b'), 'packets alone brought it').toEqual([{}, {}]);
    let hear = deafen(group, 'b');
    group.replicate(2, { phases: 'one', content: 'change' });
    hear();
    group.run(2000);
    expect(counts('b')).toEqual([{ gap: 1 }, { gap: 1 }]);
    hear = deafen(group, 'b');
    for (let version = 3; version <= 80; version += 1) group.replicate(version, { phases: 'one', content: 'change' });
    hear();
    group.run(3000);
    expect(counts('b')).toEqual([{ gap: 1, 'fell-behind': 1 }, { gap: 1, 'fell-behind': 1 }]);
    group.addSlave('c');
    group.run(2000);
    expect(counts('c')).toEqual([{ new: 1 }, { new: 1 }]);
    expect(counts('a')).toEqual([{}, {}]);
  });

  it('counts a copy that is older than the history as that', () => {
    const group = leading(['a', 'b'], { historyBytes: 2 });
    group.userDelta = () => null;
    group.replicate(1, { phases: 'one' });
    const hear = deafen(group, 'b');
    for (let version = 2; version <= 9; version += 1) group.replicate(version, { phases: 'one' });
    hear();
    group.run(3000);
    expect(copy(group, 'b').resyncs).toMatchObject({ 'too-old': 1 });
    expect(member(group, 'b').resyncs).toMatchObject({ 'too-old': 1 });
  });

  it('takes what a restarted master found on its disk for at least so old as itself', () => {
    const group = leading(['a', 'b']);
    group.replicate(1, { phases: 'one' });
    deafen(group, 'b');
    group.replicate(2, { phases: 'one' });
    group.run(100);
    const restartedMs = group.nowMs;
    group.restartMaster();
    group.passes = (packet, receiver) => !(receiver === 'b' && packet.message.kind === 'deltas');
    group.run(9000);
    const { behind, behindMs } = member(group, 'b');
    expect(behind).toBe(1);
    expect(behindMs).toBeCloseTo(group.nowMs - restartedMs, 0);
  });
});
