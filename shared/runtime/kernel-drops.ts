import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { platform } from 'node:os';

/** One line of /proc/net/udp: a socket of this network namespace. */
export interface KernelSocket {
  readonly port: number;
  readonly inode: number;
  /** Datagrams dropped because its receive buffer was full, since it was made. */
  readonly drops: number;
}

/** Lines that aren't understood are left out: a later kernel may add columns. */
export function parseKernelSockets(text: string): readonly KernelSocket[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*\d+:\s+[0-9A-F]+:([0-9A-F]{4})\s/.exec(line);
    const columns = line.trim().split(/\s+/);
    const [inode, drops] = [Number(columns[9]), Number(columns[12])];
    if (match?.[1] === undefined || !Number.isSafeInteger(inode) || !Number.isSafeInteger(drops)) return [];
    return [{ port: Number.parseInt(match[1], 16), inode, drops }];
  });
}

/** All UDP sockets of this network namespace; null where the system doesn't tell. */
export function readKernelSockets(): readonly KernelSocket[] | null {
  if (platform() !== 'linux') return null;
  const tables = ['/proc/net/udp', '/proc/net/udp6'].map(readOrNull).filter((text) => text !== null);
  return tables.length === 0 ? null : tables.flatMap(parseKernelSockets);
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** The sockets of this very process, by inode: several processes may share a port. */
function ownSocketInodes(): ReadonlySet<number> {
  const inodes = new Set<number>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      const match = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${name}`));
      if (match?.[1] !== undefined) inodes.add(Number(match[1]));
    } catch {
      // Closed meanwhile.
    }
  }
  return inodes;
}

/** The drops at this process's sockets, or at those of some ports; null where the system doesn't tell. */
export function kernelDrops(counts: (port: number) => boolean = () => true): number | null {
  try {
    const sockets = readKernelSockets();
    if (sockets === null) return null;
    const own = ownSocketInodes();
    return sockets
      .filter(({ port, inode }) => own.has(inode) && counts(port))
      .reduce((sum, { drops }) => sum + drops, 0);
  } catch {
    // A hardened system shows a process neither.
    return null;
  }
}

const readEveryMs = 1000;

/** The drops at this process's sockets on some ports; read when asked, and no more than once a second. */
export class KernelDrops {
  readonly #ports: ReadonlySet<number>;
  #drops: number | null = null;
  #readMs = -Infinity;

  constructor(ports: Iterable<number>) {
    this.#ports = new Set(ports);
  }

  read(): number | null {
    const nowMs = performance.now();
    if (nowMs - this.#readMs < readEveryMs) return this.#drops;
    this.#readMs = nowMs;
    this.#drops = kernelDrops((port) => this.#ports.has(port));
    return this.#drops;
  }
}
