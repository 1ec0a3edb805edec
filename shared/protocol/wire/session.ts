import { unreachable } from '../kernel/invariant.js';
import { limits } from '../kernel/limits.js';
import {
  activationField,
  armingFields,
  armingReportField,
  readActivation,
  readArmingOrNull,
  readArmingReport,
} from './arming.js';
import { bodyOfFields, type Body } from './body.js';
import {
  epochField,
  idField,
  peerField,
  refsField,
  roundField,
  textField,
  tipField,
  withinBound,
  wordField,
  type FieldReader,
} from './fields.js';
import type { HeartbeatEcho, SessionMessage } from './messages.js';
import { decisionOutcomes, healPermissions, refusalReasons, roles, slaveStates } from './registry.js';
import { wireLimits } from './wire-limits.js';

/*
 *   survey     = []
 *   report     = [role, promised epoch, tip | nil, refs, hears peer | nil]
 *   claim      = [tip | nil]
 *   promise    = [granted, promised epoch, claimant leads, tip | nil, refs]
 *   join       = [tip | nil, promised epoch, refs]
 *   welcome    = [slot, lease ms, member's store id, its start counter, heartbeat sequence]
 *   refusal    = [reason, text]
 *   leave      = []
 *   status     = [sequence, tip | nil, refs, state, echo | nil, window bytes, repairs, snapshots, report | nil,
 *                 activation | nil]
 *     echo     = [heartbeat sequence, master sent ms, slave received ms, slave sent ms]
 *   heartbeat  = [sequence, sent ms, tip | nil, lowest open round, open rounds, decisions, heal, lease ms, next in ms,
 *                 asks, acknowledged, arming | nil]
 *     open rounds  = [number, tip, bits of missing votes, …]
 *     decisions    = [round, tip, outcome, …]
 *     acknowledged = [heartbeat sequence, bits, …]
 *   clock-request = [sent ms]
 *   clock      = [member's store id, its start counter, request sent ms, received ms, sent ms, era]
 *
 * Reports, activations and armings: `arming.ts`.
 */

export function encodeSession(message: SessionMessage): Body {
  return bodyOfFields(sessionFields(message));
}

function sessionFields(message: SessionMessage): unknown[] {
  switch (message.kind) {
    case 'survey':
    case 'leave':
      return [];
    case 'report':
      return [
        wordField(roles, message.role),
        epochField(message.promised),
        tipField(message.tip),
        refsField(message.prepared),
        peerField(message.hears),
      ];
    case 'claim':
      return [tipField(message.tip)];
    case 'promise':
      return [
        message.granted,
        epochField(message.promised),
        message.claimantLeads,
        tipField(message.tip),
        refsField(message.prepared),
      ];
    case 'join':
      return [tipField(message.tip), epochField(message.promised), refsField(message.prepared)];
    case 'welcome':
      return [message.slot, message.leaseMs, idField(message.member.storeId), message.member.start, message.heartbeat];
    case 'refusal':
      return [wordField(refusalReasons, message.reason), textField(message.text)];
    case 'status':
      return [
        message.sequence,
        tipField(message.tip),
        refsField(message.prepared),
        wordField(slaveStates, message.state),
        echoField(message.echo),
        message.windowBytes,
        message.repairs,
        message.snapshots,
        armingReportField(message.arming),
        activationField(message.activation),
      ];
    case 'heartbeat':
      withinBound(message.openRounds.length, wireLimits.maxOpenRoundNotes, 'open rounds');
      withinBound(message.recentDecisions.length, wireLimits.maxDecisions, 'decisions');
      withinBound(message.acknowledged.length, wireLimits.maxAcknowledgements, 'acknowledgements');
      return [
        message.sequence,
        message.sentMs,
        tipField(message.tip),
        message.lowestOpenRound,
        message.openRounds.flatMap((open) => [open.number, tipField(open.to), open.missing]),
        message.recentDecisions.flatMap((decision) => [
          roundField(decision.round),
          tipField(decision.to),
          wordField(decisionOutcomes, decision.outcome),
        ]),
        wordField(healPermissions, message.heal),
        message.leaseMs,
        message.nextInMs,
        message.asks,
        message.acknowledged.flatMap(({ heartbeat, slots }) => [heartbeat, slots]),
        message.arming === null ? null : armingFields(message.arming),
      ];
    case 'clock-request':
      return [message.sentMs];
    case 'clock':
      return [
        idField(message.member.storeId),
        message.member.start,
        message.requestSentMs,
        message.receivedMs,
        message.sentMs,
        message.era,
      ];
    default:
      return unreachable(message);
  }
}

