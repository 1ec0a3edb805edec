import { isUtf8 } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { parseDataSetId, parseNodeId, type Epoch, type Peer } from '../kernel/ids.js';
import { invariant } from '../kernel/invariant.js';
import { readId, readSafe, writeId, writeSafe } from './fields.js';
import type { RejectReason } from './reject.js';

/*
 * A datagram: one header, then one or more frames up to its end. Numbers are big-endian.
 *
 *   at  bytes  header                        at  bytes  frame
 *    0   4     magic "LKST"                   0   1     kind
 *    4   1     wire version                   1   1     flags (1: signed)
 *    5   1     flags (0)                      2   4     message id
 *    6   2     key id (0: unkeyed)            6   2     fragment index
 *    8  16     sender's store id              8   2     fragment count
 *   24   8     sender's start counter        10   4     total body length
 *   32   8     packet sequence               14   4     body length in this frame
 *   40  16     tag                           18   8     epoch number
 *   56   1     name length                   26  16     epoch claimant
 *   57   n     sender's name, UTF-8          42   1     data set's name length
 *   57+n 16    keyed: the process's mark     43   m     data set's name, UTF-8
 *                                                       body; signed: its last bytes are the signature
 *
 * With key id 0 the tag holds a CRC-32 of all but the tag itself and 12 zero bytes, and there is no mark. With
 * another key id the frames are ciphertext of AES-256-GCM, the header (tag zeroed) is the additional data, and the tag is
 * GCM's: `shared/protocol/secure`.
 */

export const magic = 0x4c4b5354;
export const wireVersion = 1;

/** Where the fields of the header stand. */
export const headerAt = {
  magic: 0,
  version: 4,
  flags: 5,
  keyId: 6,
  storeId: 8,
  start: 24,
  sequence: 32,
  tag: 40,
  nameLength: 56,
  name: 57,
} as const;
export const tagBytes = 16;
/** Of a keyed datagram: when its process started (wall clock, u64), and 8 random bytes. */
export const markBytes = 16;

const frameAt = {
  kind: 0,
  flags: 1,
  messageId: 2,
  fragmentIndex: 6,
  fragmentCount: 8,
  totalBytes: 10,
  bodyBytes: 14,
  epochNumber: 18,
  claimant: 26,
  nameLength: 42,
  name: 43,
} as const;

export const maxFragments = 65_535;

/** The header of every datagram of one sender, complete but for sequence and tag. */
export function headerTemplate(sender: Peer): Buffer {
  const name = Buffer.from(sender.node, 'utf8');
  invariant(name.length >= 1 && name.length <= 255, `the node name "${sender.node}" doesn't fit the header`);
  const header = Buffer.alloc(headerAt.name + name.length);
  header.writeUInt32BE(magic, headerAt.magic);
  header.writeUInt8(wireVersion, headerAt.version);
  writeId(header, sender.incarnation.storeId, headerAt.storeId);
  writeSafe(header, sender.incarnation.start, headerAt.start);
  header.writeUInt8(name.length, headerAt.nameLength);
  name.copy(header, headerAt.name);
  return header;
}

/** Completes a datagram that begins with the template and holds its frames: sequence, then the checksum over it all. */
export function sealDatagram(datagram: Buffer, sequence: number): void {
  writeSafe(datagram, sequence, headerAt.sequence);
  for (let index = headerAt.tag + 4; index < headerAt.tag + tagBytes; index += 1) datagram[index] = 0;
  datagram.writeUInt32BE(checksumOf(datagram), headerAt.tag);
}

/** Of what stands before the tag and behind it. */
function checksumOf(datagram: Buffer): number {
  return crc32(datagram.subarray(headerAt.tag + tagBytes), crc32(datagram.subarray(0, headerAt.tag)));
}

/**
 * True when the datagram claims to be of the process whose template this is: for a look at one's own datagrams looped
 * back, before anything is parsed.
 */
export function isFromSender(datagram: Uint8Array, template: Buffer): boolean {
  if (datagram.length < template.length) return false;
  // Others' store ids differ in the first bytes: a loop is over sooner than a call of the library's begins.
  for (let index = headerAt.storeId; index < headerAt.sequence; index += 1)
    if (datagram[index] !== template[index]) return false;
  for (let index = headerAt.nameLength; index < template.length; index += 1)
    if (datagram[index] !== template[index]) return false;
  return true;
}

export interface DatagramHeader {
  readonly sender: Peer;
  readonly sequence: number;
  readonly keyId: number;
  /** Where the frames begin. */
  readonly framesAt: number;
}

/** The header of an unkeyed datagram, whose checksum must be right. */
export function readHeader(datagram: Buffer): DatagramHeader | RejectReason {
  const keyId = readKeyId(datagram);
  if (typeof keyId === 'string') return keyId;
  if (keyId !== 0) return 'unknown-key';
  if (!hasChecksum(datagram)) return 'bad-checksum';
  return readFields(datagram, 0);
}

/** The key id, when this is a datagram of this protocol and version at all. */
export function readKeyId(datagram: Buffer): number | RejectReason {
  if (datagram.length < headerAt.name)
    return datagram.length >= 4 && datagram.readUInt32BE(0) !== magic ? 'bad-magic' : 'truncated';
  if (datagram.readUInt32BE(headerAt.magic) !== magic) return 'bad-magic';
  if (datagram[headerAt.version] !== wireVersion) return 'other-version';
  return datagram.readUInt16BE(headerAt.keyId);
}

