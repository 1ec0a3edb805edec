import { describe, expect, it } from 'vitest';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { ClockAnswer, Message } from '../../../shared/protocol/wire/messages.js';
import type { ClockView } from '../../../slave/service/core/view.js';
import { groupOffsetMs, type Packet } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

type Group = ReturnType<typeof leading>;

function clockOf(group: Group, name = 'a'): ClockView | null {
  return group.slave(name).core.view(group.nowMs).clock;
}

function requests(group: Group, from = 0): number[] {
  return group.sent.slice(from).flatMap(({ message }) => (message.kind === 'clock-request' ? [message.sentMs] : []));
}

function answers(group: Group): (Packet & { readonly message: ClockAnswer })[] {
  return group.sent.filter((packet): packet is Packet & { readonly message: ClockAnswer } => packet.message.kind === 'clock');
}

function isAbout(kind: Message['kind']): (packet: Packet) => boolean {
  return ({ message }) => message.kind === kind;
}

function expectRight(group: Group, name = 'a'): void {
  const clock = clockOf(group, name);
  if (clock === null) throw new Error('the group time is not known');
  const groupMs = group.nowMs + groupOffsetMs;
  expect(clock.earliestMs).toBeLessThanOrEqual(groupMs);
  expect(clock.latestMs).toBeGreaterThanOrEqual(groupMs);
  expect(Math.abs(clock.groupMs - groupMs)).toBeLessThanOrEqual(2 * clock.errorMs);
}

