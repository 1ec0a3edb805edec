import type { Incarnation } from '../kernel/ids.js';
import { unreachable } from '../kernel/invariant.js';
import { bodyOfFields, type Body } from './body.js';
import { FieldReader, idField, withinBound } from './fields.js';
import { maxFragments } from './header.js';
import { unpackFields } from './msgpack.js';
import { wireLimits } from './wire-limits.js';

/*
 *   fragment-request = [sender's store id, sender's start counter, message id, [first index, count, …]]
 *
 * Asks the sender of a fragmented message for the fragments that are missing. It names the sender's incarnation, since
 * message ids begin again with each.
 *
 *   path-probe  = [number]
 *   path-answer = [number of the probe, came by multicast]
 *   path-mark   = []
 *   path-report = [hears multicast]
 *
 * Find out whether what a node says to the group reaches another one. A probe that comes by unicast has its receiver
 * send a mark to the group; an answer goes to whoever probed, by unicast, so that silence of the group and silence of
 * the node are two things. A report tells a node whether its multicast is heard.
 */

/** About the way between two nodes, and of no data set. */
export type PathMessage =
  | { readonly kind: 'path-probe'; readonly number: number }
  | { readonly kind: 'path-answer'; readonly number: number; readonly byGroup: boolean }
  | { readonly kind: 'path-mark' }
  | { readonly kind: 'path-report'; readonly hears: boolean };

/** Stands where frames name their data set; no parser of names refuses it, and no core is asked about it. */
export const pathDataSet = '-';

export interface FragmentRange {
  readonly first: number;
  readonly count: number;
}

export interface FragmentRequest {
  readonly of: Incarnation;
  readonly messageId: number;
  readonly ranges: readonly FragmentRange[];
}

const maxMessageId = 0xffff_ffff;

export function encodeFragmentRequest(request: FragmentRequest): Body {
  withinBound(request.ranges.length, wireLimits.maxFragmentRanges, 'fragment ranges');
  return bodyOfFields([
    idField(request.of.storeId),
    request.of.start,
    request.messageId,
    request.ranges.flatMap((range) => [range.first, range.count]),
  ]);
}

export function decodeFragmentRequest(bytes: Uint8Array): FragmentRequest | null {
  const fields = unpackFields(bytes);
  if (fields === null) return null;
  const reader = new FieldReader(fields);
  return reader.finish({
    of: { storeId: reader.id(), start: reader.count() },
    messageId: reader.count(maxMessageId),
    ranges: reader.list({ most: wireLimits.maxFragmentRanges, width: 2 }, (range) => ({
      first: range.count(maxFragments),
      count: range.count(maxFragments),
    })),
  });
}

const maxProbeNumber = 0xffff_ffff;

export function encodePath(message: PathMessage): Body {
  switch (message.kind) {
    case 'path-probe':
      return bodyOfFields([message.number]);
    case 'path-answer':
      return bodyOfFields([message.number, message.byGroup]);
    case 'path-mark':
      return bodyOfFields([]);
    case 'path-report':
      return bodyOfFields([message.hears]);
    default:
      return unreachable(message);
  }
}

export function decodePath(kind: PathMessage['kind'], bytes: Uint8Array): PathMessage | null {
  const fields = unpackFields(bytes);
  if (fields === null) return null;
  const reader = new FieldReader(fields);
  switch (kind) {
    case 'path-probe':
      return reader.finish({ kind, number: reader.count(maxProbeNumber) });
    case 'path-answer':
      return reader.finish({ kind, number: reader.count(maxProbeNumber), byGroup: reader.boolean() });
    case 'path-mark':
      return reader.finish({ kind });
    case 'path-report':
      return reader.finish({ kind, hears: reader.boolean() });
    default:
      return unreachable(kind);
  }
}
