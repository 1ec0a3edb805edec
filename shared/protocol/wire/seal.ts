import type { Epoch, Peer } from '../kernel/ids.js';
import type { Body } from './body.js';
import { asBuffer } from './fields.js';
import { headerTemplate, readHeader, sealDatagram, type DatagramHeader, type FrameContext } from './header.js';
import type { Message } from './messages.js';
import type { RejectReason } from './reject.js';

/** A key id (2 bytes) and an Ed25519 signature. */
export const signatureBytes = 66;

/** A datagram that is what its sender sent. */
export interface OpenedDatagram {
  readonly header: DatagramHeader;
  /** Frames, in the clear, from `header.framesAt` on. */
  readonly bytes: Buffer;
  /** Of an earlier process than one that was heard: of this only what shows a cloned store is worth a look. */
  readonly isOlder: boolean;
  /** Names the sender's process in what it signs; nothing without keys. */
  readonly origin: Uint8Array;
}

/** A message together with what a signature covers around it. */
export interface SignedContext {
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly message: Message;
  /** As it came: the body and its signature, null when it has none. */
  readonly signed: { readonly body: Uint8Array; readonly signature: Uint8Array } | null;
  /** From the datagram that it came in, or that completed it. */
  readonly origin: Uint8Array;
}

/**
 * What makes datagrams trustworthy, pure and synchronous: a checksum against accidents, or keys against people. One for
 * each process; what it remembers of senders is bounded.
 */
export interface PacketSeal {
  /** How every datagram of this process begins, complete but for what `seal` writes. */
  readonly header: Buffer;
  /** Completes a datagram that begins with `header` and holds its frames: in place. The sequence is never used twice. */
  seal(datagram: Buffer, sequence: number): void;
  /** Never throws, and writes nothing to the bytes. A refused datagram has changed nothing. */
  open(bytes: Uint8Array): OpenedDatagram | RejectReason;
  /** The body with its signature when this message needs one here, the same body when it needs none; null: not to be sent. */
  sign(message: Message, context: FrameContext, body: Body): { readonly body: Body; readonly isSigned: boolean } | null;
  /** Null when the message may be acted upon. */
  whyUnsigned(context: SignedContext): RejectReason | null;
}

const nobody = new Uint8Array(0);

/** Notices accidents, and no more: a CRC-32. */
export class ChecksumSeal implements PacketSeal {
  readonly header: Buffer;

  constructor(self: Peer) {
    this.header = headerTemplate(self);
  }

  seal(datagram: Buffer, sequence: number): void {
    sealDatagram(datagram, sequence);
  }

  open(bytes: Uint8Array): OpenedDatagram | RejectReason {
    const datagram = asBuffer(bytes);
    const header = readHeader(datagram);
    return typeof header === 'string' ? header : { header, bytes: datagram, isOlder: false, origin: nobody };
  }

  sign(_message: Message, _context: FrameContext, body: Body): { readonly body: Body; readonly isSigned: boolean } {
    return { body, isSigned: false };
  }

  whyUnsigned(): null {
    return null;
  }
}
