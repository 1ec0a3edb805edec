import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Capture files made by hand, for whatever reads them: of any link, in any byte order, with the golden vectors in them. */

const vectorFolder = join(import.meta.dirname, '../integration/vectors');

export interface Vector {
  readonly name: string;
  readonly datagrams: readonly Buffer[];
}

/** Those of a folder, `v1` or `keyed-v1`, by name. */
export function goldenVectors(folder: 'v1' | 'keyed-v1'): readonly Vector[] {
  return readdirSync(join(vectorFolder, folder))
    .filter((name) => name.endsWith('.hex'))
    .sort()
    .map((name) => ({
      name: name.slice(0, -'.hex'.length),
      datagrams: readFileSync(join(vectorFolder, folder, name), 'utf8')
        .split('\n\n')
        .map((text) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')),
    }));
}

export const keyFiles = {
  master: join(vectorFolder, 'keyed-v1/master.key'),
  slave: join(vectorFolder, 'keyed-v1/slave.key'),
} as const;

const fromPort = 40_123;
const toPort = 7401;

/** UDP over IPv4, from 10.0.0.1:40123 to 239.255.42.1:7401. */
export function ipv4Packet(payload: Uint8Array): Buffer {
  const header = Buffer.from('450000000000400001110000' + '0a000001' + 'efff2a01', 'hex');
  header.writeUInt16BE(28 + payload.length, 2);
  header.writeUInt16BE(checksumOf(header), 10);
  return Buffer.concat([header, udpPacket(payload)]);
}

/** UDP over IPv6, from fd00::1 to ff15::42, behind an empty header of hop-by-hop options. */
export function ipv6Packet(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(16 + payload.length, 4);
  header.writeUInt8(0, 6);
  header.writeUInt8(1, 7);
  Buffer.from('fd000000000000000000000000000001ff150000000000000000000000000042', 'hex').copy(header, 8);
  return Buffer.concat([header, Buffer.from('1100010400000000', 'hex'), udpPacket(payload)]);
}

function udpPacket(payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(fromPort, 0);
  header.writeUInt16BE(toPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

function checksumOf(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface Link {
  readonly name: string;
  readonly type: number;
  readonly wrap: (payload: Uint8Array) => Buffer;
}

const addresses = '01005e7f2a01020000000001';

/** Every link that the tools read, over IPv4 and IPv6. */
export const links: readonly Link[] = [
  { name: 'Ethernet', type: 1, wrap: (payload) => join2(`${addresses}0800`, ipv4Packet(payload)) },
  { name: 'Ethernet with IPv6', type: 1, wrap: (payload) => join2(`${addresses}86dd`, ipv6Packet(payload)) },
  { name: 'Ethernet with a VLAN', type: 1, wrap: (payload) => join2(`${addresses}8100002a0800`, ipv4Packet(payload)) },
  { name: 'BSD loopback, little-endian', type: 0, wrap: (payload) => join2('02000000', ipv4Packet(payload)) },
  { name: 'BSD loopback with IPv6', type: 0, wrap: (payload) => join2('1e000000', ipv6Packet(payload)) },
  { name: 'OpenBSD loopback', type: 108, wrap: (payload) => join2('00000002', ipv4Packet(payload)) },
  {
    name: 'Linux cooked',
    type: 113,
    wrap: (payload) => join2('0000030400060000000000000000' + '0800', ipv4Packet(payload)),
  },
  {
    name: 'Linux cooked v2',
    type: 276,
    wrap: (payload) => join2('0800000000000001030400060000000000000000', ipv4Packet(payload)),
  },
  { name: 'raw IPv4', type: 101, wrap: ipv4Packet },
  { name: 'raw IPv6', type: 101, wrap: ipv6Packet },
];

function join2(head: string, rest: Buffer): Buffer {
  return Buffer.concat([Buffer.from(head, 'hex'), rest]);
}

export interface FileOptions {
  readonly linkType?: number;
  readonly littleEndian?: boolean;
  readonly nanoseconds?: boolean;
}

/** 2026-11-21T12:00:00Z. Each packet comes a millisecond after the one before it. */
export const firstSecond = 1_795_262_400;

/** The classic format. */
export function pcapFile(packets: readonly Buffer[], options: FileOptions = {}): Buffer {
  const { linkType = 1, littleEndian = true, nanoseconds = false } = options;
  const u32 = wordsIn(littleEndian);
  const header = [u32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4), half(2, 4, littleEndian), u32(0, 0, 262_144, linkType)];
  const body = packets.flatMap((packet, index) => [
    u32(firstSecond, (nanoseconds ? 1_000_000 : 1000) * index, packet.length, packet.length),
    packet,
  ]);
  return Buffer.concat([...header, ...body]);
}

/** The newer one, in blocks. */
export function pcapngFile(packets: readonly Buffer[], options: FileOptions = {}): Buffer {
  const { linkType = 1, littleEndian = true, nanoseconds = false } = options;
  const u32 = wordsIn(littleEndian);
  const block = (type: number, body: Buffer): Buffer => {
    const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
    const length = u32(12 + padded.length);
    return Buffer.concat([u32(type), length, padded, length]);
  };
  // Option 9: the resolution, a power of ten.
  const resolution = Buffer.concat([half(9, 1, littleEndian), Buffer.from([9, 0, 0, 0]), u32(0)]);
  const section = Buffer.concat([u32(0x1a2b3c4d), half(1, 0, littleEndian), u32(0xffffffff, 0xffffffff)]);
  const device = Buffer.concat([half(linkType, 0, littleEndian), u32(0), nanoseconds ? resolution : Buffer.alloc(0)]);
  const perSecond = nanoseconds ? 1_000_000_000n : 1_000_000n;
  const enhanced = packets.map((packet, index) => {
    const ticks = BigInt(firstSecond) * perSecond + (BigInt(index) * perSecond) / 1000n;
    const head = u32(0, Number(ticks >> 32n), Number(ticks & 0xffffffffn), packet.length, packet.length);
    return block(6, Buffer.concat([head, packet]));
  });
  // An unknown block in the middle, as Wireshark writes several.
  return Buffer.concat([block(0x0a0d0d0a, section), block(1, device), block(4, u32(0)), ...enhanced]);
}

function wordsIn(littleEndian: boolean): (...values: readonly number[]) => Buffer {
  return (...values) => {
    const bytes = Buffer.alloc(4 * values.length);
    for (const [index, value] of values.entries())
      if (littleEndian) bytes.writeUInt32LE(value, 4 * index);
      else bytes.writeUInt32BE(value, 4 * index);
    return bytes;
  };
}

function half(first: number, second: number, littleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(4);
  if (littleEndian) {
    bytes.writeUInt16LE(first, 0);
    bytes.writeUInt16LE(second, 2);
  } else {
    bytes.writeUInt16BE(first, 0);
    bytes.writeUInt16BE(second, 2);
  }
  return bytes;
}
