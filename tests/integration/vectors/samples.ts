import { digestOf } from '../../../shared/protocol/kernel/digest.js';
import type { ChainId, Delta, Epoch, NodeId, Peer, RoundId, Tip, Version } from '../../../shared/protocol/kernel/ids.js';
import type { ArmingNote, Message } from '../../../shared/protocol/wire/messages.js';

/** The fixed cast of the vectors. */
export const sender: Peer = { node: 'master' as NodeId, incarnation: { storeId: '00112233445566778899aabbccddeeff', start: 7 } };
export const receiver: Peer = { node: 's1' as NodeId, incarnation: { storeId: 'ffeeddccbbaa99887766554433221100', start: 1 } };
export const dataSet = 'prices';
export const epoch: Epoch = { number: 3, claimant: '0123456789abcdef0123456789abcdef' };

const round: RoundId = { epoch, number: 12 };

export function tip(version: number): Tip {
  return { epoch, version: version as Version, chain: version.toString(16).padStart(32, 'c') as ChainId };
}

export function delta(from: number, to: number, bytes: Uint8Array): Delta {
  return { from: from === 0 ? null : tip(from), to: tip(to), bytes, digest: digestOf(bytes) };
}

const small = Uint8Array.of(1, 2, 3, 4, 5);
const large = Uint8Array.from({ length: 300 }, (_, index) => index & 0xff);
const prepared = [
  { round, from: tip(4), to: tip(5), armed: false },
  { round: { epoch, number: 13 }, from: null, to: tip(6), armed: true },
];

/** For 2026-12-01, 09:00 UTC. */
const arming: ArmingNote = { round, to: tip(6), activateAtMs: 1_796_115_600_000, voters: Uint8Array.of(7), order: 1, armed: true };

