import { networkInterfaces } from 'node:os';
import { isIP, isIPv4 } from 'node:net';
import { InvalidArgumentError } from 'commander';
import { parseDataSetId, parseNodeId } from '../shared/protocol/kernel/ids.js';
import type { VoterPolicy } from '../shared/protocol/kernel/outcome.js';
import { parseInstant, parseKey } from '../shared/http/input.js';
import { isLoopback } from '../shared/runtime/addresses.js';

export { isLoopback };

/**
 * Values of flags. Each parser returns the value or throws what the command line shows in one line: the flag, the value,
 * and what to give instead.
 */

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const longestDurationMs = 24 * 3_600_000;

/** `2s`, `500ms`, `1.5s`, `1m`, or a bare number of milliseconds; returns milliseconds. */
export function duration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)?$/.exec(text);
  const durationMs = match === null ? NaN : Number(match[1]) * (durationUnits[match[2] ?? 'ms'] ?? NaN);
  if (!(durationMs >= 1 && durationMs <= longestDurationMs)) {
    throw new InvalidArgumentError('Give a duration such as 500ms, 2s or 1m, at most 24h.');
  }
  return durationMs;
}

/** `host:port`, with brackets around an IPv6 host. */
export function hostPort(text: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? '';
  const portNumber = Number(match?.[3] ?? NaN);
  const isGoodHost = match?.[1] === undefined ? /^[a-zA-Z0-9.-]+$/.test(host) && looksLikeHost(host) : isIP(host) === 6;
  if (!isGoodHost || !(portNumber <= 65_535))
    throw new InvalidArgumentError('Give host:port, such as 127.0.0.1:7400, or [::1]:7400.');
  return { host, port: portNumber };
}

/** Multicast group and port, as given, once it is known to be good. */
export function multicastGroup(text: string): string {
  const { host, port } = hostPort(text);
  const firstByte = Number(host.split('.')[0]);
  if (!isIPv4(host) || firstByte < 224 || firstByte > 239 || port === 0) {
    throw new InvalidArgumentError(
      'Give an IPv4 multicast address (224.0.0.0 to 239.255.255.255) and a port, such as 239.255.42.1:7401.',
    );
  }
  return text;
}

/** An address of this machine. */
export function interfaceAddress(text: string): string {
  if (isLoopback(text)) return text;
  const known = Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).filter((entry) => entry.family === 'IPv4').map((entry) => entry.address),
  );
  if (!known.includes(text)) throw new InvalidArgumentError(`Give an address of this machine: ${known.join(', ')}.`);
  return text;
}

/** `host:port,host:port`; may be given more than once. */
export function peerList(text: string, before: readonly string[] | undefined): readonly string[] {
  const peers = text.split(',').map((peer) => peer.trim());
  for (const peer of peers) {
    try {
      if (hostPort(peer).port > 0) continue;
    } catch {
      // Reported below, with the peer that is wrong.
    }
    throw new InvalidArgumentError(
      `${JSON.stringify(peer)} is no peer: give host:port,host:port, such as 127.0.0.1:7402,127.0.0.1:7403.`,
    );
  }
  return [...(before ?? []), ...peers];
}

export function portNumber(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (!(value <= 65_535)) throw new InvalidArgumentError('Give a port from 1 to 65535, or 0 for any free one.');
  return value;
}

export function nodeName(text: string): string {
  if (parseNodeId(text) === null)
    throw new InvalidArgumentError('Give a name of 1 to 64 bytes, with no slash and no control characters.');
  return text;
}

export function dataSetName(text: string): string {
  if (parseDataSetId(text) === null)
    throw new InvalidArgumentError('Give a name of 1 to 64 bytes, with no slash and no control characters.');
  return text;
}

/** Repeatable; the same name twice is a mistake. */
export function dataSetNames(text: string, before: readonly string[] | undefined): readonly string[] {
  const name = dataSetName(text);
  if (before?.includes(name) === true) throw new InvalidArgumentError('Give each data set once.');
  return [...(before ?? []), name];
}

export function voterPolicy(text: string): VoterPolicy {
  if (text === 'all' || text === 'live') return text;
  const count = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('Give all, live, or how many at least, such as 2.');
  return count;
}

/** Checked here, read by the node. */
export function instant(text: string): string {
  if (parseInstant(text) !== null) return text;
  throw new InvalidArgumentError(
    'Give an instant with its zone, such as 2026-12-01T09:00:00Z, or a time from now, such as +5s.',
  );
}

export function wholeNumber(text: string): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value < 1) throw new InvalidArgumentError('Give a whole number of at least 1.');
  return value;
}

/** A version; 0: before the first one. */
export function versionNumber(text: string): number {
  const value = /^v?\d{1,15}$/.test(text) ? Number(text.replace('v', '')) : NaN;
  if (!(value >= 0)) throw new InvalidArgumentError('Give a version, a whole number such as 42.');
  return value;
}

export type RoundArgument = { readonly version: number } | { readonly name: string };

/** `42` or `v42`; or `3.1f0c9a77.17`, as status and history name rounds. */
export function roundArgument(text: string): RoundArgument {
  if (/^\d+\.[0-9a-f]+\.v?\d+$/.test(text)) return { name: text };
  if (/^v?[1-9]\d{0,14}$/.test(text)) return { version: versionNumber(text) };
  throw new InvalidArgumentError('Give a version, such as 42, or the name of a round, such as 3.1f0c9a77.17.');
}

/** Where a node serves HTTP: `http://127.0.0.1:7400`, or just `127.0.0.1:7400`. */
export function nodeUrl(text: string): URL {
  const withScheme = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : null;
  if (
    url === null ||
    (url.protocol !== 'http:' && url.protocol !== 'https:') ||
    url.hostname === '' ||
    (url.pathname !== '/' && url.pathname !== '') ||
    url.search !== ''
  ) {
    throw new InvalidArgumentError('Give the HTTP address of a node, such as http://127.0.0.1:7400.');
  }
  return url;
}

/** `300.1.2.3` is no name, though its characters are. */
function looksLikeHost(host: string): boolean {
  return isIPv4(host) || !/^[\d.]+$/.test(host);
}

export function keyArgument(text: string): string {
  const key = parseKey(text, 'key');
  if (!key.ok) throw new InvalidArgumentError('A key has 1 to 512 bytes.');
  return key.value;
}