/** The fields of a header that is known to be what was sent. */
export function readFields(datagram: Buffer, keyId: number): DatagramHeader | RejectReason {
  const nameEnd = headerAt.name + (datagram[headerAt.nameLength] ?? 0);
  const framesAt = nameEnd + (keyId === 0 ? 0 : markBytes);
  if (datagram.length <= framesAt) return 'truncated';
  const node = readName(datagram, headerAt.name, nameEnd, parseNodeId);
  const start = readSafe(datagram, headerAt.start);
  const sequence = readSafe(datagram, headerAt.sequence);
  if (node === null || datagram[headerAt.flags] !== 0 || start < 0 || sequence < 0) return 'bad-header';
  const storeId = readId(datagram, headerAt.storeId);
  return { sender: { node, incarnation: { storeId, start } }, sequence, keyId, framesAt };
}

function hasChecksum(datagram: Buffer): boolean {
  for (let index = headerAt.tag + 4; index < headerAt.tag + tagBytes; index += 1)
    if (datagram[index] !== 0) return false;
  return checksumOf(datagram) === datagram.readUInt32BE(headerAt.tag);
}

/** What a signature covers of a frame's header: epoch and data set, as they stand in it. */
export function signedPartOf(context: FrameContext): Uint8Array {
  return context.template.subarray(frameAt.epochNumber);
}

/** The part of a frame's header that all fragments of one message, and often many messages, have in common. */
export interface FrameContext {
  /** A whole frame header with zeros for what differs. */
  readonly template: Buffer;
}

export function frameContext(dataSet: string, epoch: Epoch): FrameContext {
  const name = Buffer.from(dataSet, 'utf8');
  invariant(name.length >= 1 && name.length <= 255, `the data set name "${dataSet}" doesn't fit the frame`);
  const template = Buffer.alloc(frameAt.name + name.length);
  writeSafe(template, epoch.number, frameAt.epochNumber);
  writeId(template, epoch.claimant, frameAt.claimant);
  template.writeUInt8(name.length, frameAt.nameLength);
  name.copy(template, frameAt.name);
  return { template };
}

/** Flag of a frame: the last bytes of its message's body are the signature of a master. */
const signedFlag = 1;

export interface FrameNumbers {
  readonly ordinal: number;
  readonly isSigned: boolean;
  readonly messageId: number;
  readonly fragmentIndex: number;
  readonly fragmentCount: number;
  readonly totalBytes: number;
  readonly bodyBytes: number;
}

/** Writes the frame's header and returns where its body goes. */
export function writeFrameHeader(datagram: Buffer, offset: number, context: FrameContext, frame: FrameNumbers): number {
  datagram.set(context.template, offset);
  datagram[offset] = frame.ordinal;
  if (frame.isSigned) datagram[offset + frameAt.flags] = signedFlag;
  datagram.writeUInt32BE(frame.messageId, offset + frameAt.messageId);
  datagram.writeUInt16BE(frame.fragmentIndex, offset + frameAt.fragmentIndex);
  datagram.writeUInt16BE(frame.fragmentCount, offset + frameAt.fragmentCount);
  datagram.writeUInt32BE(frame.totalBytes, offset + frameAt.totalBytes);
  datagram.writeUInt32BE(frame.bodyBytes, offset + frameAt.bodyBytes);
  return offset + context.template.length;
}

export interface FrameHeader extends FrameNumbers {
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly bodyAt: number;
}

export function readFrameHeader(datagram: Buffer, offset: number): FrameHeader | RejectReason {
  if (datagram.length < offset + frameAt.name) return 'truncated';
  const nameAt = offset + frameAt.name;
  const bodyAt = nameAt + (datagram[offset + frameAt.nameLength] ?? 0);
  const bodyBytes = datagram.readUInt32BE(offset + frameAt.bodyBytes);
  if (bodyAt + bodyBytes > datagram.length) return 'truncated';
  const dataSet = readName(datagram, nameAt, bodyAt, parseDataSetId);
  const number = readSafe(datagram, offset + frameAt.epochNumber);
  const flags = datagram[offset + frameAt.flags] ?? 0;
  if (dataSet === null || number < 0 || (flags & ~signedFlag) !== 0) return 'bad-frame';
  return {
    ordinal: datagram[offset] ?? 0,
    isSigned: flags === signedFlag,
    messageId: datagram.readUInt32BE(offset + frameAt.messageId),
    fragmentIndex: datagram.readUInt16BE(offset + frameAt.fragmentIndex),
    fragmentCount: datagram.readUInt16BE(offset + frameAt.fragmentCount),
    totalBytes: datagram.readUInt32BE(offset + frameAt.totalBytes),
    bodyBytes,
    dataSet,
    epoch: { number, claimant: readId(datagram, offset + frameAt.claimant) },
    bodyAt,
  };
}

/** A name in valid UTF-8 that its parser takes, or null. The plain ASCII names that people use need no parser. */
function readName<Name extends string>(
  source: Buffer,
  from: number,
  to: number,
  parse: (text: string) => Name | null,
): Name | null {
  if (to - from > 0 && to - from <= 64 && isPrintableAscii(source, from, to))
    return source.toString('latin1', from, to) as Name;
  const bytes = source.subarray(from, to);
  return isUtf8(bytes) ? parse(bytes.toString('utf8')) : null;
}

const slash = 0x2f;

function isPrintableAscii(source: Buffer, from: number, to: number): boolean {
  for (let index = from; index < to; index += 1) {
    const byte = source[index] ?? 0;
    if (byte < 0x20 || byte > 0x7e || byte === slash) return false;
  }
  return true;
}
