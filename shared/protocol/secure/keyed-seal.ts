import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { Peer } from '../kernel/ids.js';
import { invariant } from '../kernel/invariant.js';
import type { Body } from '../wire/body.js';
import { asBuffer, readSafe, writeSafe } from '../wire/fields.js';
import {
  headerAt,
  headerTemplate,
  markBytes,
  readFields,
  readKeyId,
  tagBytes,
  type FrameContext,
} from '../wire/header.js';
import type { Message } from '../wire/messages.js';
import type { RejectReason } from '../wire/reject.js';
import type { OpenedDatagram, PacketSeal, SignedContext } from '../wire/seal.js';
import { processKey, type GroupKey, type GroupKeys } from './keys.js';
import { ReplayWindow } from './replay-window.js';
import { Senders, type SenderProcess } from './senders.js';
import {
  isForMastersAlone,
  isSigned,
  isSignedFor,
  signBody,
  verifyBody,
  verifyEd25519,
  type VerifySignature,
} from './signatures.js';

const cipherName = 'aes-256-gcm';
const nonceBytes = 12;
/** The longest header: a name of 255 bytes, which no reader takes, and the mark. */
const maxHeaderBytes = headerAt.name + 255 + markBytes;

export interface KeyedSealOptions {
  readonly self: Peer;
  readonly keys: GroupKeys;
  /** The wall clock when this process started. */
  readonly startedMs: number;
  /** 16 hexadecimal digits, drawn at random for this process. */
  readonly salt: string;
  /** Default: Ed25519 by OpenSSL. The simulator remembers the answers, since hundreds of its nodes ask the same. */
  readonly verifySignature?: VerifySignature;
}

/**
 * AES-256-GCM for each datagram, with a key of its sending process and the packet's sequence as the nonce; a replay window
 * for each process heard; Ed25519 for what only masters may say. `docs/protocol.md` has the bytes.
 *
 * The order on receiving is what it is all about: nothing is learnt from a datagram, and no window moves, before it is
 * authenticated.
 */
export class KeyedSeal implements PacketSeal {
  readonly header: Buffer;
  #keys: GroupKeys;
  /** The part of the header that names this process: store id, start counter, mark. */
  readonly #process: Buffer;
  readonly #verifySignature: VerifySignature;
  #ownKey: KeyObject;
  readonly #senders = new Senders();
  readonly #nonce = Buffer.alloc(nonceBytes);
  readonly #scratch = Buffer.alloc(maxHeaderBytes);
  #lastSequence = 0;

  constructor(options: KeyedSealOptions) {
    const { self, keys, startedMs, salt, verifySignature = verifyEd25519 } = options;
    invariant(/^[0-9a-f]{16}$/.test(salt), 'the salt of a process is 16 hexadecimal digits');
    const mark = Buffer.alloc(markBytes);
    writeSafe(mark, Math.max(0, Math.floor(startedMs)), 0);
    mark.write(salt, 8, 'hex');
    this.header = Buffer.concat([headerTemplate(self), mark]);
    this.#process = processOf(this.header, this.header.length);
    this.#verifySignature = verifySignature;
    this.#keys = keys;
    this.#ownKey = processKey(keys.current, this.#process);
  }

  /** Datagrams on their way under a key that is gone are refused; what was heard so far stays known. */
  replaceKeys(keys: GroupKeys): void {
    this.#keys = keys;
    this.#ownKey = processKey(keys.current, this.#process);
    this.#senders.dropKeys();
  }