describe('group time', () => {
  it('is what the master’s time of day was at its start, and its monotonic clock since', () => {
    const group = leading(['a', 'b']);
    expectRight(group, 'a');
    expectRight(group, 'b');
    expect(clockOf(group)?.errorMs).toBeLessThan(6);
    const welcomed = group.sent.findIndex(isAbout('welcome'));
    const first = group.sent.findIndex(isAbout('clock-request'));
    expect(first, 'asked for as soon as the master has taken the slave in').toBeGreaterThan(welcomed);
  });

  it('is asked for in a burst, and then now and then; the error grows in between and falls again', () => {
    const group = leading(['a']);
    const burst = requests(group);
    expect(burst).toHaveLength(limits.clockBurst);
    expect((burst.at(-1) ?? 0) - (burst[0] ?? 0)).toBeLessThan(2 * limits.clockBurst * limits.clockBurstMs);
    const from = group.sent.length;
    const errors: number[] = [];
    for (let count = 0; count < 600; count += 1) {
      group.run(100);
      errors.push(clockOf(group)?.errorMs ?? Infinity);
      expectRight(group);
    }
    expect(requests(group, from).length).toBeGreaterThanOrEqual(9);
    expect(requests(group, from).length).toBeLessThanOrEqual(16);
    expect(Math.max(...errors)).toBeLessThan(1.3 * 2 * limits.clockRateError * limits.clockEveryMs);
    expect(Math.min(...errors)).toBeLessThan(0.5);
  });

  it('is asked for with a status that leaves anyway', () => {
    const group = leading(['a']);
    const from = group.sent.length;
    group.run(60_000);
    const said = group.sent.slice(from).filter(({ from: { node } }) => node === 'a');
    const alone = said.filter((packet, at) => packet.message.kind === 'clock-request' && said[at - 1]?.message.kind !== 'status');
    expect(requests(group, from).length).toBeGreaterThan(5);
    expect(alone).toEqual([]);
  });

  it('is asked for again soon when an answer is lost, and ever more seldom while none comes', () => {
    const group = leading(['a']);
    group.run(10_000);
    const from = group.sent.length;
    group.passes = ({ message }) => message.kind !== 'clock';
    group.run(40_000);
    const times = requests(group, from);
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0));
    expect(gaps[0]).toBeLessThan(400);
    expect(gaps.at(-1)).toBeGreaterThan(3000);
    expect(gaps.length).toBeLessThan(20);
    expectRight(group);
    group.passes = () => true;
    group.run(10_000);
    expect(clockOf(group)?.errorMs).toBeLessThan(15);
  });

  it('is known no more in a new reign until the new master has told its own', () => {
    const group = leading(['a']);
    group.passes = ({ message }) => message.kind !== 'clock';
    group.master.alive = false;
    group.restartMaster();
    group.run(3000);
    expect(group.slave('a').core.view(group.nowMs).promised.number).toBe(2);
    expect(clockOf(group)).toBeNull();
    group.passes = () => true;
    group.run(6000);
    expectRight(group);
  });

  it('is learnt neither from an older reign’s answer nor from one to another process', () => {
    const group = leading(['a']);
    const held: Packet[] = [];
    group.passes = (packet) => {
      if (packet.message.kind === 'clock') held.push(packet);
      return packet.message.kind !== 'clock';
    };
    group.run(6000);
    expect(held.length).toBeGreaterThan(0);
    const before = clockOf(group);
    for (const packet of held) {
      const member = { ...packet.to === 'all' ? group.slave('a').peer.incarnation : packet.to.incarnation, start: 9 };
      group.deliverNow('a', { ...packet, message: { ...(packet.message as ClockAnswer), member } });
    }
    expect(clockOf(group)).toEqual(before);
    const older = [...held];
    group.master.alive = false;
    group.restartMaster();
    group.run(3000);
    for (const packet of older) group.deliverNow('a', packet);
    expect(clockOf(group)).toBeNull();
    const stranger = { ...group.master.core.view(group.nowMs).epoch };
    for (const packet of older) group.deliverNow('a', { ...packet, epoch: stranger });
    expect(clockOf(group), 'a request of before the new reign').toBeNull();
  });

  it('is learnt from an answer to what was asked, once', () => {
    const group = leading(['a']);
    const [first] = answers(group);
    if (first === undefined) throw new Error('nobody answered');
    const before = clockOf(group);
    group.deliverNow('a', first);
    group.deliverNow('a', { ...first, message: { ...first.message, requestSentMs: group.nowMs, receivedMs: 5, sentMs: 5 } });
    expect(clockOf(group)).toEqual(before);
  });

  it('may be later by as long as the slave may have slept, until it is asked for again; nothing of before counts', () => {
    const group = leading(['a']);
    group.run(3000);
    const held: Packet[] = [];
    group.passes = (packet) => {
      if (packet.message.kind === 'clock') held.push(packet);
      return packet.message.kind !== 'clock';
    };
    group.run(5000);
    const before = clockOf(group);
    group.slaveInput('a', { kind: 'clockJumped', byMs: 4000 });
    const after = clockOf(group);
    expect(after?.earliestMs).toBe(before?.earliestMs);
    expect(after?.errorMs).toBeGreaterThan(2000);
    for (const packet of held) group.deliverNow('a', packet);
    expect(clockOf(group)?.errorMs, 'asked before the sleep').toBeGreaterThan(2000);
    group.passes = () => true;
    group.run(300);
    expect(clockOf(group)?.errorMs).toBeLessThan(1);
    expectRight(group);
  });

  it('of before the master’s sleep counts no more once a slave has heard of it', () => {
    const group = leading(['a']);
    group.run(3000);
    const held: Packet[] = [];
    group.passes = (packet) => {
      if (packet.message.kind === 'clock') held.push(packet);
      return true;
    };
    group.run(6000);
    group.command({ kind: 'clockJumped', byMs: 2000 });
    expect(group.trace.at(-1)).toContain('clock jumped');
    group.run(6000);
    expect((held.at(-1)?.message as ClockAnswer).era).toBe(2);
    expectRight(group);
    const before = clockOf(group);
    for (const packet of held) group.deliverNow('a', packet);
    expect(clockOf(group)).toEqual(before);
  });

  it('tells a contradiction, and goes on with the newest answer', () => {
    const group = leading(['a']);
    group.run(3000);
    let late = 0;
    group.passes = (packet) => {
      if (packet.message.kind === 'clock') {
        const { message } = packet;
        late += 1;
        group.deliverNow('a', { ...packet, message: { ...message, receivedMs: message.receivedMs - 5000, sentMs: message.sentMs - 5000 } });
      }
      return packet.message.kind !== 'clock';
    };
    group.run(6000);
    expect(late).toBeGreaterThan(0);
    expect(group.trace.filter((line) => line.includes('clock contradicted'))).toHaveLength(1);
    expect((clockOf(group)?.groupMs ?? 0) - (group.nowMs + groupOffsetMs)).toBeLessThan(-4900);
  });
});
