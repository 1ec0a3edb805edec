import type { Incarnation } from '../kernel/ids.js';
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
 */

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
