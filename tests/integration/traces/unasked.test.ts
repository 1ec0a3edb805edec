import { describe, expect, it } from 'vitest';
import { countBits } from '../../../shared/protocol/kernel/bitmap.js';
import { encodeBody } from '../../../shared/protocol/wire/codec.js';
import type { Heartbeat, Message } from '../../../shared/protocol/wire/messages.js';
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

describe('a heartbeat', () => {
  const beats = (group: Group, from: number): Heartbeat[] =>
    group.sent.slice(from).flatMap(({ from: { node }, message }) => (node === 'master' && message.kind === 'heartbeat' ? [message] : []));
  const statuses = (group: Group, from: number): number => group.sent.slice(from).filter(({ message }) => message.kind === 'status').length;

  it('comes only as often as leases need it while changes tell as much, and quickly once they don’t', () => {
    const group = leading(['a', 'b']);
    const from = group.sent.length;
    for (let version = 1; version <= 100; version += 1) {
      group.replicate(version);
      group.run(20);
    }
    expect(beats(group, from).length, 'in two seconds, three eighths of a second apart').toBeLessThanOrEqual(6);
    expect(beats(group, from).length).toBeGreaterThanOrEqual(5);
    const quiet = group.sent.length;
    const quietMs = group.nowMs;
    group.run(450);
    expect(beats(group, quiet).map(({ sentMs }) => Math.round((sentMs - quietMs) / 100))).toEqual([1, 2, 3, 4]);
    for (const slave of group.slaves) expect(slave.core.view(group.nowMs).state).toBe('current');
  });

  it('is answered when it asks, eight times in a lease at most, or by who holds no lease', () => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.run(20);
    const from = group.sent.length;
    group.run(450);
    const said = beats(group, from);
    expect(said.length).toBeGreaterThanOrEqual(4);
    const asking = said.filter(({ asks }) => asks).length;
    expect(asking).toBeLessThanOrEqual(2);
    expect(statuses(group, from)).toBe(asking * 2);
    group.passes = ({ message }) => message.kind !== 'heartbeat';
    group.run(3500);
    const without = group.sent.length;
    const newest = said.at(-1);
    if (newest === undefined) throw new Error('no heartbeat');
    const message = { ...newest, sequence: newest.sequence + 1, asks: false, acknowledged: [] };
    group.deliverNow('a', { from: group.master.peer, to: 'all', epoch: group.master.core.view(group.nowMs).epoch, message });
    expect(statuses(group, without)).toBe(1);
    group.passes = () => true;
    group.run(2000);
    for (const slave of group.slaves) expect(slave.core.view(group.nowMs).state).toBe('current');
  });

  it('acknowledges forty members in bits, by the heartbeat that they echoed', () => {
    const names = Array.from({ length: 40 }, (_, index) => `s${index}`);
    const group = leading(names);
    group.replicate(1);
    group.run(1500);
    const last = beats(group, 0).at(-1);
    if (last === undefined) throw new Error('no heartbeat');
    expect(last.acknowledged.reduce((sum, { slots }) => sum + countBits(slots), 0)).toBe(names.length);
    expect(last.acknowledged.length, 'all echo the same one, or the one before').toBeLessThanOrEqual(2);
    expect(encodeBody(last).length - encodeBody({ ...last, acknowledged: [] }).length).toBeLessThan(30);
  });

  it('renews the lease of none by its slot who wasn’t welcomed yet when it left (G12)', () => {
    const group = leading(['a', 'b']);
    const [first, second] = beats(group, group.sent.length - 20).slice(-2);
    if (first === undefined || second === undefined) throw new Error('too few heartbeats');
    group.passes = ({ message }) => message.kind !== 'heartbeat';
    const slave = group.restartSlave('a');
    group.run(100);
    const { epoch } = group.master.core.view(group.nowMs);
    const say = (message: Message): void => group.deliverNow('a', { from: group.master.peer, to: 'all', epoch, message });
    say(first);
    say({ ...second, acknowledged: [{ heartbeat: first.sequence, slots: Uint8Array.of(0b11) }] });
    expect(slave.core.view(group.nowMs)).toMatchObject({ welcomed: true, leaseUntilMs: 0 });
  });

  it.each([
    ['heard', false],
    ['sent, having heard no heartbeat yet,', true],
  ])('renews no lease by what was %s before the machine slept (G12)', (_what, isUnheard) => {
    const group = leading(['a']);
    const newest = beats(group, 0).at(-1);
    if (newest === undefined) throw new Error('no heartbeat');
    group.passes = ({ message }) => message.kind !== 'heartbeat';
    const slave = isUnheard ? group.restartSlave('a') : group.slave('a');
    group.run(100);
    group.slaveInput('a', { kind: 'suspended' });
    expect(slave.core.view(group.nowMs)).toMatchObject({ welcomed: true, leaseUntilMs: 0 });
    const from = group.sent.length;
    group.replicate(1, { wait: 'exposed' });
    expect(statuses(group, from)).toBe(1);
    const { epoch, tip } = group.master.core.view(group.nowMs);
    for (const [later, heartbeat] of [0, newest.sequence - 1, newest.sequence].entries()) {
      const acknowledged = [{ heartbeat, slots: Uint8Array.of(1) }];
      const message = { ...newest, tip, sequence: newest.sequence + 1000 + later, acknowledged };
      group.deliverNow('a', { from: group.master.peer, to: 'all', epoch, message });
    }
    expect(slave.core.view(group.nowMs).leaseUntilMs).toBe(0);
  });
});

describe('a welcome', () => {
  it('is for the process that it names, and for no later one at the same address', () => {
    const group = leading(['a']);
    const [welcome] = group.sent.filter(({ message }) => message.kind === 'welcome');
    if (welcome === undefined) throw new Error('nobody was welcomed');
    group.passes = ({ message }) => message.kind !== 'welcome';
    const slave = group.restartSlave('a');
    group.run(200);
    group.deliverNow('a', { ...welcome, to: slave.peer });
    expect(slave.core.view(group.nowMs).welcomed).toBe(false);
    group.passes = () => true;
    group.run(1000);
    expect(slave.core.view(group.nowMs)).toMatchObject({ welcomed: true, state: 'current' });
  });
});

describe('a yes', () => {
  /** The votes of one slave, by whether they may wait for more; each round is begun before the one below it is decided. */
  function votesOf(names: readonly string[], rounds: number): readonly (true | undefined)[] {
    const group = leading(names);
    const { core } = group.slave('a');
    const step = core.step.bind(core);
    const votes: (true | undefined)[] = [];
    core.step = (input, nowMs) => {
      const effects = step(input, nowMs);
      for (const effect of effects) if (effect.kind === 'send' && effect.message.kind === 'vote') votes.push(effect.gathers);
      return effects;
    };
    group.slave('b').holdsPrepare = true;
    for (let version = 1; version <= rounds; version += 1) group.replicate(version);
    return votes;
  }
  const nine = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];

  it('in a large group waits for those that what has arrived leads to, once several rounds are under way', () => {
    expect(votesOf(nine, 3)).toEqual([undefined, true, true]);
  });

  it('leaves at once in a small group', () => {
    expect(votesOf(['a', 'b'], 3)).toEqual([undefined, undefined, undefined]);
  });
});
