import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { LockstepError } from '../protocol/kernel/errors.js';

/** One of this machine's interfaces, as a socket needs to know it. */
export interface InterfaceInfo {
  readonly name: string;
  readonly family: 4 | 6;
  readonly isLoopback: boolean;
  /** The largest datagram that goes through in one piece, or less where larger ones don't pay. */
  readonly maxDatagramBytes: number;
}

/** What Ethernet carries, and what is assumed where the system doesn't tell. */
const usualMtuBytes = 1500;
const headerBytes = { 4: 28, 6: 48 } as const;
/**
 * Loopback would take 65,507 bytes; but the larger a datagram, the fewer a receive buffer holds and the more is sent again
 * for one that is lost. Measured on loopback with 8, 16, 32 and 60 KB, updates of 1,000 × 256 B came through fastest at
 * this size: each datagram costs a system call, a wake-up at every receiver and a buffer, whatever its length.
 */
const largestPayingBytes = 32_768;

/**
 * The interface that has `address`. Throws `bad-option`, naming `option`, the value and the addresses that there are,
 * when none has.
 */
export function findInterface(address: string, option: string): InterfaceInfo {
  const family = isIP(address);
  const found = family === 0 ? null : lookUp(address);
  if ((family !== 4 && family !== 6) || found === null) {
    throw new LockstepError(
      'bad-option',
      `${option} '${address}' is no address of this machine; it has ${knownAddresses().join(', ')}`,
    );
  }
  const fitting = (mtuBytes(found.name) ?? (found.isLoopback ? Infinity : usualMtuBytes)) - headerBytes[family];
  return { ...found, family, maxDatagramBytes: Math.min(fitting, largestPayingBytes) };
}

function lookUp(address: string): { readonly name: string; readonly isLoopback: boolean } | null {
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const own of addresses ?? []) {
      if (own.address === address) return { name, isLoopback: own.internal };
      // All of 127.0.0.0/8 is this machine, though only 127.0.0.1 is listed.
      if (own.internal && own.cidr !== null && own.family.toLowerCase() === family && covers(own.cidr, address)) {
        return { name, isLoopback: true };
      }
    }
  }
  return null;
}

function covers(cidr: string, address: string): boolean {
  const [net, bits] = cidr.split('/');
  if (net === undefined || bits === undefined) return false;
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  const block = new BlockList();
  block.addSubnet(net, Number(bits), family);
  return block.check(address, family);
}

function knownAddresses(): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? []).map((own) => `${own.address} (${name})`),
  );
}

/** Null where the system doesn't tell: Node has no call for it, Linux has a file. */
function mtuBytes(name: string): number | null {
  try {
    const mtu = Number(readFileSync(join('/sys/class/net', name, 'mtu'), 'utf8'));
    return Number.isInteger(mtu) && mtu > headerBytes[6] ? mtu : null;
  } catch {
    return null;
  }
}
