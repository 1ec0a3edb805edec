import { isIP, isIPv4 } from 'node:net';
import type { Address } from './ports.js';

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

const maxPort = 65_535;

/** `host:port`, `[::1]:port`; null for anything else. The host may be a name; it isn't looked up. */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= maxPort)) return null;
  if (match?.[1] !== undefined && isIP(host) !== 6) return null;
  return { host, port };
}

export function formatAddress(host: string, port: number): Address {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Addresses already taken apart, and put together: peers send from few of them, and send much. Bounded; a full one starts
 * anew.
 */
export class AddressCache {
  readonly #known = new Map<string, HostPort>();
  /** The newest address of each port: the same text each time, which compares by its place in memory. */
  readonly #byPort = new Map<number, { readonly host: string; readonly address: Address }>();
  readonly #family: 4 | 6;
  readonly #bound: number;

  constructor(options: { readonly family: 4 | 6; readonly bound: number }) {
    this.#family = options.family;
    this.#bound = options.bound;
  }

  format(host: string, port: number): Address {
    const known = this.#byPort.get(port);
    if (known?.host === host) return known.address;
    const address = formatAddress(host, port);
    if (this.#byPort.size >= this.#bound) this.#byPort.clear();
    this.#byPort.set(port, { host, address });
    return address;
  }

  /** Null when `address` is no literal address of this family with a port to send to. */
  parse(address: Address): HostPort | null {
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    const parsed = parseHostPort(address);
    if (parsed === null || parsed.port === 0 || isIP(parsed.host) !== this.#family) return null;
    if (this.#known.size >= this.#bound) this.#known.clear();
    this.#known.set(address, parsed);
    return parsed;
  }
}

/** Names are not looked up: only one of them is this machine for sure. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