/** One or more of each kind, by the name of its vector. A new shape is a new name; none is ever changed. */
export const samples: Readonly<Record<string, Message>> = {
  survey: { kind: 'survey' },
  'report-slave': { kind: 'report', role: 'slave', promised: epoch, tip: tip(5), prepared, hears: sender },
  'report-empty': { kind: 'report', role: 'master', promised: epoch, tip: null, prepared: [], hears: null },
  claim: { kind: 'claim', tip: tip(5) },
  promise: { kind: 'promise', granted: true, promised: epoch, claimantLeads: false, tip: tip(5), prepared },
  join: { kind: 'join', tip: null, promised: epoch, prepared: [] },
  welcome: { kind: 'welcome', slot: 4095, leaseMs: 3000, member: receiver.incarnation, heartbeat: 7 },
  refusal: { kind: 'refusal', reason: 'cloned-store', text: 'the store of this node runs elsewhere, too' },
  leave: { kind: 'leave' },
  status: {
    kind: 'status', sequence: 70_000, tip: tip(5), prepared, state: 'catching up',
    echo: { sequence: 9, masterSentMs: 1234.5, slaveReceivedMs: 77.25, slaveSentMs: 78 }, windowBytes: 425_984, repairs: 3,
    snapshots: 1, arming: { round, order: 2, armed: true }, activation: { round, exposedAtMs: 1_796_115_600_000.25, errorMs: 0.5 },
  },
  'status-first': {
    kind: 'status', sequence: 0, tip: null, prepared: [], state: 'serving', echo: null, windowBytes: 0, repairs: 0, snapshots: 0,
    arming: null, activation: null,
  },
  heartbeat: {
    kind: 'heartbeat', sequence: 9, sentMs: 1234.5, tip: tip(5), lowestOpenRound: 12,
    openRounds: [{ number: 12, to: tip(6), missing: Uint8Array.of(0b101) }],
    recentDecisions: [
      { round: { epoch, number: 10 }, to: tip(4), outcome: 'aborted' },
      { round: { epoch, number: 11 }, to: tip(5), outcome: 'committed' },
    ],
    heal: 'majority', leaseMs: 3000, nextInMs: 375, asks: true,
    acknowledged: [{ heartbeat: 8, slots: Uint8Array.of(0b101) }, { heartbeat: 70_000, slots: Uint8Array.of(0, 0x80) }],
    arming: null,
  },
  'heartbeat-arming': {
    kind: 'heartbeat', sequence: 10, sentMs: 1334.5, tip: tip(5), lowestOpenRound: 13, openRounds: [], recentDecisions: [],
    heal: 'majority', leaseMs: 3000, nextInMs: 375, asks: false, acknowledged: [], arming,
  },
  'clock-request': { kind: 'clock-request', sentMs: 77.25 },
  clock: { kind: 'clock', member: receiver.incarnation, requestSentMs: 77.25, receivedMs: 1_796_119_200_000.5, sentMs: 1_796_119_200_000.75, era: 2 },
  'announce-version': { kind: 'announce', from: tip(5), to: tip(6), content: { kind: 'version' } },
  'announce-state': { kind: 'announce', from: tip(5), to: tip(6), content: { kind: 'state', state: delta(0, 6, small) } },
  'announce-change': { kind: 'announce', from: tip(5), to: tip(6), content: { kind: 'change', change: delta(5, 6, large) } },
  'announce-chain': {
    kind: 'announce', from: tip(5), to: tip(6),
    content: { kind: 'chain', changes: [delta(3, 4, small), delta(4, 5, large), delta(5, 6, small)] },
  },
  'prepare-version': {
    kind: 'prepare', round: 12, from: tip(5), to: tip(6), content: { kind: 'version' }, voters: Uint8Array.of(7), lowestOpenRound: 12, committed: tip(5),
    activateAtMs: null,
  },
  'prepare-change': {
    kind: 'prepare', round: 12, from: tip(5), to: tip(6), content: { kind: 'change', change: delta(5, 6, small) },
    voters: Uint8Array.of(0xff, 1), lowestOpenRound: 11, committed: tip(4), activateAtMs: arming.activateAtMs,
  },
  'prepare-state-first': {
    kind: 'prepare', round: 1, from: null, to: tip(1), content: { kind: 'state', state: delta(0, 1, large) }, voters: new Uint8Array(0),
    lowestOpenRound: 1, committed: null, activateAtMs: null,
  },
  'vote-yes': { kind: 'vote', round, to: tip(6), upToDate: true, canProcess: true, reason: '', exposed: 5, refused: [] },
  'vote-no': { kind: 'vote', round, to: tip(6), upToDate: true, canProcess: false, reason: 'cents müssen positiv sein', exposed: 0, refused: [0, 200, 4000] },
  commit: { kind: 'commit', round, to: tip(6), lowestOpenRound: 13, acknowledge: false },
  abort: { kind: 'abort', round, to: tip(6), lowestOpenRound: 13 },
  arming: { kind: 'arming', ...arming },
  'arming-back': { kind: 'arming', ...arming, order: 2, armed: false },
  inquiry: { kind: 'inquiry', round, from: null, to: tip(6) },
  resolution: { kind: 'resolution', round, to: tip(6), outcome: 'superseded' },
  'delta-request': { kind: 'delta-request', request: 5, from: tip(3), to: null, round: null },
  'delta-request-round': { kind: 'delta-request', request: 6, from: null, to: tip(6), round },
  deltas: { kind: 'deltas', request: 5, steps: [delta(3, 4, small), delta(4, 5, large)] },
  'deltas-none': { kind: 'deltas', request: 5, steps: [] },
  'too-old': { kind: 'too-old', request: 5, from: tip(1), onChain: true },
  'bulk-offer': {
    kind: 'bulk-offer', request: 5, mode: 'snapshot', from: null, to: tip(5), port: 40_123, token: 'a0b1c2d3e4f5061728394a5b6c7d8e9f',
  },
  'snapshot-request': { kind: 'snapshot-request', request: 8 },
};
