import * as fc from 'fast-check';
import { digestOf } from '../../../shared/protocol/kernel/digest.js';
import type { ChainId, Delta, Epoch, NodeId, Peer, RoundId, Tip, Version } from '../../../shared/protocol/kernel/ids.js';
import type { Content, Message } from '../../../shared/protocol/wire/messages.js';

const hex128 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const count = fc.oneof(fc.nat(300), fc.maxSafeNat());
const stamp = fc.oneof(fc.nat(1e9), fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0));
const duration = fc.nat(10_000);
const bitmap = fc.uint8Array({ maxLength: 20 });

export const epochs: fc.Arbitrary<Epoch> = fc.record({ number: count, claimant: hex128 });
export const rounds: fc.Arbitrary<RoundId> = fc.record({ epoch: epochs, number: count });
export const tips: fc.Arbitrary<Tip> = fc.record({
  epoch: epochs,
  version: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })) as fc.Arbitrary<Version>,
  chain: hex128 as unknown as fc.Arbitrary<ChainId>,
});
const tipOrNull = fc.option(tips);
export const deltas: fc.Arbitrary<Delta> = fc
  .record({ from: tipOrNull, to: tips, bytes: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 250, maxLength: 700 })) })
  .map((fields) => ({ ...fields, digest: digestOf(fields.bytes) }));
const refs = fc.array(fc.record({ round: rounds, from: tipOrNull, to: tips, armed: fc.boolean() }), { maxLength: 4 });
export const names = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/),
  fc.constantFrom('prices', 'ñandú', '日本', 'a b'),
);
export const peers: fc.Arbitrary<Peer> = fc.record({
  node: names as unknown as fc.Arbitrary<NodeId>,
  incarnation: fc.record({ storeId: hex128, start: count }),
});

function contents(from: Tip | null, to: Tip): fc.Arbitrary<Content> {
  const own = deltas.map((delta) => ({ ...delta, from, to }));
  return fc.oneof(
    fc.constant<Content>({ kind: 'version' }),
    fc.oneof(own, deltas).map((state): Content => ({ kind: 'state', state })),
    fc.oneof(own, deltas).map((change): Content => ({ kind: 'change', change })),
    fc.array(deltas, { maxLength: 5 }).map((changes): Content => ({ kind: 'chain', changes: linked(changes) })),
  );
}

/** Half of the steps start where the one before ends. */
function linked(steps: readonly Delta[]): Delta[] {
  return steps.map((step, index) => (index % 2 === 1 ? { ...step, from: steps[index - 1]?.to ?? null } : step));
}

const arming = { round: rounds, to: tips, activateAtMs: count, voters: bitmap, order: count, armed: fc.boolean() };

const text = fc.string({ unit: 'grapheme', maxLength: 60 });

/** Any message of any kind. */
export const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.constantFrom<Message>({ kind: 'survey' }, { kind: 'leave' }),
  fc.record({ kind: fc.constant('report'), role: fc.constantFrom('master', 'slave'), promised: epochs, tip: tipOrNull, prepared: refs, hears: fc.option(peers) }),
  fc.record({ kind: fc.constant('claim'), tip: tipOrNull }),
  fc.record({ kind: fc.constant('promise'), granted: fc.boolean(), promised: epochs, claimantLeads: fc.boolean(), tip: tipOrNull, prepared: refs }),
  fc.record({ kind: fc.constant('join'), tip: tipOrNull, promised: epochs, prepared: refs }),
  fc.record({ kind: fc.constant('welcome'), slot: fc.nat(4095), leaseMs: duration, member: peers.map(({ incarnation }) => incarnation), heartbeat: count }),
  fc.record({ kind: fc.constant('refusal'), reason: fc.constantFrom('name-taken', 'cloned-store', 'group-full', 'forgotten'), text }),
  fc.record({
    kind: fc.constant('status'), sequence: count, tip: tipOrNull, prepared: refs,
    state: fc.constantFrom('current', 'serving', 'catching up', 'diverged', 'failed'),
    echo: fc.option(fc.record({ sequence: count, masterSentMs: stamp, slaveReceivedMs: stamp, slaveSentMs: stamp })),
    windowBytes: count, repairs: count, snapshots: count,
    arming: fc.option(fc.record({ round: rounds, order: count, armed: fc.boolean() })),
    activation: fc.option(fc.record({ round: rounds, exposedAtMs: fc.option(stamp), errorMs: duration })),
  }),
  fc.record({
    kind: fc.constant('heartbeat'), sequence: count, sentMs: stamp, tip: tipOrNull, lowestOpenRound: count,
    openRounds: fc.array(fc.record({ number: count, to: tips, missing: bitmap }), { maxLength: 4 }),
    recentDecisions: fc.array(fc.record({ round: rounds, to: tips, outcome: fc.constantFrom('committed', 'aborted') }), { maxLength: 4 }),
    heal: fc.constantFrom('nobody', 'majority', 'operator'), leaseMs: duration, nextInMs: duration,
    asks: fc.boolean(), acknowledged: fc.array(fc.record({ heartbeat: count, slots: bitmap }), { maxLength: 20 }),
    arming: fc.option(fc.record(arming)),
  }),
  fc.record({ kind: fc.constant('clock-request'), sentMs: stamp }),
  fc.record({
    kind: fc.constant('clock'), member: peers.map(({ incarnation }) => incarnation), requestSentMs: stamp, receivedMs: stamp, sentMs: stamp, era: count,
  }),
  fc.tuple(tipOrNull, tips).chain(([from, to]) => contents(from, to).map((content): Message => ({ kind: 'announce', from, to, content }))),
  fc.tuple(count, tipOrNull, tips, bitmap, count, tipOrNull, fc.option(count)).chain(([round, from, to, voters, lowestOpenRound, other, activateAtMs]) =>
    contents(from, to).map((content): Message => ({ kind: 'prepare', round, from, to, content, voters, lowestOpenRound, committed: round % 2 === 0 ? from : other, activateAtMs })),
  ),
  fc.record({ kind: fc.constant('vote'), round: rounds, to: tips, upToDate: fc.boolean(), canProcess: fc.boolean(), reason: text, exposed: count, refused: fc.array(count, { maxLength: 10 }) }),
  fc.record({ kind: fc.constant('commit'), round: rounds, to: tips, lowestOpenRound: count, acknowledge: fc.boolean() }),
  fc.record({ kind: fc.constant('abort'), round: rounds, to: tips, lowestOpenRound: count }),
  fc.record({ kind: fc.constant('arming'), ...arming }),
  fc.record({ kind: fc.constant('inquiry'), round: rounds, from: tipOrNull, to: tips }),
  fc.record({ kind: fc.constant('resolution'), round: rounds, to: tips, outcome: fc.constantFrom('committed', 'aborted', 'superseded', 'unknown') }),
  fc.record({ kind: fc.constant('delta-request'), request: count, from: tipOrNull, to: tipOrNull, round: fc.option(rounds) }),
  fc.record({ kind: fc.constant('deltas'), request: count, steps: fc.array(deltas, { maxLength: 5 }).map(linked) }),
  fc.record({ kind: fc.constant('too-old'), request: count, from: tipOrNull, onChain: fc.boolean() }),
  fc.record({ kind: fc.constant('bulk-offer'), request: count, mode: fc.constantFrom('deltas', 'snapshot'), from: tipOrNull, to: tips, port: fc.nat(65_535), token: hex128 }),
  fc.record({ kind: fc.constant('snapshot-request'), request: count }),
);
