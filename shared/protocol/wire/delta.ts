import { unreachable } from '../kernel/invariant.js';
import { bodyOfFields, bodyOfParts, type Body } from './body.js';
import {
  idField,
  pushDeltas,
  roundField,
  tipField,
  withinBound,
  withoutLast,
  wordField,
  type FieldReader,
} from './fields.js';
import type { DeltaMessage } from './messages.js';
import { packFields } from './msgpack.js';
import { bulkModes } from './registry.js';
import { wireLimits } from './wire-limits.js';

/*
 *   delta-request    = [request, from tip | nil, to tip | nil, round | nil]
 *   deltas           = [request, [delta, …]]
 *   too-old          = [request, from tip | nil, on chain]
 *   bulk-offer       = [request, mode, from tip | nil, to tip, port, token (id)]
 *   snapshot-request = [request]
 */

const maxPort = 65_535;

export function encodeDelta(message: DeltaMessage): Body {
  switch (message.kind) {
    case 'delta-request':
      return bodyOfFields([
        message.request,
        tipField(message.from),
        tipField(message.to),
        message.round === null ? null : roundField(message.round),
      ]);
    case 'deltas': {
      withinBound(message.steps.length, wireLimits.maxDeltaSteps, 'delta steps');
      const parts = [withoutLast(packFields([message.request, null]))];
      pushDeltas(parts, message.steps);
      return bodyOfParts(parts);
    }
    case 'too-old':
      return bodyOfFields([message.request, tipField(message.from), message.onChain]);
    case 'bulk-offer':
      return bodyOfFields([
        message.request,
        wordField(bulkModes, message.mode),
        tipField(message.from),
        tipField(message.to),
        message.port,
        idField(message.token),
      ]);
    case 'snapshot-request':
      return bodyOfFields([message.request]);
    default:
      return unreachable(message);
  }
}

/** Null when a field isn't what the kind prescribes. */
export function decodeDelta(kind: DeltaMessage['kind'], fields: FieldReader): DeltaMessage | null {
  switch (kind) {
    case 'delta-request':
      return fields.finish({
        kind,
        request: fields.count(),
        from: fields.tipOrNull(),
        to: fields.tipOrNull(),
        round: fields.roundOrNull(),
      });
    case 'deltas':
      return fields.finish({ kind, request: fields.count(), steps: fields.deltas(wireLimits.maxDeltaSteps) });
    case 'too-old':
      return fields.finish({ kind, request: fields.count(), from: fields.tipOrNull(), onChain: fields.boolean() });
    case 'bulk-offer':
      return fields.finish({
        kind,
        request: fields.count(),
        mode: fields.word(bulkModes),
        from: fields.tipOrNull(),
        to: fields.tip(),
        port: fields.count(maxPort),
        token: fields.id(),
      });
    case 'snapshot-request':
      return fields.finish({ kind, request: fields.count() });
    default:
      return unreachable(kind);
  }
}
