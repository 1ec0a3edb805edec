import type { Body } from './body.js';
import { decodeDelta, encodeDelta } from './delta.js';
import { FieldReader } from './fields.js';
import type { DeltaMessage, Message, MessageKind, ReplicationMessage, SessionMessage } from './messages.js';
import { unpackFields } from './msgpack.js';
import { decodeReplication, encodeReplication } from './replication.js';
import { decodeSession, encodeSession } from './session.js';

type FamilyKinds<Family extends Message> = { readonly [Kind in Family['kind']]: true };

const replicationKinds: FamilyKinds<ReplicationMessage> = {
  announce: true,
  prepare: true,
  vote: true,
  commit: true,
  abort: true,
  inquiry: true,
  resolution: true,
  arming: true,
};
const deltaKinds: FamilyKinds<DeltaMessage> = {
  'delta-request': true,
  deltas: true,
  'too-old': true,
  'bulk-offer': true,
  'snapshot-request': true,
};

/** Pure: the same message gives the same bytes. A message out of its bounds is our own bug (`InvariantError`). */
export function encodeBody(message: Message): Body {
  if (isReplication(message)) return encodeReplication(message);
  if (isDelta(message)) return encodeDelta(message);
  return encodeSession(message);
}

/**
 * Null when the bytes aren't a body of this kind; never throws. Byte arrays in the message are views of `bytes`, which
 * from then on belong to the message.
 */
export function decodeBody(kind: MessageKind, bytes: Uint8Array): Message | null {
  const fields = unpackFields(bytes);
  if (fields === null) return null;
  const reader = new FieldReader(fields);
  if (isReplicationKind(kind)) return decodeReplication(kind, reader);
  if (isDeltaKind(kind)) return decodeDelta(kind, reader);
  return decodeSession(kind, reader);
}

export function isSession(message: Message): message is SessionMessage {
  return !isReplicationKind(message.kind) && !isDeltaKind(message.kind);
}

function isReplication(message: Message): message is ReplicationMessage {
  return isReplicationKind(message.kind);
}

function isDelta(message: Message): message is DeltaMessage {
  return isDeltaKind(message.kind);
}

function isReplicationKind(kind: MessageKind): kind is ReplicationMessage['kind'] {
  return kind in replicationKinds;
}

function isDeltaKind(kind: MessageKind): kind is DeltaMessage['kind'] {
  return kind in deltaKinds;
}
