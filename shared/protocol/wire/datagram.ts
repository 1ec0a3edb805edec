import type { Epoch, Peer } from '../kernel/ids.js';
import { decodeBody } from './codec.js';
import { asBuffer } from './fields.js';
import { readFrameHeader, readHeader, type DatagramHeader, type FrameHeader } from './header.js';
import type { Message, MessageKind } from './messages.js';
import { kindOfOrdinal, pathKindOfOrdinal, transportOrdinals } from './registry.js';
import type { RejectReason } from './reject.js';
import { signatureBytes } from './seal.js';
import { decodeFragmentRequest, decodePath, type FragmentRequest, type PathMessage } from './transport.js';
import { wireLimits } from './wire-limits.js';

/** A message that came whole. */
export interface MessageFrame {
  readonly kind: 'message';
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly message: Message;
  /** Null when its sender didn't sign it. */
  readonly signed: SignedBody | null;
}

/** A body that ends in a signature; the message holds views of it. */
export interface SignedBody {
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
}

/** A piece of a message that didn't fit in one datagram. */
export interface FragmentFrame {
  readonly kind: 'fragment';
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly messageKind: MessageKind;
  readonly isSigned: boolean;
  readonly messageId: number;
  readonly index: number;
  readonly count: number;
  readonly totalBytes: number;
  /** Where in the body the bytes belong. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface FragmentRequestFrame {
  readonly kind: 'fragment-request';
  readonly request: FragmentRequest;
}

/** Of the endpoints among themselves: how they hear each other. */
export interface PathFrame {
  readonly kind: 'path';
  readonly message: PathMessage;
}

export type Frame = MessageFrame | FragmentFrame | FragmentRequestFrame | PathFrame;

export type DecodedDatagram =
  | { readonly ok: true; readonly sender: Peer; readonly sequence: number; readonly frames: readonly Frame[] }
  | { readonly ok: false; readonly reason: RejectReason };

/**
 * Parses what a peer sent. Never throws, whatever the bytes; a datagram is taken whole or not at all. The frames hold
 * views of `bytes`, which the receiver owns: nobody may write to them afterwards.
 */
export function decodeDatagram(bytes: Uint8Array): DecodedDatagram {
  const datagram = asBuffer(bytes);
  const header = readHeader(datagram);
  if (typeof header === 'string') return { ok: false, reason: header };
  return decodeFrames(datagram, header);
}

/** Parses the frames of a datagram whose header is known, and which is known to be what was sent. */
export function decodeFrames(datagram: Buffer, header: DatagramHeader): DecodedDatagram {
  const frames: Frame[] = [];
  let offset = header.framesAt;
  while (offset < datagram.length) {
    const frameHeader = readFrameHeader(datagram, offset);
    if (typeof frameHeader === 'string') return { ok: false, reason: frameHeader };
    // Only keys make signatures.
    if (frameHeader.isSigned && header.keyId === 0) return { ok: false, reason: 'bad-frame' };
    const frame = decodeFrame(datagram, frameHeader);
    if (typeof frame === 'string') return { ok: false, reason: frame };
    frames.push(frame);
    offset = frameHeader.bodyAt + frameHeader.bodyBytes;
  }
  return { ok: true, sender: header.sender, sequence: header.sequence, frames };
}

function decodeFrame(datagram: Buffer, header: FrameHeader): Frame | RejectReason {
  const whole = header.fragmentCount === 1;
  const body = datagram.subarray(header.bodyAt, header.bodyAt + header.bodyBytes);
  if (whole && (header.fragmentIndex !== 0 || header.totalBytes !== header.bodyBytes)) return 'bad-frame';
  if (header.ordinal === transportOrdinals['fragment-request']) {
    if (!whole) return 'bad-frame';
    const request = decodeFragmentRequest(body);
    return request === null ? 'bad-body' : { kind: 'fragment-request', request };
  }
  const messageKind = kindOfOrdinal(header.ordinal);
  if (messageKind === undefined) return decodePathFrame(header, body);
  if (!whole) return decodeFragment(header, messageKind, body);
  const { dataSet, epoch } = header;
  const signed = header.isSigned ? splitSignature(body) : null;
  if (header.isSigned && signed === null) return 'bad-body';
  const message = decodeBody(messageKind, signed?.body ?? body);
  if (message === null) return 'bad-body';
  return { kind: 'message', dataSet, epoch, message, signed };
}

function decodePathFrame(header: FrameHeader, body: Uint8Array): PathFrame | RejectReason {
  const kind = pathKindOfOrdinal(header.ordinal);
  if (kind === undefined) return 'unknown-kind';
  if (header.fragmentCount !== 1) return 'bad-frame';
  const message = decodePath(kind, body);
  return message === null ? 'bad-body' : { kind: 'path', message };
}

/** Null when there is no room for a signature. */
export function splitSignature(bytes: Uint8Array): SignedBody | null {
  const end = bytes.length - signatureBytes;
  return end < 0 ? null : { body: bytes.subarray(0, end), signature: bytes.subarray(end) };
}

function decodeFragment(
  header: FrameHeader,
  messageKind: MessageKind,
  bytes: Uint8Array,
): FragmentFrame | RejectReason {
  const { fragmentIndex: index, fragmentCount: count, totalBytes } = header;
  if (count === 0 || index >= count || totalBytes > wireLimits.maxMessageBytes) return 'bad-frame';
  const size = fragmentBytes(totalBytes, count);
  if (size === 0 || Math.ceil(totalBytes / size) !== count) return 'bad-frame';
  const offset = index * size;
  if (bytes.length !== Math.min(size, totalBytes - offset)) return 'bad-frame';
  const { dataSet, epoch, messageId, isSigned } = header;
  return {
    kind: 'fragment',
    dataSet,
    epoch,
    messageKind,
    isSigned,
    messageId,
    index,
    count,
    totalBytes,
    offset,
    bytes,
  };
}

/** All fragments of a message are this long, but the last, which takes the rest: so each one knows its place. */
export function fragmentBytes(totalBytes: number, count: number): number {
  return Math.ceil(totalBytes / count);
}

/** How many fragments a body makes when one carries at most `capacity` bytes: few, of one length, none empty. */
export function fragmentCount(totalBytes: number, capacity: number): number {
  const atLeast = Math.ceil(totalBytes / capacity);
  return Math.ceil(totalBytes / Math.ceil(totalBytes / atLeast));
}
