import { readFile } from 'node:fs/promises';

/** What this machine sent to multicast groups since it started, all of its processes together. */
export interface SystemCounts {
  readonly packets: number;
  readonly bytes: number;
}

/** Null where the system doesn't tell: elsewhere than on Linux. */
export async function multicastSent(): Promise<SystemCounts | null> {
  const text = await readFile('/proc/net/netstat', 'utf8').catch(() => null);
  return text === null ? null : parseNetstat(text);
}

/** Pairs of lines: names of a group, then their values. */
export function parseNetstat(text: string): SystemCounts | null {
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('IpExt:'))
    .map((line) => line.split(/\s+/));
  const of = (name: string): number => Number(values[names.indexOf(name)] ?? NaN);
  const counts = { packets: of('OutMcastPkts'), bytes: of('OutMcastOctets') };
  return Number.isFinite(counts.packets) && Number.isFinite(counts.bytes) ? counts : null;
}
