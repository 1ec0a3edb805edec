import { describe, expect, it } from 'vitest';
import { roundKey } from '../../../shared/protocol/kernel/ids.js';
import { leading } from '../harness/leading.js';

type Group = ReturnType<typeof leading>;

const viewOf = (group: Group, name: string): ReturnType<Group["slaves"][number]["core"]["view"]> =>
  group.slave(name).core.view(group.nowMs);

function roundOf(group: Group, name: string): string {
  const round = viewOf(group, name).inDoubt[0]?.round;
  if (round === undefined) throw new Error(`${name} is in doubt about nothing`);
  return roundKey(round);
}

function resolve(group: Group, name: string, outcome: 'committed' | 'aborted', round = roundOf(group, name)): string {
  group.slaveInput(name, { kind: 'resolve', command: 77, round, outcome, by: 'ann', wallMs: 5 });
  return group.trace.slice(-12).join('\n');
}

/** Both said yes, and the master died before its decision. */
function inDoubt(): Group {
  const group = leading(['a', 'b']);
  group.masterWrites = () => false;
  group.replicate(1);
  group.master.alive = false;
  group.masterWrites = () => true;
  group.run(10_000);
  return group;
}

describe('a round in doubt that an operator decides', () => {
  it('is shown with its age and how many voted, and is nobody else’s while a master that may know is heard', () => {
    const group = leading(['a', 'b']);
    group.passes = (packet) => packet.message.kind !== 'vote' || packet.from.node !== 'b';
    group.replicate(1, { timeoutMs: 60_000 });
    group.run(1000);
    expect(viewOf(group, 'a').inDoubt).toMatchObject([{ voters: 2, masterCannotTell: false, to: { version: 1 } }]);
    resolve(group, 'a', 'committed');
    expect(viewOf(group, 'a')).toMatchObject({ resolved: [], inDoubt: [{ to: { version: 1 } }] });
    expect(group.slave('a').applied).toEqual([]);
  });

  it('is recorded durably before it is carried out', () => {
    const group = inDoubt();
    const round = roundOf(group, 'a');
    group.slaveWrites = () => false;
    resolve(group, 'a', 'committed');
    expect(group.slave('a').applied).toEqual([]);
    group.slaveWrites = () => true;
    const again = inDoubt();
    resolve(again, 'a', 'committed');
    expect(again.slave('a').applied).toEqual([1]);
    const { resolved } = viewOf(again, 'a');
    expect(resolved).toMatchObject([{ outcome: 'committed', by: 'ann', wallMs: 5, to: { version: 1 } }]);
    expect(resolved[0] === undefined ? '' : roundKey(resolved[0].round)).toBe(round);
  });

  it('is told to no other slave: no master said it', () => {
    const group = inDoubt();
    resolve(group, 'a', 'committed');
    group.run(30_000);
    expect(group.slave('a').applied).toEqual([1]);
    expect(group.slave('b').applied).toEqual([]);
    expect(viewOf(group, 'b').inDoubt).toHaveLength(1);
  });

  it('is carried out after a crash that came between the record and its end', () => {
    const group = inDoubt();
    const slave = group.slave('a');
    slave.failCommits = 1_000_000; // the layer never gets to it in this life
    resolve(group, 'a', 'committed');
    expect(slave.applied).toEqual([]);
    const fresh = group.restartSlave('a');
    group.run(2000);
    expect(fresh.applied).toEqual([1]);
    expect(viewOf(group, 'a')).toMatchObject({ inDoubt: [], resolved: [{ by: 'ann' }] });
  });

  it('and aborts, is committed after all when the master says so: the copy only catches up', () => {
    const group = leading(['a', 'b']);
    group.passes = ({ message }, receiver) => receiver !== 'a' || (message.kind !== 'commit' && message.kind !== 'heartbeat');
    const command = group.replicate(1);
    expect(group.results.get(command)?.kind).toBe('committed');
    group.master.alive = false;
    group.slave('b').alive = false;
    group.run(10_000);
    resolve(group, 'a', 'aborted');
    expect(group.slave('a').calls).toEqual(['prepare 1', 'abort 1']);
    group.passes = () => true;
    group.slave('b').alive = true;
    group.restartMaster();
    group.run(8000);
    expect(group.slave('a').tip?.version).toBe(1);
    expect(viewOf(group, 'a').state).toBe('current');
  });

  it('and commits what the master aborted, leaves the chain: diverged, with the author’s name', () => {
    const group = inDoubt();
    resolve(group, 'a', 'committed');
    group.slave('a').alive = false;
    group.restartMaster();
    group.run(20_000);
    expect(group.results.get(group.replicate(2))?.kind, group.trace.slice(-20).join('\n')).toBe('committed');
    group.restartSlave('a');
    group.run(8000);
    expect(viewOf(group, 'a')).toMatchObject({
      state: 'diverged',
      reason: expect.stringMatching(/e1 v1 \(committed here by ann, an operator\).*lockstep discard.*--adopt-from a/) as string,
    });
    expect(group.slave('a').calls).toEqual(['prepare 1', 'commit 1']);
    group.slaveInput('a', { kind: 'discard', command: 78 });
    group.run(3000);
    expect(group.slave('a').calls.at(-1)).toBe('install 2');
    expect(viewOf(group, 'a').state).toBe('current');
  });

  it('and commits what the master never decided, keeps that master from leading until it is told what to do (G13)', () => {
    const group = inDoubt();
    resolve(group, 'a', 'committed');
    group.restartMaster();
    group.run(8000);
    expect(group.master.halted).toMatch(/others hold more: a \(e1 v1\).*--adopt-from a.*--reset-group/);
  });

  it('is allowed when the master that is heard was asked and can’t tell', () => {
    const group = inDoubt();
    group.addMaster('other', { takeOver: true });
    group.run(8000);
    expect(viewOf(group, 'a').inDoubt).toMatchObject([{ masterCannotTell: true }]);
    resolve(group, 'a', 'aborted');
    expect(viewOf(group, 'a')).toMatchObject({ inDoubt: [], resolved: [{ outcome: 'aborted', by: 'ann' }] });
    group.run(2000);
    expect(viewOf(group, 'a').state).toBe('current');
  });

  it('that is not there is refused, with what is', () => {
    const group = inDoubt();
    resolve(group, 'a', 'committed', '9.nobody.9');
    expect(viewOf(group, 'a').resolved).toEqual([]);
  });
});