function echoField(echo: HeartbeatEcho | null): unknown[] | null {
  return echo === null ? null : [echo.sequence, echo.masterSentMs, echo.slaveReceivedMs, echo.slaveSentMs];
}

/** Null when a field isn't what the kind prescribes. */
export function decodeSession(kind: SessionMessage['kind'], fields: FieldReader): SessionMessage | null {
  switch (kind) {
    case 'survey':
      return fields.finish({ kind });
    case 'leave':
      return fields.finish({ kind });
    case 'report':
      return fields.finish({
        kind,
        role: fields.word(roles),
        promised: fields.epoch(),
        tip: fields.tipOrNull(),
        prepared: fields.refs(),
        hears: fields.peerOrNull(),
      });
    case 'claim':
      return fields.finish({ kind, tip: fields.tipOrNull() });
    case 'promise':
      return fields.finish({
        kind,
        granted: fields.boolean(),
        promised: fields.epoch(),
        claimantLeads: fields.boolean(),
        tip: fields.tipOrNull(),
        prepared: fields.refs(),
      });
    case 'join':
      return fields.finish({ kind, tip: fields.tipOrNull(), promised: fields.epoch(), prepared: fields.refs() });
    case 'welcome':
      return fields.finish({
        kind,
        slot: fields.count(limits.maxMembers - 1),
        leaseMs: fields.duration(),
        member: { storeId: fields.id(), start: fields.count() },
        heartbeat: fields.count(),
      });
    case 'refusal':
      return fields.finish({ kind, reason: fields.word(refusalReasons), text: fields.text() });
    case 'status':
      return fields.finish({
        kind,
        sequence: fields.count(),
        tip: fields.tipOrNull(),
        prepared: fields.refs(),
        state: fields.word(slaveStates),
        echo: readEcho(fields),
        windowBytes: fields.count(),
        repairs: fields.count(),
        snapshots: fields.count(),
        arming: readArmingReport(fields),
        activation: readActivation(fields),
      });
    case 'heartbeat':
      return fields.finish({
        kind,
        sequence: fields.count(),
        sentMs: fields.stamp(),
        tip: fields.tipOrNull(),
        lowestOpenRound: fields.count(),
        openRounds: fields.list({ most: wireLimits.maxOpenRoundNotes, width: 3 }, (open) => ({
          number: open.count(),
          to: open.tip(),
          missing: open.bitmap(),
        })),
        recentDecisions: fields.list({ most: wireLimits.maxDecisions, width: 3 }, (decision) => ({
          round: decision.round(),
          to: decision.tip(),
          outcome: decision.word(decisionOutcomes),
        })),
        heal: fields.word(healPermissions),
        leaseMs: fields.duration(),
        nextInMs: fields.duration(),
        asks: fields.boolean(),
        acknowledged: fields.list({ most: wireLimits.maxAcknowledgements, width: 2 }, (entry) => ({
          heartbeat: entry.count(),
          slots: entry.bitmap(),
        })),
        arming: readArmingOrNull(fields),
      });
    case 'clock-request':
      return fields.finish({ kind, sentMs: fields.stamp() });
    case 'clock':
      return fields.finish({
        kind,
        member: { storeId: fields.id(), start: fields.count() },
        requestSentMs: fields.stamp(),
        receivedMs: fields.stamp(),
        sentMs: fields.stamp(),
        era: fields.count(),
      });
    default:
      return unreachable(kind);
  }
}

function readEcho(fields: FieldReader): HeartbeatEcho | null {
  if (fields.takeNull()) return null;
  const [echo] = fields.list({ most: 1, width: 4 }, (reader) => ({
    sequence: reader.count(),
    masterSentMs: reader.stamp(),
    slaveReceivedMs: reader.stamp(),
    slaveSentMs: reader.stamp(),
  }));
  // An empty array is no echo: only nil says that there is none.
  return echo ?? fields.wrong(null);
}
