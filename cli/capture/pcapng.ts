import type { ByteSource } from './byte-source.js';
import { captureTime, maxCapturedBytes, type CapturedPacket, type CaptureItem, type CaptureTime } from './captured.js';

/*
 * The newer format: blocks, each with its type, its length, a body, and the length again. Lengths are multiples of 4.
 *
 *   section header      0a0d0d0a   byte order, then everything of the section before is forgotten
 *   interface           00000001   link type u16, reserved u16, snapshot length u32, options
 *   enhanced packet     00000006   interface u32, time u64 (high, low), captured u32, on the wire u32, bytes
 *   simple packet       00000003   on the wire u32, bytes
 *
 * Other blocks (names, statistics, keys) are passed over.
 */

export const sectionHeader = 0x0a0d0d0a;
const interfaceBlock = 1;
const simplePacket = 3;
const enhancedPacket = 6;
const orderMagic = 0x1a2b3c4d;
const blockFrameBytes = 12;
const optionEnd = 0;
const optionResolution = 9;
const optionOffset = 14;
/** A section may name any number of interfaces; a capture of more than this is damage. */
const maxInterfaces = 4096;

interface CaptureInterface {
  readonly linkType: number;
  /** 0: all of each packet. */
  readonly snapshotBytes: number;
  readonly ticksPerSecond: bigint;
  readonly offsetSeconds: bigint;
}

/** The packets of all sections. The type of the first block is read already. */
export async function* pcapngItems(source: ByteSource): AsyncGenerator<CaptureItem> {
  let section: Section | null = null;
  let type: number | null = sectionHeader;
  for (let count = 1; type !== null; count += 1) {
    const block = await readBlock(source, type, section, count);
    if ('kind' in block) {
      yield block;
      return;
    }
    section = block.section;
    const item = section.take(type, block.body, count);
    if (item !== null) yield item;
    if (item?.kind === 'cut') return;
    const next = await source.take(4);
    if (next === null && source.left > 0) yield { kind: 'cut', text: `it ends within block ${count + 1}` };
    type = next === null ? null : section.number(next, 0);
  }
}

type Block = { readonly section: Section; readonly body: Buffer };

async function readBlock(
  source: ByteSource,
  type: number,
  open: Section | null,
  count: number,
): Promise<Block | Extract<CaptureItem, { kind: 'cut' }>> {
  const ends = { kind: 'cut', text: `it ends within block ${count}` } as const;
  let section = open;
  let lengthBytes = await source.take(4);
  if (lengthBytes === null) return ends;
  let readAlready = 8;
  if (type === sectionHeader || section === null) {
    const magic = await source.take(4);
    if (magic === null) return ends;
    readAlready += 4;
    if (magic.readUInt32BE(0) === orderMagic) section = new Section(false);
    else if (magic.readUInt32LE(0) === orderMagic) section = new Section(true);
    else
      return {
        kind: 'cut',
        text: `block ${count} begins a section without a byte order, so the file is damaged there`,
      };
    lengthBytes = Buffer.from(lengthBytes);
  }
  const length = section.number(lengthBytes, 0);
  if (length % 4 !== 0 || length < readAlready + 4 || length < blockFrameBytes || length > maxCapturedBytes)
    return { kind: 'cut', text: `block ${count} claims to have ${length} bytes, so the file is damaged there` };
  const rest = await source.take(length - readAlready);
  return rest === null ? ends : { section, body: rest.subarray(0, rest.length - 4) };
}

/** What a section says about its byte order and its interfaces. */
class Section {
  readonly #littleEndian: boolean;
  readonly #interfaces: CaptureInterface[] = [];

  constructor(littleEndian: boolean) {
    this.#littleEndian = littleEndian;
  }

  number(bytes: Buffer, at: number): number {
    return this.#littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  }

  /** Null for a block that holds no packet. */
  take(type: number, body: Buffer, count: number): CaptureItem | null {
    switch (type) {
      case interfaceBlock:
        return this.#interface(body, count);
      case enhancedPacket:
        return this.#enhanced(body, count);
      case simplePacket:
        return this.#simple(body, count);
      default:
        return null;
    }
  }

  #interface(body: Buffer, count: number): CaptureItem | null {
    if (body.length < 8 || this.#interfaces.length >= maxInterfaces) return damaged(count);
    const options = this.#timeOptions(body.subarray(8));
    this.#interfaces.push({ linkType: this.#short(body, 0), snapshotBytes: this.number(body, 4), ...options });
    return null;
  }

  #timeOptions(options: Buffer): Pick<CaptureInterface, 'ticksPerSecond' | 'offsetSeconds'> {
    let ticksPerSecond = 1_000_000n;
    let offsetSeconds = 0n;
    for (let at = 0; at + 4 <= options.length;) {
      const code = this.#short(options, at);
      const length = this.#short(options, at + 2);
      const value = options.subarray(at + 4, at + 4 + length);
      if (code === optionEnd) break;
      if (code === optionResolution && value.length >= 1) ticksPerSecond = ticksOf(value[0] ?? 0);
      if (code === optionOffset && value.length >= 8)
        offsetSeconds = this.#littleEndian ? value.readBigInt64LE(0) : value.readBigInt64BE(0);
      at += 4 + Math.ceil(length / 4) * 4;
    }
    return { ticksPerSecond, offsetSeconds };
  }

  #enhanced(body: Buffer, count: number): CaptureItem {
    const from = body.length < 20 ? undefined : this.#interfaces[this.number(body, 0)];
    if (from === undefined) return damaged(count);
    const length = this.number(body, 12);
    if (20 + length > body.length) return damaged(count);
    const ticks = (BigInt(this.number(body, 4)) << 32n) | BigInt(this.number(body, 8));
    return packetOf(from, timeOf(from, ticks), body.subarray(20, 20 + length), this.number(body, 16));
  }

  #simple(body: Buffer, count: number): CaptureItem {
    const [from] = this.#interfaces;
    if (from === undefined || body.length < 4) return damaged(count);
    const wireBytes = this.number(body, 0);
    const kept = from.snapshotBytes === 0 ? wireBytes : Math.min(wireBytes, from.snapshotBytes);
    if (4 + kept > body.length) return damaged(count);
    return packetOf(from, null, body.subarray(4, 4 + kept), wireBytes);
  }

  #short(bytes: Buffer, at: number): number {
    return this.#littleEndian ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
  }
}

function packetOf(
  { linkType }: CaptureInterface,
  time: CaptureTime | null,
  bytes: Buffer,
  wireBytes: number,
): CapturedPacket {
  return { kind: 'packet', time, linkType, bytes, wireBytes };
}

/** A power of 10, or of 2 when the highest bit is set. */
function ticksOf(resolution: number): bigint {
  return resolution >= 0x80 ? 2n ** BigInt(resolution - 0x80) : 10n ** BigInt(resolution);
}

function timeOf({ ticksPerSecond, offsetSeconds }: CaptureInterface, ticks: bigint): CaptureTime | null {
  const seconds = ticks / ticksPerSecond + offsetSeconds;
  const nanoseconds = ((ticks % ticksPerSecond) * 1_000_000_000n) / ticksPerSecond;
  return captureTime(Number(seconds), Number(nanoseconds));
}

function damaged(count: number): CaptureItem {
  return { kind: 'cut', text: `block ${count} contradicts itself, so the file is damaged there` };
}