  seal(datagram: Buffer, sequence: number): void {
    invariant(sequence > this.#lastSequence, 'a sequence is used once: it is the nonce');
    this.#lastSequence = sequence;
    const framesAt = this.header.length;
    datagram.writeUInt16BE(this.#keys.current.id, headerAt.keyId);
    writeSafe(datagram, sequence, headerAt.sequence);
    datagram.fill(0, headerAt.tag, headerAt.tag + tagBytes);
    const cipher = createCipheriv(cipherName, this.#ownKey, this.#nonceOf(datagram));
    cipher.setAAD(datagram.subarray(0, framesAt));
    datagram.set(cipher.update(datagram.subarray(framesAt)), framesAt);
    cipher.final();
    datagram.set(cipher.getAuthTag(), headerAt.tag);
  }

  open(bytes: Uint8Array): OpenedDatagram | RejectReason {
    const datagram = asBuffer(bytes);
    const keyId = readKeyId(datagram);
    if (typeof keyId === 'string') return keyId;
    if (keyId === 0) return 'unkeyed';
    const key = this.#keys.byId.get(keyId);
    if (key === undefined) return 'unknown-key';
    const framesAt = headerAt.name + (datagram[headerAt.nameLength] ?? 0) + markBytes;
    if (datagram.length <= framesAt) return 'truncated';
    const sequence = readSafe(datagram, headerAt.sequence);
    if (sequence < 0) return 'bad-header';
    const storeKey = storeKeyOf(datagram, framesAt);
    const known = this.#senders.find(storeKey, (process) => isOfProcess(datagram, framesAt, process));
    // Looked at before it is decrypted, moved only after it: a flood of recordings costs little, and a forgery nothing.
    if (known?.window.isFresh(sequence) === false) return 'replayed';
    const sender = known ?? this.#newSender(datagram, framesAt);
    const frames = this.#decrypt(datagram, framesAt, keyOf(sender, key));
    if (frames === null) return 'unauthenticated';
    const header = readFields(datagram, keyId);
    if (typeof header === 'string') return header;
    if (known === null) this.#senders.add(storeKey, sender);
    sender.window.take(sequence);
    return {
      header: { ...header, framesAt: 0 },
      bytes: frames,
      isOlder: this.#senders.isOlder(storeKey, sender),
      origin: sender.process,
    };
  }

  sign(
    message: Message,
    context: FrameContext,
    body: Body,
  ): { readonly body: Body; readonly isSigned: boolean } | null {
    const { role, current } = this.#keys;
    if (role === 'slave') return isForMastersAlone(message) ? null : { body, isSigned: false };
    if (!isSigned(message)) return { body, isSigned: false };
    return { body: signBody({ message, context, body, process: this.#process, key: current }), isSigned: true };
  }

  whyUnsigned(context: SignedContext): RejectReason | null {
    if (!isSignedFor(context.message, this.#keys.role)) return null;
    if (context.signed === null) return 'unsigned';
    const { signed } = context;
    const isValid = verifyBody({ ...context, signed, keys: this.#keys, verifySignature: this.#verifySignature });
    return isValid ? null : 'bad-signature';
  }

  /** How many nodes it remembers, for the tests of its bounds. */
  get remembered(): number {
    return this.#senders.size;
  }

  /** Made for a look; kept only when what it sent proves to be its. */
  #newSender(datagram: Buffer, framesAt: number): SenderProcess {
    const process = processOf(datagram, framesAt);
    return {
      process,
      start: readSafe(datagram, headerAt.start),
      startedMs: readSafe(datagram, framesAt - markBytes),
      window: new ReplayWindow(),
      keys: new Map(),
    };
  }

  #decrypt(datagram: Buffer, framesAt: number, key: KeyObject): Buffer | null {
    const header = this.#scratch.subarray(0, framesAt);
    datagram.copy(header, 0, 0, framesAt);
    header.fill(0, headerAt.tag, headerAt.tag + tagBytes);
    const decipher = createDecipheriv(cipherName, key, this.#nonceOf(datagram), { authTagLength: tagBytes });
    decipher.setAAD(header);
    decipher.setAuthTag(datagram.subarray(headerAt.tag, headerAt.tag + tagBytes));
    const frames = decipher.update(datagram.subarray(framesAt));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return frames;
  }

  /** Four zero bytes and the packet's sequence. */
  #nonceOf(datagram: Buffer): Buffer {
    datagram.copy(this.#nonce, 4, headerAt.sequence, headerAt.sequence + 8);
    return this.#nonce;
  }
}

/** A subkey costs as much as two datagrams, so it is kept. A sender that isn't known yet is forgotten with its own. */
function keyOf(sender: SenderProcess, key: GroupKey): KeyObject {
  const kept = sender.keys.get(key.id);
  if (kept !== undefined) return kept;
  const made = processKey(key, sender.process);
  sender.keys.set(key.id, made);
  return made;
}

function processOf(datagram: Buffer, framesAt: number): Buffer {
  const identity = datagram.subarray(headerAt.storeId, headerAt.sequence);
  return Buffer.concat([identity, datagram.subarray(framesAt - markBytes, framesAt)]);
}

function isOfProcess(datagram: Buffer, framesAt: number, process: Buffer): boolean {
  const identityBytes = headerAt.sequence - headerAt.storeId;
  return (
    process.compare(datagram, framesAt - markBytes, framesAt, identityBytes) === 0 &&
    process.compare(datagram, headerAt.storeId, headerAt.sequence, 0, identityBytes) === 0
  );
}

function storeKeyOf(datagram: Buffer, framesAt: number): string {
  return (
    datagram.toString('latin1', headerAt.storeId, headerAt.start) +
    datagram.toString('latin1', headerAt.name, framesAt - markBytes)
  );
}
