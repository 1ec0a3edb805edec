import { sign, verify, type KeyObject } from 'node:crypto';
import type { Delta } from '../kernel/ids.js';
import { unreachable } from '../kernel/invariant.js';
import { bodyOfParts, type Body } from '../wire/body.js';
import { isSmall } from '../wire/fields.js';
import { frameContext, signedPartOf, type FrameContext } from '../wire/header.js';
import type { Message, MessageKind } from '../wire/messages.js';
import { messageOrdinals } from '../wire/registry.js';
import { signatureBytes, type SignedContext } from '../wire/seal.js';
import type { GroupKey, GroupKeys, KeyRole } from './keys.js';

/*
 * A signed body is a body and, as its last 66 bytes, the id of the key (u16) and an Ed25519 signature over
 *
 *   "lockstep message" and a zero byte
 *   the sender's process: store id 16, start counter u64, mark 16 (as in the datagram's header)
 *   the kind, one byte
 *   epoch and data set, as they stand in the frame's header from its byte 18 on
 *   the body without the bytes of each delta that has 256 or more
 *
 * A delta's digest stands in the body, and whoever takes a delta compares it: so a large change is hashed once.
 */

const domain = Buffer.from('lockstep message\0', 'latin1');

/**
 * Whose word counts: a master's alone; that of each side, to the other; or anyone's, since it binds nobody but the one who
 * says it.
 */
type Speaker = 'master' | 'each' | 'anyone';

const speakers: Readonly<Record<MessageKind, Speaker>> = {
  survey: 'anyone',
  report: 'each',
  claim: 'master',
  promise: 'anyone',
  join: 'anyone',
  welcome: 'master',
  refusal: 'master',
  leave: 'each',
  status: 'anyone',
  heartbeat: 'master',
  'clock-request': 'anyone',
  clock: 'master',
  announce: 'master',
  prepare: 'master',
  vote: 'anyone',
  commit: 'master',
  abort: 'master',
  arming: 'master',
  inquiry: 'anyone',
  resolution: 'each',
  'delta-request': 'anyone',
  // A slave serves them to a master that adopts its copy.
  deltas: 'each',
  'too-old': 'each',
  'bulk-offer': 'each',
  'snapshot-request': 'anyone',
};

/** What a master signs when it says it. */
export function isSigned(message: Message): boolean {
  return speakers[message.kind] !== 'anyone';
}

/** What a node of this role takes with a master's signature alone. */
export function isSignedFor(message: Message, receiver: KeyRole): boolean {
  const speaker = speakers[message.kind];
  if (message.kind === 'report') return message.role === 'master';
  return speaker === 'master' || (speaker === 'each' && (receiver === 'slave' || isForMastersAlone(message)));
}

/** What a slave has no reason to say where masters sign: nobody would believe it. */
export function isForMastersAlone(message: Message): boolean {
  return message.kind === 'resolution';
}

interface Signing {
  readonly message: Message;
  readonly context: FrameContext;
  readonly body: Body;
  readonly process: Uint8Array;
  readonly key: GroupKey;
}

export function signBody({ message, context, body, process, key }: Signing): Body {
  const { masterPrivate } = key;
  if (masterPrivate === null) return body;
  const large = new Set<Uint8Array>(largeDeltasOf(message).map(({ bytes }) => bytes));
  const parts = body.parts.filter((part) => !large.has(part));
  const signed = Buffer.concat([...coverOf(message, context, process), ...parts]);
  const signature = Buffer.alloc(signatureBytes);
  signature.writeUInt16BE(key.id);
  signature.set(sign(null, signed, masterPrivate), 2);
  return bodyOfParts([...body.parts, signature]);
}

/** True when the owner of the key signed these bytes. */
export type VerifySignature = (signed: Uint8Array, key: KeyObject, signature: Uint8Array) => boolean;

export function verifyEd25519(signed: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  return verify(null, signed, key, signature);
}

export function verifyBody(
  came: SignedContext & {
    readonly signed: NonNullable<SignedContext['signed']>;
    readonly keys: GroupKeys;
    readonly verifySignature: VerifySignature;
  },
): boolean {
  const { message, dataSet, epoch, origin, keys, verifySignature } = came;
  const { body, signature } = came.signed;
  const key = keys.byId.get(((signature[0] ?? 0) << 8) | (signature[1] ?? 0));
  if (key === undefined) return false;
  const parts = [...coverOf(message, frameContext(dataSet, epoch), origin)];
  let from = 0;
  // The message holds views of the body, in their order.
  for (const { bytes } of largeDeltasOf(message)) {
    const at = bytes.byteOffset - body.byteOffset;
    parts.push(body.subarray(from, at));
    from = at + bytes.length;
  }
  parts.push(body.subarray(from));
  return verifySignature(Buffer.concat(parts), key.masterPublic, signature.subarray(2));
}

function coverOf(message: Message, context: FrameContext, process: Uint8Array): Uint8Array[] {
  return [domain, process, Uint8Array.of(messageOrdinals[message.kind]), signedPartOf(context)];
}

function largeDeltasOf(message: Message): readonly Delta[] {
  return deltasOf(message).filter((delta) => !isSmall(delta));
}

function deltasOf(message: Message): readonly Delta[] {
  if (message.kind === 'deltas') return message.steps;
  if (message.kind !== 'announce' && message.kind !== 'prepare') return [];
  const { content } = message;
  switch (content.kind) {
    case 'version':
      return [];
    case 'state':
      return [content.state];
    case 'change':
      return [content.change];
    case 'chain':
      return content.changes;
    default:
      return unreachable(content);
  }
}
