import type { CapturedPacket } from './captured.js';

/** A UDP datagram out of a captured packet. */
export interface CapturedDatagram {
  readonly kind: 'datagram';
  /** `10.0.0.1:7401`, `[fd00::1]:7401`. */
  readonly from: string;
  readonly to: string;
  readonly payload: Buffer;
  /** Bytes of the payload that the capture left out. */
  readonly missingBytes: number;
}

/** Why a packet holds no datagram that can be read. */
export type NotADatagram = { readonly kind: 'other'; readonly reason: OtherReason };
export type OtherReason = 'no UDP' | 'fragment of IP' | 'unknown link' | 'cut or damaged';

/** Numbers of the tcpdump registry of link types. */
const linkTypes = {
  null: 0,
  ethernet: 1,
  raw: 101,
  rawOnOpenBsd: 12,
  rawOnBsd: 14,
  openBsdLoopback: 108,
  linuxCooked: 113,
  ipv4: 228,
  ipv6: 229,
  linuxCooked2: 276,
} as const;

const etherTypes = { ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100, serviceVlan: 0x88a8, oldServiceVlan: 0x9100 } as const;
const udpProtocol = 17;
const udpHeaderBytes = 8;
const maxVlanTags = 4;
const maxExtensions = 8;
/** Hop-by-hop options, routing, destination options: they may stand before UDP, and say how long they are. */
const extensionHeaders: ReadonlySet<number> = new Set([0, 43, 60]);
const fragmentHeader = 44;

const cutOrDamaged: NotADatagram = { kind: 'other', reason: 'cut or damaged' };
const noUdp: NotADatagram = { kind: 'other', reason: 'no UDP' };
const ipFragment: NotADatagram = { kind: 'other', reason: 'fragment of IP' };

/** Never throws, whatever the bytes. */
export function datagramOf(packet: CapturedPacket): CapturedDatagram | NotADatagram {
  const { bytes } = packet;
  switch (packet.linkType) {
    case linkTypes.ethernet:
      return ofEtherType(bytes, 12);
    case linkTypes.linuxCooked:
      return ofEtherType(bytes, 14);
    case linkTypes.linuxCooked2:
      // Here the protocol stands first, and the packet behind 20 bytes.
      return bytes.length < 20 ? cutOrDamaged : ofProtocol(bytes.readUInt16BE(0), bytes.subarray(20));
    case linkTypes.null:
    case linkTypes.openBsdLoopback:
      // Four bytes of an address family, whose numbers and order differ by system: the packet itself says more.
      return ofIp(bytes.subarray(4));
    case linkTypes.raw:
    case linkTypes.rawOnBsd:
    case linkTypes.rawOnOpenBsd:
    case linkTypes.ipv4:
    case linkTypes.ipv6:
      return ofIp(bytes);
    default:
      return { kind: 'other', reason: 'unknown link' };
  }
}

/** A header of Ethernet or of Linux' cooked kind: its ether type at `at`, perhaps with VLAN tags in between. */
function ofEtherType(bytes: Buffer, at: number): CapturedDatagram | NotADatagram {
  let position = at;
  for (let tags = 0; tags <= maxVlanTags; tags += 1) {
    if (bytes.length < position + 2) return cutOrDamaged;
    const type = bytes.readUInt16BE(position);
    const isTag = type === etherTypes.vlan || type === etherTypes.serviceVlan || type === etherTypes.oldServiceVlan;
    if (!isTag) return ofProtocol(type, bytes.subarray(position + 2));
    position += 4;
  }
  return cutOrDamaged;
}

function ofProtocol(type: number, bytes: Buffer): CapturedDatagram | NotADatagram {
  return type === etherTypes.ipv4 || type === etherTypes.ipv6 ? ofIp(bytes) : noUdp;
}

function ofIp(bytes: Buffer): CapturedDatagram | NotADatagram {
  const version = (bytes[0] ?? 0) >> 4;
  if (version === 4) return ofIpv4(bytes);
  if (version === 6) return ofIpv6(bytes);
  return bytes.length === 0 ? cutOrDamaged : noUdp;
}

function ofIpv4(bytes: Buffer): CapturedDatagram | NotADatagram {
  const headerBytes = 4 * ((bytes[0] ?? 0) & 0x0f);
  if (headerBytes < 20 || bytes.length < headerBytes) return cutOrDamaged;
  if (bytes[9] !== udpProtocol) return noUdp;
  // More fragments, or an offset: neither of the pieces is a datagram. Nodes of this program never send any.
  if ((bytes.readUInt16BE(6) & 0x3fff) !== 0) return ipFragment;
  return ofUdp(bytes.subarray(headerBytes), ipv4Text(bytes, 12), ipv4Text(bytes, 16));
}

function ofIpv6(bytes: Buffer): CapturedDatagram | NotADatagram {
  if (bytes.length < 40) return cutOrDamaged;
  let next = bytes[6] ?? 0;
  let at = 40;
  for (let count = 0; count < maxExtensions && extensionHeaders.has(next); count += 1) {
    if (bytes.length < at + 8) return cutOrDamaged;
    next = bytes[at] ?? 0;
    at += 8 + 8 * (bytes[at + 1] ?? 0);
  }
  if (next === fragmentHeader) return ipFragment;
  if (next !== udpProtocol) return noUdp;
  return ofUdp(bytes.subarray(at), `[${ipv6Text(bytes, 8)}]`, `[${ipv6Text(bytes, 24)}]`);
}

function ofUdp(bytes: Buffer, fromHost: string, toHost: string): CapturedDatagram | NotADatagram {
  if (bytes.length < udpHeaderBytes) return cutOrDamaged;
  const length = bytes.readUInt16BE(4);
  if (length < udpHeaderBytes) return cutOrDamaged;
  // Behind it there may be the padding of a short Ethernet frame.
  const payload = bytes.subarray(udpHeaderBytes, length);
  return {
    kind: 'datagram',
    from: `${fromHost}:${bytes.readUInt16BE(0)}`,
    to: `${toHost}:${bytes.readUInt16BE(2)}`,
    payload,
    missingBytes: length - udpHeaderBytes - payload.length,
  };
}

function ipv4Text(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join('.');
}

/** As RFC 5952 writes it: the longest run of two or more zeros is left out. */
function ipv6Text(bytes: Buffer, at: number): string {
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index).toString(16));
  let best = { from: 0, length: 1 };
  for (let from = 0; from < 8; from += 1) {
    let length = 0;
    while (words[from + length] === '0') length += 1;
    if (length > best.length) best = { from, length };
  }
  if (best.length < 2) return words.join(':');
  return `${words.slice(0, best.from).join(':')}::${words.slice(best.from + best.length).join(':')}`;
}
