import type { Epoch, Peer } from '../../shared/protocol/kernel/ids.js';
import type { GroupKeys } from '../../shared/protocol/secure/keys.js';
import { PassiveOpener } from '../../shared/protocol/secure/passive-opener.js';
import { isSignedFor, verifyBody, verifyEd25519 } from '../../shared/protocol/secure/signatures.js';
import { decodeBody } from '../../shared/protocol/wire/codec.js';
import {
  decodeFrames,
  splitSignature,
  type FragmentFrame,
  type Frame,
  type PathFrame,
  type SignedBody,
} from '../../shared/protocol/wire/datagram.js';
import { magic, readFields, readHeader, readKeyId } from '../../shared/protocol/wire/header.js';
import type { Message } from '../../shared/protocol/wire/messages.js';
import type { RejectReason } from '../../shared/protocol/wire/reject.js';
import type { FragmentRequest } from '../../shared/protocol/wire/transport.js';
import { Reassembly } from './reassembly.js';

/** What a datagram turned out to be. */
export type Decoded =
  | { readonly kind: 'foreign' }
  | { readonly kind: 'refused'; readonly reason: RejectReason }
  /** The capture kept its beginning only. */
  | { readonly kind: 'cut'; readonly missingBytes: number }
  /** Known by its header alone, since the key isn't given. */
  | { readonly kind: 'encrypted'; readonly sender: Peer; readonly sequence: number; readonly keyId: number }
  | {
      readonly kind: 'messages';
      readonly sender: Peer;
      readonly sequence: number;
      readonly keyId: number;
      readonly parts: readonly DecodedPart[];
    };

/** One frame of a datagram. */
export type DecodedPart =
  | {
      readonly kind: 'message';
      readonly dataSet: string;
      readonly epoch: Epoch;
      readonly message: Message;
      readonly signature: Signature;
    }
  /** `whole` comes with the fragment that completes the message; 'bad-body' when the pieces make none. */
  | {
      readonly kind: 'fragment';
      readonly fragment: FragmentFrame;
      readonly whole: { readonly message: Message; readonly signature: Signature } | 'bad-body' | null;
    }
  | { readonly kind: 'fragment-request'; readonly request: FragmentRequest }
  | PathFrame;

/** `none`: it needs none. `missing`: a master would have signed it. */
export type Signature = 'valid' | 'invalid' | 'missing' | 'none';

/** Decodes datagrams as a bystander, with the keys of a group or without. Bounded, and never throws. */
export class CaptureDecoder {
  readonly #keys: GroupKeys | null;
  readonly #opener: PassiveOpener | null;
  readonly #reassembly = new Reassembly();

  constructor(keys: GroupKeys | null) {
    this.#keys = keys;
    this.#opener = keys === null ? null : new PassiveOpener(keys);
  }

  /** Messages of which fragments were missing so far. */
  get incomplete(): number {
    return this.#reassembly.incomplete;
  }

  /** `missingBytes`: what the capture left out of it. */
  decode(datagram: Buffer, missingBytes = 0): Decoded {
    if (datagram.length < 4 || datagram.readUInt32BE(0) !== magic) return { kind: 'foreign' };
    if (missingBytes > 0) return { kind: 'cut', missingBytes };
    const keyId = readKeyId(datagram);
    if (typeof keyId === 'string') return refused(keyId);
    if (keyId === 0) {
      const header = readHeader(datagram);
      return typeof header === 'string'
        ? refused(header)
        : this.#frames(decodeFrames(datagram, header), { keyId, origin: null });
    }
    if (this.#opener === null) {
      const header = readFields(datagram, keyId);
      if (typeof header === 'string') return refused(header);
      return { kind: 'encrypted', sender: header.sender, sequence: header.sequence, keyId };
    }
    const opened = this.#opener.open(datagram);
    if (typeof opened === 'string') return refused(opened);
    return this.#frames(decodeFrames(opened.bytes, opened.header), { keyId, origin: opened.origin });
  }

  #frames(
    decoded: ReturnType<typeof decodeFrames>,
    { keyId, origin }: { readonly keyId: number; readonly origin: Uint8Array | null },
  ): Decoded {
    if (!decoded.ok) return refused(decoded.reason);
    const { sender, sequence } = decoded;
    return {
      kind: 'messages',
      sender,
      sequence,
      keyId,
      parts: decoded.frames.map((frame) => this.#part(frame, sender, origin)),
    };
  }

  #part(frame: Frame, sender: Peer, origin: Uint8Array | null): DecodedPart {
    if (frame.kind === 'fragment-request' || frame.kind === 'path') return frame;
    if (frame.kind === 'fragment') {
      const body = this.#reassembly.take(sender.incarnation, frame);
      return { kind: 'fragment', fragment: frame, whole: body === null ? null : this.#whole(frame, body, origin) };
    }
    const { dataSet, epoch, message, signed } = frame;
    return {
      kind: 'message',
      dataSet,
      epoch,
      message,
      signature: this.#signature({ dataSet, epoch, message, signed, origin }),
    };
  }

  #whole(
    { messageKind, isSigned: hasSignature, dataSet, epoch }: FragmentFrame,
    body: Uint8Array,
    origin: Uint8Array | null,
  ): Extract<DecodedPart, { kind: 'fragment' }>['whole'] {
    const signed = hasSignature ? splitSignature(body) : null;
    if (hasSignature && signed === null) return 'bad-body';
    const message = decodeBody(messageKind, signed?.body ?? body);
    if (message === null) return 'bad-body';
    return { message, signature: this.#signature({ dataSet, epoch, message, signed, origin }) };
  }

  #signature(came: {
    readonly dataSet: string;
    readonly epoch: Epoch;
    readonly message: Message;
    readonly signed: SignedBody | null;
    readonly origin: Uint8Array | null;
  }): Signature {
    const { signed, origin, message } = came;
    if (origin === null || this.#keys === null) return 'none';
    // What a master takes with a signature alone is what only masters say.
    if (signed === null) return isSignedFor(message, 'master') ? 'missing' : 'none';
    const isValid = verifyBody({ ...came, signed, origin, keys: this.#keys, verifySignature: verifyEd25519 });
    return isValid ? 'valid' : 'invalid';
  }
}

function refused(reason: RejectReason): Decoded {
  return { kind: 'refused', reason };
}
