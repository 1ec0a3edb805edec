import { unreachable } from '../kernel/invariant.js';
import { sameTip, type Tip } from '../kernel/ids.js';
import { bodyOfFields, bodyOfParts, type Body } from './body.js';
import {
  deltaField,
  isSmall,
  pushDelta,
  pushDeltas,
  roundField,
  same,
  textField,
  tipField,
  withinBound,
  withoutLast,
  wordField,
  type FieldReader,
} from './fields.js';
import { armingFields, readArming } from './arming.js';
import type { Announce, Content, Prepare, ReplicationMessage } from './messages.js';
import { packFields } from './msgpack.js';
import { contentKinds, resolutionOutcomes } from './registry.js';
import { wireLimits } from './wire-limits.js';

/*
 *   announce   = [from tip | nil, to tip, content kind, content]
 *   prepare    = [round number, from tip | nil, to tip, bits of voters, lowest open round, committed, activate at ms | nil,
 *                 content kind, content]
 *     committed = 0 (the same as from) | tip | nil
 *     content  = nil (version) | delta (state, change) | [delta, …] (chain)
 *   vote       = [round, to tip, up to date, can process, reason, exposed version | 0, [refused position, …]]
 *   commit     = [round, to tip, lowest open round, acknowledge at once]
 *   abort      = [round, to tip, lowest open round]
 *   inquiry    = [round, from tip | nil, to tip]
 *   resolution = [round, to tip, outcome]
 *   arming     = [round, to tip, activate at ms, bits of voters, order, armed]
 *
 * In a state's or change's delta, 0 in place of a tip means the message's own. In a chain, 0 in place of a step's
 * `from` means the `to` of the step before. The content stands last, so that its bytes need no copy of their own.
 */

export function encodeReplication(message: ReplicationMessage): Body {
  switch (message.kind) {
    case 'announce':
      return withContent([tipField(message.from), tipField(message.to)], message);
    case 'prepare':
      withinBound(message.voters.length, wireLimits.maxBitmapBytes, 'bytes of voters');
      return withContent(
        [
          message.round,
          tipField(message.from),
          tipField(message.to),
          message.voters,
          message.lowestOpenRound,
          sameTip(message.committed, message.from) ? same : tipField(message.committed),
          message.activateAtMs,
        ],
        message,
      );
    case 'vote':
      return bodyOfFields([
        roundField(message.round),
        tipField(message.to),
        message.upToDate,
        message.canProcess,
        textField(message.reason),
        message.exposed,
        message.refused.slice(0, wireLimits.maxRefused),
      ]);
    case 'commit':
      return bodyOfFields([
        roundField(message.round),
        tipField(message.to),
        message.lowestOpenRound,
        message.acknowledge,
      ]);
    case 'abort':
      return bodyOfFields([roundField(message.round), tipField(message.to), message.lowestOpenRound]);
    case 'inquiry':
      return bodyOfFields([roundField(message.round), tipField(message.from), tipField(message.to)]);
    case 'resolution':
      return bodyOfFields([
        roundField(message.round),
        tipField(message.to),
        wordField(resolutionOutcomes, message.outcome),
      ]);
    case 'arming':
      return bodyOfFields(armingFields(message));
    default:
      return unreachable(message);
  }
}

function withContent(fields: unknown[], message: Announce | Prepare): Body {
  const { content, from, to } = message;
  fields.push(wordField(contentKinds, content.kind));
  if (content.kind === 'change' && isSmall(content.change)) {
    fields.push(deltaField(content.change, { from, to }));
    return bodyOfFields(fields);
  }
  fields.push(null);
  if (content.kind === 'version') return bodyOfFields(fields);
  const parts = [withoutLast(packFields(fields))];
  if (content.kind === 'state') pushDelta(parts, content.state, { from, to });
  else if (content.kind === 'change') pushDelta(parts, content.change, { from, to });
  else {
    withinBound(content.changes.length, wireLimits.maxChainSteps, 'chain steps');
    pushDeltas(parts, content.changes);
  }
  return bodyOfParts(parts);
}

/** Null when a field isn't what the kind prescribes. */
export function decodeReplication(kind: ReplicationMessage['kind'], fields: FieldReader): ReplicationMessage | null {
  switch (kind) {
    case 'announce': {
      const from = fields.tipOrNull();
      const to = fields.tip();
      return fields.finish({ kind, from, to, content: readContent(fields, { from, to }) });
    }
    case 'prepare': {
      const round = fields.count();
      const from = fields.tipOrNull();
      const to = fields.tip();
      const voters = fields.bitmap();
      const lowestOpenRound = fields.count();
      const committed = fields.tipOrSame(from);
      const activateAtMs = fields.takeNull() ? null : fields.count();
      const content = readContent(fields, { from, to });
      return fields.finish({ kind, round, from, to, content, voters, lowestOpenRound, committed, activateAtMs });
    }
    case 'vote':
      return fields.finish({
        kind,
        round: fields.round(),
        to: fields.tip(),
        upToDate: fields.boolean(),
        canProcess: fields.boolean(),
        reason: fields.text(),
        exposed: fields.count(),
        refused: fields.list({ most: wireLimits.maxRefused, width: 1 }, (position) => position.count()),
      });
    case 'commit':
      return fields.finish({
        kind,
        round: fields.round(),
        to: fields.tip(),
        lowestOpenRound: fields.count(),
        acknowledge: fields.boolean(),
      });
    case 'abort':
      return fields.finish({ kind, round: fields.round(), to: fields.tip(), lowestOpenRound: fields.count() });
    case 'inquiry':
      return fields.finish({ kind, round: fields.round(), from: fields.tipOrNull(), to: fields.tip() });
    case 'resolution':
      return fields.finish({ kind, round: fields.round(), to: fields.tip(), outcome: fields.word(resolutionOutcomes) });
    case 'arming':
      return fields.finish({ kind, ...readArming(fields) });
    default:
      return unreachable(kind);
  }
}

function readContent(fields: FieldReader, tips: { from: Tip | null; to: Tip }): Content {
  const kind = fields.word(contentKinds);
  switch (kind) {
    case 'version':
      fields.nothing();
      return { kind };
    case 'state':
      return { kind, state: fields.delta(tips) };
    case 'change':
      return { kind, change: fields.delta(tips) };
    case 'chain':
      return { kind, changes: fields.deltas(wireLimits.maxChainSteps) };
    default:
      return unreachable(kind);
  }
}
