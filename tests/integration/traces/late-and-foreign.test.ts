import { describe, expect, it } from 'vitest';
import type { Delta, Epoch, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { issueDelta } from '../../../shared/protocol/kernel/digest.js';
import type { Content, Message } from '../../../shared/protocol/wire/messages.js';
import type { Packet } from '../harness/cores.js';
import { leading } from '../harness/leading.js';

type Group = ReturnType<typeof leading>;

/** Packets that come late, twice, in the wrong order, damaged, or out of another reign. */

function prepared(group: Group): { readonly from: Tip | null; readonly to: Tip; readonly round: RoundId } {
  const ref = group.sent.map(({ message }) => message).find((message) => message.kind === 'prepare');
  if (ref?.kind !== 'prepare') throw new Error('no prepare was sent');
  return { from: ref.from, to: ref.to, round: { epoch: group.master.core.view(group.nowMs).epoch, number: ref.round } };
}

/** Every kind that a master says, each as harmful as it can be: it would commit, abort, move, or undo something here. */
function harmful(open: { readonly from: Tip | null; readonly to: Tip; readonly round: RoundId }, older: Epoch): Message[] {
  const next = issueDelta(open.from, older, 99 as Tip['version'], Uint8Array.of(99));
  const change: Content = { kind: 'change', change: next };
  const voters = Uint8Array.of(0xff);
  return [
    { kind: 'claim', tip: null },
    { kind: 'welcome', slot: 5, leaseMs: 60_000, member: { storeId: 'a'.repeat(32), start: 1 }, heartbeat: 0 },
    { kind: 'leave' },
    {
      kind: 'heartbeat', sequence: 1_000_000, sentMs: 0, tip: open.to, lowestOpenRound: 1000, openRounds: [],
      recentDecisions: [{ round: open.round, to: open.to, outcome: 'aborted' }], heal: 'operator', leaseMs: 60_000, nextInMs: 1, asks: true, acknowledged: [{ heartbeat: 1, slots: Uint8Array.of(1) }],
      arming: { round: open.round, to: open.to, activateAtMs: 1, voters, order: 1000, armed: true },
    },
    { kind: 'clock', member: { storeId: 'a'.repeat(32), start: 1 }, requestSentMs: 0, receivedMs: 0, sentMs: 0, era: 1_000_000 },
    { kind: 'announce', from: open.from, to: next.to, content: change },
    { kind: 'prepare', round: 1000, from: open.from, to: next.to, content: change, voters, lowestOpenRound: 1000, committed: open.to, activateAtMs: null },
    { kind: 'commit', round: open.round, to: open.to, lowestOpenRound: 1000, acknowledge: false },
    { kind: 'abort', round: open.round, to: open.to, lowestOpenRound: 1000 },
    { kind: 'arming', round: open.round, to: open.to, activateAtMs: 1, voters, order: 1000, armed: true },
    { kind: 'resolution', round: open.round, to: open.to, outcome: 'aborted' },
    { kind: 'deltas', request: 1, steps: [next] },
    { kind: 'too-old', request: 1, from: open.from, onChain: false },
    { kind: 'bulk-offer', request: 1, mode: 'snapshot', from: null, to: next.to, port: 1, token: '0'.repeat(32) },
  ];
}

/** A group in its second reign, with a round open that `a` has voted yes on. */
function inDoubtInSecondReign(): { readonly group: Group; readonly older: Epoch } {
  const group = leading(['a']);
  const older = group.master.core.view(group.nowMs).epoch;
  group.restartMaster();
  group.run(3000);
  group.passes = ({ message }) => message.kind !== 'vote';
  group.replicate(1, { timeoutMs: 60_000 });
  group.master.alive = false;
  expect(group.slave('a').calls).toEqual(['prepare 1']);
  return { group, older };
}

describe('an older epoch', () => {
  const anyEpoch: Epoch = { number: 1, claimant: 'c'.repeat(32) };
  const anyTip = issueDelta(null, anyEpoch, 1 as Tip['version'], Uint8Array.of(1)).to;
  const kinds = harmful({ from: null, to: anyTip, round: { epoch: anyEpoch, number: 1 } }, anyEpoch).map(({ kind }) => kind);

  it.each(kinds)('changes nothing at a slave by its %s; its master learns of the newer one (G7)', (kind) => {
    const { group, older } = inDoubtInSecondReign();
    const message = harmful(prepared(group), older).find((each) => each.kind === kind);
    if (message === undefined) throw new Error(kind);
    const slave = group.slave('a');
    const before = { view: slave.core.view(group.nowMs), sent: group.sent.length, trace: group.trace.length };
    group.deliverNow('a', { from: group.master.peer, to: slave.peer, epoch: older, message });
    expect(slave.core.view(group.nowMs)).toEqual(before.view);
    expect(slave.calls).toEqual(['prepare 1']);
    expect(group.trace.slice(before.trace).filter((line) => line.includes('persists') || line.includes('fetchBulk'))).toEqual([]);
    expect(group.sent.slice(before.sent).map(({ message: said }) => said)).toMatchObject([{ kind: 'promise', granted: false, promised: { number: 2 } }]);
  });

  it('is in that test with every kind that a master says in its reign', () => {
    // The others: what slaves say, and what both say outside of a reign (survey, inquiry, snapshot-request, refusal, report).
    expect([...kinds].sort()).toEqual(['abort', 'announce', 'arming', 'bulk-offer', 'claim', 'clock', 'commit', 'deltas', 'heartbeat', 'leave', 'prepare', 'resolution', 'too-old', 'welcome']);
  });

  it('counts for nothing at the master either: no vote, status, request or goodbye of another reign (G7)', () => {
    const group = leading(['a']);
    const older = group.master.core.view(group.nowMs).epoch;
    group.restartMaster();
    group.run(3000);
    group.passes = ({ from }) => from.node !== 'a';
    const command = group.replicate(1, { timeoutMs: 60_000 });
    const { round, from, to } = prepared(group);
    const view = group.master.core.view(group.nowMs);
    const sent = group.sent.length;
    const messages: Message[] = [
      { kind: 'vote', round, to, upToDate: true, canProcess: true, reason: '', exposed: 0, refused: [] },
      { kind: 'status', sequence: 1_000_000, tip: to, prepared: [], state: 'current', echo: null, windowBytes: 1, repairs: 0, snapshots: 0, arming: null, activation: null },
      { kind: 'clock-request', sentMs: 1 },
      { kind: 'inquiry', round, from, to },
      { kind: 'delta-request', request: 1, from, to, round },
      { kind: 'snapshot-request', request: 1 },
      { kind: 'leave' },
      { kind: 'join', tip: to, promised: older, prepared: [] },
      { kind: 'promise', granted: true, promised: older, claimantLeads: true, tip: to, prepared: [] },
    ];
    for (const message of messages) group.command({ kind: 'received', from: group.slave('a').peer, epoch: older, message });
    expect(group.results.has(command)).toBe(false);
    expect(group.master.core.view(group.nowMs)).toEqual(view);
    expect(group.sent.slice(sent)).toEqual([]);
  });
});

describe('packets that come twice, late, or in the wrong order', () => {
  it('lend no lease to a slave that started again: they acknowledge statuses of its process before (G12)', () => {
    const group = leading(['a']);
    group.run(500);
    const late = group.sent.filter(({ message }) => message.kind === 'heartbeat');
    expect(late.length).toBeGreaterThan(3);
    group.slave('a').alive = false;
    group.passes = ({ message }) => message.kind !== 'heartbeat';
    const slave = group.restartSlave('a');
    group.run(100);
    expect(slave.core.view(group.nowMs).welcomed).toBe(true);
    for (const packet of late) {
      group.deliverNow('a', packet);
      expect(slave.core.view(group.nowMs)).toMatchObject({ leaseUntilMs: 0 });
    }
    group.passes = () => true;
    group.run(1500);
    expect(slave.core.view(group.nowMs).state, 'a new heartbeat does lend one').toBe('current');
  });

  it.each(['in their order', 'backwards'] as const)('change nothing: all that was ever sent, once more, %s', (order) => {
    const group = leading(['a', 'b']);
    group.replicate(1);
    group.slave('b').veto = (version) => (version === 2 ? { kind: 'refused', reason: 'no', refused: [] } : null);
    group.replicate(2);
    group.replicate(3, { phases: 'one' });
    group.replicate(4);
    group.run(500);
    const calls = group.slaves.map((slave) => [...slave.calls]);
    const tips = group.slaves.map(({ tip }) => tip);
    expect(tips.map((tip) => tip?.version)).toEqual([4, 4]);
    const again = order === 'backwards' ? [...group.sent].reverse() : [...group.sent];
    for (const packet of again) {
      if (packet.from.node === 'master') {
        for (const { name, peer } of group.slaves) if (packet.to === 'all' || packet.to.node === peer.node) group.deliverNow(name, packet);
      } else group.command({ kind: 'received', from: packet.from, epoch: packet.epoch, message: packet.message });
    }
    group.run(2000);
    expect(group.slaves.map((slave) => slave.calls)).toEqual(calls);
    expect(group.slaves.map(({ tip }) => tip)).toEqual(tips);
    expect(group.slaves.map((slave) => slave.core.view(group.nowMs).state)).toEqual(['current', 'current']);
    expect(group.results.get(group.replicate(5))).toMatchObject({ kind: 'committed', votes: { yes: 2 } });
  });
});

describe('bytes that are not those of their digest', () => {
  const damage = (delta: Delta): Delta => ({ ...delta, bytes: Uint8Array.of(66) });
  const damaged = (message: Message): Message => {
    if (message.kind === 'deltas') return { ...message, steps: message.steps.map(damage) };
    if ((message.kind !== 'announce' && message.kind !== 'prepare') || message.content.kind === 'version') return message;
    const { content } = message;
    if (content.kind === 'change') return { ...message, content: { ...content, change: damage(content.change) } };
    if (content.kind === 'state') return { ...message, content: { ...content, state: damage(content.state) } };
    return { ...message, content: { ...content, changes: content.changes.map(damage) } };
  };

  it.each(['announce', 'prepare', 'deltas'] as const)('never reach a callback out of %s; the sound ones that follow do (G11)', (kind) => {
    const group = leading(['a']);
    const slave = group.slave('a');
    const held: Packet[] = [];
    const phases = kind === 'prepare' ? 'two' : 'one';
    group.passes = (packet, receiver) => {
      if (packet.message.kind === (kind === 'deltas' ? 'announce' : 'deltas')) return false;
      if (packet.message.kind !== kind || receiver !== 'a') return true;
      held.push(packet);
      return false;
    };
    group.replicate(1, { phases, content: 'change', timeoutMs: 10_000 });
    for (let waited = 0; held.length === 0 && waited < 2000; waited += 10) group.run(10);
    const [packet] = held;
    if (packet === undefined) throw new Error(`no ${kind} was sent`);
    expect(damaged(packet.message)).not.toEqual(packet.message);
    group.deliverNow('a', { ...packet, message: damaged(packet.message) });
    expect(slave.calls).toEqual([]);
    expect(slave.core.view(group.nowMs).lastVote).toBeNull();
    group.passes = () => true;
    group.run(2000);
    expect(slave.applied).toEqual([1]);
  });
});

describe('a whole state', () => {
  const foreign = { epoch: { number: 1, claimant: 'f'.repeat(32) }, version: 7, chain: 'e'.repeat(32) } as Tip;

  it.each(['one', 'two'] as const)('in %s phase(s) never overwrites a copy that is not known to be on the chain: it is asked about first, and kept', (phases) => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(100);
    // Nobody has told the stranger yet that it is off the chain.
    group.passes = ({ message }) => message.kind !== 'too-old';
    const stranger = group.addSlave('x', 'x', foreign);
    const before = group.sent.length;
    // Under "all" a stranger is asked, too.
    group.replicate(9, { phases, content: 'state', voters: 'all', timeoutMs: 400 });
    const kinds = group.sent.slice(before).map(({ message }) => ('content' in message ? message.content.kind : ''));
    expect(kinds).toContain('state');
    group.run(1000);
    expect(stranger.calls).toEqual([]);
    expect(stranger.tip).toEqual(foreign);
    expect(group.sent.slice(before).some(({ message, from }) => from.node === 'x' && message.kind === 'delta-request')).toBe(true);
    group.passes = () => true;
    group.run(2000);
    expect(stranger.core.view(group.nowMs).state).toBe('diverged');
    expect(stranger.tip).toEqual(foreign);
  });

  it('of an earlier version that comes late does not take the copy back (G5)', () => {
    const group = leading(['a']);
    group.replicate(1, { phases: 'one', content: 'state' });
    const late = group.sent.find(({ message }) => message.kind === 'announce');
    if (late === undefined) throw new Error('nothing was announced');
    group.replicate(2, { phases: 'one' });
    group.run(100);
    group.deliverNow('a', late);
    group.run(1000);
    expect(group.slave('a').applied).toEqual([1, 2]);
    expect(group.slave('a').tip?.version).toBe(2);
  });

  it.each(['one', 'two'] as const)('in %s phase(s) that claims to start elsewhere changes nothing, and breaks nothing (G11)', (phases) => {
    const group = leading(['a']);
    group.replicate(1);
    group.run(100);
    const slave = group.slave('a');
    const { epoch } = group.master.core.view(group.nowMs);
    const state = issueDelta(foreign, epoch, 9 as Tip['version'], Uint8Array.of(9));
    const content: Content = { kind: 'state', state };
    const message: Message =
      phases === 'one'
        ? { kind: 'announce', from: slave.tip, to: state.to, content }
        : { kind: 'prepare', round: 50, from: foreign, to: state.to, content, voters: Uint8Array.of(0xff), lowestOpenRound: 1, committed: foreign, activateAtMs: null };
    group.deliverNow('a', { from: group.master.peer, to: slave.peer, epoch, message });
    expect(slave.applied).toEqual([1]);
    expect(slave.calls.filter((call) => call.endsWith(' 9'))).toEqual([]);
    group.replicate(2);
    group.run(2000);
    expect(slave.applied).toEqual([1, 2]);
  });
});
