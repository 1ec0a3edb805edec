import { describe, expect, it } from 'vitest';
import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import type { CoreGroup, MasterNode } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

/** `--reset-group`: the operator's word that what slaves hold is given up for what this store holds. */

interface Reset {
  readonly group: CoreGroup;
  readonly fresh: MasterNode;
}

/** The slaves hold version 1 of a master that is gone; an empty one was told to reset the group, and leads. */
function reset(): Reset {
  const group = leading(['a', 'b']);
  group.replicate(1);
  group.run(100);
  group.master.alive = false;
  group.run(10_000);
  const fresh = group.addMaster('fresh', { resetGroup: true });
  group.run(3000);
  expect(fresh.core.view(group.nowMs).phase).toBe('leading');
  return { group, fresh };
}

/** Kills this master and starts it again, without the flag. */
function startAgain({ group, fresh }: Reset): void {
  fresh.alive = false;
  group.master = fresh;
  group.restartMaster();
}

describe('the word to reset a group', () => {
  it('holds over a restart without it: the master leads, and who has not taken its copy yet does', () => {
    const { group, fresh } = reset();
    startAgain({ group, fresh });
    group.run(3000);
    expect(group.master.halted).toBeNull();
    const command = group.replicate(1, { timeoutMs: 9000 });
    group.run(9000);
    expect(group.results.get(command)?.kind).toBe('committed');
    expect(group.slaves.map(({ calls }) => calls.at(-1)), group.trace.slice(-40).join('\n')).toEqual(['install 1', 'install 1']);
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs).state)).toEqual(['current', 'current']);
  });

  it('is used up when nobody is left whom it was said about: later copies heal by majority, as ever', () => {
    const { group, fresh } = reset();
    group.master = fresh;
    group.replicate(1, { timeoutMs: 9000 });
    group.run(9000);
    startAgain({ group, fresh });
    group.run(3000);
    const beat = group.sent.findLast(({ from, message }) => from.node === 'fresh' && message.kind === 'heartbeat');
    expect(beat?.message).toMatchObject({ heal: 'majority' });
  });

  it('ends when another store has led since: its copies were nobody’s to give up', () => {
    const { group, fresh } = reset();
    fresh.alive = false;
    group.run(10_000);
    const third = group.addMaster('third', { takeOver: true, adoptFrom: 'a' as NodeId });
    group.run(9000);
    expect(third.core.view(group.nowMs)).toMatchObject({ phase: 'leading', tip: { version: 1 } });
    third.alive = false;
    group.run(10_000);
    const before = group.sent.length;
    startAgain({ group, fresh });
    group.run(9000);
    expect(group.sent.slice(before).some(({ message }) => message.kind === 'claim'), 'it only looked').toBe(false);
    expect(group.master.halted).toMatch(/others hold more: a \(e1 v1\).*--reset-group/);
    expect(group.slaves.map(({ tip }) => tip?.version)).toEqual([1, 1]);
  });

  it('has ended for good then, also when only a slave that holds nothing tells of that one, and this one is killed after its claim', () => {
    const { group, fresh } = reset();
    fresh.alive = false;
    group.run(10_000);
    // Only `n`, which gets no copy, is bound to the other store; the others are still bound to this one.
    let isClaimed = false;
    group.passes = ({ from, message }, receiver) => {
      isClaimed ||= message.kind === 'claim';
      const isCopy = message.kind === 'deltas' || message.kind === 'bulk-offer';
      if (isClaimed && (['a', 'b'].includes(from.node) || ['a', 'b'].includes(receiver))) return false;
      return !isCopy || receiver !== 'n';
    };
    group.addSlave('n');
    const third = group.addMaster('third', { takeOver: true, adoptFrom: 'a' as NodeId });
    group.run(9000);
    third.alive = false;
    group.run(10_000);
    startAgain({ group, fresh });
    while (group.master.core.view(group.nowMs).phase === 'surveying') group.run(10);
    expect(group.master.core.view(group.nowMs), 'nobody it hears holds more').toMatchObject({ phase: 'claiming' });
    group.passes = () => true;
    startAgain({ group, fresh: group.master });
    group.run(9000);
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs).promised.number)).toEqual([2, 2, 4]);
    expect(group.master.halted).toContain('others hold more: a (e1 v1)');
  });

  it('covers rounds in doubt as well, also when the master is started again before it has committed anything', () => {
    const group = leading(['a']);
    group.masterWrites = () => false;
    group.replicate(1);
    group.master.alive = false;
    group.masterWrites = () => true;
    group.run(10_000);
    const fresh = group.addMaster('fresh', { resetGroup: true });
    while (fresh.core.view(group.nowMs).phase !== 'claiming') group.run(10);
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toHaveLength(1);
    startAgain({ group, fresh });
    group.run(3000);
    expect(group.master.halted).toBeNull();
    expect(group.slave('a').core.view(group.nowMs).inDoubt).toEqual([]);
  });
});
