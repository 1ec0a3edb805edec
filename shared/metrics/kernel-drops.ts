import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/**
 * Datagrams that the kernel dropped at this process's UDP sockets, for want of room in their receive buffers. Null where the
 * system doesn't tell: elsewhere than on Linux.
 */
export function kernelDrops(): number | null {
  try {
    const own = new Set<string>();
    for (const descriptor of readdirSync('/proc/self/fd')) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/self/fd/${descriptor}`))?.[1];
      if (inode !== undefined) own.add(inode);
    }
    return (
      dropsIn(readFileSync('/proc/self/net/udp', 'utf8'), own) +
      dropsIn(readFileSync('/proc/self/net/udp6', 'utf8'), own)
    );
  } catch {
    return null;
  }
}

/** Of the lines of `/proc/net/udp`, those of the given sockets; the last column is what was dropped. */
export function dropsIn(text: string, inodes: ReadonlySet<string>): number {
  let drops = 0;
  for (const line of text.split('\n').slice(1)) {
    const columns = line.trim().split(/\s+/);
    if (inodes.has(columns[9] ?? '')) drops += Number(columns.at(-1)) || 0;
  }
  return drops;
}

/** A descriptor may be closed by now. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
