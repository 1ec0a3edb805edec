import type { ByteSource } from './byte-source.js';
import { captureTime, maxCapturedBytes, type CaptureItem } from './captured.js';

/*
 * The classic format: a header of 24 bytes, then for each packet 16 bytes and what was captured of it.
 *
 *   at  bytes  file                        at  bytes  packet
 *    0   4     magic                        0   4     seconds
 *    4   4     version                      4   4     micro- or nanoseconds
 *   16   4     snapshot length              8   4     captured length
 *   20   4     link type (low 16 bits)     12   4     length on the wire
 *
 * All in the byte order of the machine that wrote it, which the magic shows.
 */

export interface PcapFormat {
  readonly littleEndian: boolean;
  readonly nanosecondsPerTick: 1 | 1000;
}

/** Null when the first four bytes of a file aren't those of this format. */
export function pcapFormat(magic: Buffer): PcapFormat | null {
  switch (magic.readUInt32BE(0)) {
    case 0xa1b2c3d4:
      return { littleEndian: false, nanosecondsPerTick: 1000 };
    case 0xd4c3b2a1:
      return { littleEndian: true, nanosecondsPerTick: 1000 };
    case 0xa1b23c4d:
      return { littleEndian: false, nanosecondsPerTick: 1 };
    case 0x4d3cb2a1:
      return { littleEndian: true, nanosecondsPerTick: 1 };
    default:
      return null;
  }
}

const restOfHeaderBytes = 20;
const packetHeaderBytes = 16;

/** The packets behind the magic, which is read already. */
export async function* pcapItems(source: ByteSource, format: PcapFormat): AsyncGenerator<CaptureItem> {
  const { littleEndian, nanosecondsPerTick } = format;
  const number = (bytes: Buffer, at: number): number =>
    littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  const header = await source.take(restOfHeaderBytes);
  if (header === null) {
    yield { kind: 'cut', text: 'it ends within its own header' };
    return;
  }
  const linkType = number(header, 16) & 0xffff;
  for (let count = 0; ; count += 1) {
    const head = await source.take(packetHeaderBytes);
    if (head === null) {
      if (source.left > 0) yield { kind: 'cut', text: `it ends within the header of packet ${count + 1}` };
      return;
    }
    const length = number(head, 8);
    if (length > maxCapturedBytes) {
      yield { kind: 'cut', text: `packet ${count + 1} claims to have ${length} bytes, so the file is damaged there` };
      return;
    }
    const time = captureTime(number(head, 0), number(head, 4) * nanosecondsPerTick);
    const wireBytes = number(head, 12);
    const bytes = await source.take(length);
    if (bytes === null) {
      yield { kind: 'cut', text: `it ends within packet ${count + 1}: ${source.left} of ${length} bytes are there` };
      return;
    }
    yield { kind: 'packet', time, linkType, bytes, wireBytes };
  }
}
