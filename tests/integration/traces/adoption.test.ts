import { describe, expect, it } from 'vitest';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { CoreGroup, MasterNode } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

/** A group whose master is gone for good, and whose slaves hold version 1. */
function orphaned(): CoreGroup {
  const group = leading(['a', 'b']);
  group.replicate(1);
  group.run(100);
  group.master.alive = false;
  group.run(10_000);
  return group;
}

function requests(group: CoreGroup, master: MasterNode): readonly { readonly to: unknown; readonly request: number }[] {
  return group.sent.flatMap(({ from, to, message }) =>
    from.node === master.peer.node && message.kind === 'snapshot-request' ? [{ to, request: message.request }] : [],
  );
}

describe("adopting a slave's copy", () => {
  it.each(['snapshot-request', 'bulk-offer'] as const)('asks again when the %s is lost, by the same number', (kind) => {
    const group = orphaned();
    let lost = 0;
    group.passes = ({ message }) => {
      if (message.kind !== kind || lost === 3) return true;
      lost += 1;
      return false;
    };
    const heir = group.addMaster('heir', { adoptFrom: 'a' as MasterNode['peer']['node'] });
    group.run(8000);
    const asked = requests(group, heir);
    expect(lost).toBe(3);
    expect(asked.length, 'the lost ones, and one that came through').toBe(4);
    expect(new Set(asked.map(({ request }) => request)).size, 'an answer to any of them will do').toBe(1);
    expect(heir.halted, group.trace.slice(-30).join('\n')).toBeNull();
    expect(heir.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 } });
    group.master = heir;
    expect(group.results.get(group.replicate(2))?.kind).toBe('committed');
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([2, 2]);
  });

  it('refuses to lead when the source is gone after its report, and says what to do', () => {
    const group = orphaned();
    // It answers the survey, and dies before it is asked for its copy.
    group.passes = ({ message }) => {
      if (message.kind === 'snapshot-request') group.slave('a').alive = false;
      return true;
    };
    const heir = group.addMaster('heir', { adoptFrom: 'a' as MasterNode['peer']['node'] });
    group.run(4900);
    expect(heir.halted, 'it may only be slow').toBeNull();
    expect(requests(group, heir).length).toBeGreaterThan(3);
    group.run(3000);
    expect(heir.halted).toMatch(/a did not offer its copy within \d+ ms; start this master again, or with another slave's name/);
    expect(heir.halted).toContain('--adopt-from a');
    expect(group.sent.some(({ from, message }) => from.node === heir.peer.node && message.kind === 'claim')).toBe(false);
    expect(group.slave('b').tip?.version).toBe(1);
    expect(group.slave('b').core.view(group.nowMs).promised.number, 'nothing was claimed').toBe(1);
  });
});

const adoptFromA = { takeOver: true, adoptFrom: 'a' as MasterNode['peer']['node'] };

function inDoubt(group: CoreGroup): readonly number[] {
  return group.slaves.map((slave) => slave.core.view(group.nowMs).inDoubt.length);
}

/** The next decision of the group's master stays on its way to disk; returns what brings it there. */
function holdDecision(group: CoreGroup): () => void {
  const held: StoreOperation[] = [];
  group.masterWrites = (operations) => {
    const isDecision = operations.some(({ key }) => key.includes('history'));
    if (isDecision) held.push(...operations);
    return !isDecision;
  };
  const { records } = group.master;
  return () => {
    const tip = held.find(({ kind, key }) => kind === 'put' && key.at(-1) === 'tip');
    records.apply(held);
    records.apply([{ kind: 'put', key: ['user', 'tip'], value: tip?.kind === 'put' ? (tip.value) : null }]);
  };
}

