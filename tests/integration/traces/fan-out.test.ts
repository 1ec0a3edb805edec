import { describe, expect, it } from 'vitest';
import type { Packet } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

const eight = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

type Group = ReturnType<typeof leading>;

function said(group: Group, kind: Packet['message']['kind']): readonly Packet[] {
  return group.sent.filter(({ from, message }) => from.node === 'master' && message.kind === kind);
}

/** A status of `a` that shows the open round as prepared. */
function statusInBetween(group: Group): Packet {
  const withPrepared = ({ from, message }: Packet): boolean =>
    from.node === 'a' && message.kind === 'status' && message.prepared.length > 0;
  const status = group.sent.findLast(withPrepared);
  if (status === undefined) throw new Error(`no status shows a prepared round\n${group.trace.slice(-40).join('\n')}`);
  return status;
}

function arrivesAtMaster(group: Group, { from, epoch, message }: Packet): void {
  group.command({ kind: 'received', from, epoch, message });
}

describe('what the master sends for a change', () => {
  it('is no answer to a status that crossed with the commit: each slave would cost it a packet', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }, receiver) => !(message.kind === 'vote') && !(message.kind === 'commit' && receiver === 'a');
    group.replicate(1);
    group.run(150);
    const status = statusInBetween(group);
    group.passes = ({ message }, receiver) => !(receiver === 'a' && (message.kind === 'commit' || message.kind === 'heartbeat'));
    group.run(250);
    expect(group.master.core.view(group.nowMs).tip?.version).toBe(1);
    arrivesAtMaster(group, status);
    expect(said(group, 'resolution'), group.trace.slice(-40).join('\n')).toEqual([]);
    // Once nobody repeats the commit any more, the same status is as good as an inquiry.
    group.run(3500);
    arrivesAtMaster(group, status);
    expect(said(group, 'resolution').length, group.trace.slice(-40).join('\n')).toBeGreaterThan(0);
  });

  it('is no answer to a status that crossed with the abort, which the heartbeats repeat', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }, receiver) => message.kind !== 'vote' && !(receiver === 'a' && message.kind === 'abort');
    group.replicate(1, { timeoutMs: 150 });
    group.run(120);
    const status = statusInBetween(group);
    group.run(40);
    arrivesAtMaster(group, status);
    expect(said(group, 'abort').length).toBeGreaterThan(0);
    expect(said(group, 'resolution'), group.trace.slice(-40).join('\n')).toEqual([]);
    group.run(200);
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toEqual([]);
  });

  it('is one packet for all when many lack the commit', () => {
    const group = leading(eight);
    group.passes = ({ message }) => message.kind !== 'commit' && message.kind !== 'heartbeat';
    group.replicate(1);
    group.run(90);
    const repeated = said(group, 'commit');
    expect(repeated.length, group.trace.slice(-40).join('\n')).toBeGreaterThan(1);
    expect(repeated.every(({ to }) => to === 'all')).toBe(true);
  });

  it('goes to the one that lacks it alone, so that the others needn’t answer again', () => {
    const group = leading(eight);
    group.passes = ({ message }, receiver) => !(receiver === 'c' && (message.kind === 'commit' || message.kind === 'heartbeat'));
    group.replicate(1);
    group.run(90);
    const again = said(group, 'commit').slice(1);
    expect(again.length, group.trace.slice(-40).join('\n')).toBeGreaterThan(0);
    expect(again.every(({ to }) => to !== 'all' && to.node === 'c')).toBe(true);
  });
});