describe('what the operator gives up by having a copy adopted', () => {
  it('is a round that its hanging master decides only afterwards: that one knows it alone, and does not lead with it', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(100);
    const first = group.master;
    const reachDisk = holdDecision(group);
    const late = group.replicate(2, { timeoutMs: 60_000 });
    expect(inDoubt(group), 'all have said yes').toEqual([1, 1]);
    const heir = group.addMaster('heir', adoptFromA);
    group.run(9000);
    expect(heir.core.view(group.nowMs).phase).toBe('leading');
    expect(inDoubt(group)).toEqual([0, 0]);
    expect(first.halted).toContain('steps down');
    expect(group.results.get(late), 'nobody was told that it committed').toMatchObject({ kind: 'unknown' });
    reachDisk();
    first.alive = false;
    group.restartMaster();
    group.run(3000);
    expect(group.master.halted).toContain('heir leads this group');
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs)), 'current on the side that they are bound to').toMatchObject([
      { state: 'current', tip: { version: 1 } },
      { state: 'current', tip: { version: 1 } },
    ]);
    group.masterWrites = () => true;
    group.master = heir;
    expect(group.results.get(group.replicate(3))).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    heir.alive = false;
    group.run(10_000);
    group.master = first;
    group.restartMaster();
    group.run(3000);
    expect(group.master.halted).toContain('this store holds e1 v2, and others hold more: a (e2 v3)');
    expect(group.slaves.map(({ applied }) => applied)).toEqual([[1, 3], [1, 3]]);
  });

  it('is no round of a later reign: its master may have committed it, so it stays in doubt', () => {
    const group = orphaned();
    const heir = group.addMaster('heir', adoptFromA);
    group.run(8000);
    const third = group.addMaster('third', adoptFromA);
    group.run(9000);
    expect(heir.halted).toContain('steps down');
    group.master = third;
    group.passes = ({ message }) => message.kind !== 'commit' && message.kind !== 'heartbeat';
    const command = group.replicate(2);
    third.alive = false;
    expect(group.results.get(command), 'third told its caller').toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    group.passes = () => true;
    group.run(10_000);
    expect(inDoubt(group)).toEqual([1, 1]);
    heir.alive = false;
    group.master = heir;
    group.restartMaster();
    group.run(5000);
    expect(group.master.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 } });
    expect(inDoubt(group), group.trace.slice(-30).join('\n')).toEqual([1, 1]);
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toMatchObject([{ masterCannotTell: true }]);
  });

  it('is no such round either when this master claims once more, long after it was told', () => {
    const group = orphaned();
    const heir = group.addMaster('heir', adoptFromA);
    group.run(8000);
    // It hears nothing of the one that takes over, which commits and dies.
    group.passes = ({ from }, receiver) => from.node !== 'heir' && receiver !== 'heir';
    const third = group.addMaster('third', adoptFromA);
    group.run(9000);
    const { passes } = group;
    group.passes = (packet, receiver) =>
      passes(packet, receiver) && packet.message.kind !== 'commit' && packet.message.kind !== 'heartbeat';
    group.master = third;
    expect(group.results.get(group.replicate(2))).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
    third.alive = false;
    group.run(10_000);
    group.passes = () => true;
    group.run(10_000);
    expect(heir.core.view(group.nowMs)).toMatchObject({ phase: 'leading', epoch: { number: 4 } });
    expect(inDoubt(group), group.trace.slice(-30).join('\n')).toEqual([1, 1]);
  });

  it('is no copy: one that holds more keeps its master from leading, whenever it shows', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.passes = ({ from }, receiver) => from.node !== 'a' && receiver !== 'a';
    group.run(4000);
    expect(group.results.get(group.replicate(2))).toMatchObject({ kind: 'committed', votes: { yes: 1 } });
    group.master.alive = false;
    group.passes = ({ from }, receiver) => from.node !== 'b' && receiver !== 'b';
    const heir = group.addMaster('heir', adoptFromA);
    group.run(4000);
    expect(heir.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 } });
    heir.alive = false;
    group.passes = () => true;
    group.master = heir;
    group.restartMaster();
    group.run(9000);
    expect(group.master.halted).toContain('others hold more: b (e1 v2)');
  });
});
