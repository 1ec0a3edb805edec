import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * Which process holds a store. It is written into the store itself, in a transaction that fails when another process was
 * faster: the store's own write lock, which the operating system frees when a process dies, makes that one step. What the record
 * can't tell is whether the process still lives; that is what is asked of the system here. A process killed with -9
 * leaves its record behind, and the next start finds it dead.
 *
 * Two containers that share a folder don't see each other's processes and aren't told apart here. The group tells them:
 * both come with the same store id, and an older count of starts after a newer one is a cloned store.
 */
export interface StoreHolder {
  readonly host: string;
  /** One per boot of the machine; null where the system doesn't say. */
  readonly bootId: string | null;
  readonly pid: number;
  /** When the process started, as the system counts: pids are used again. Null where the system doesn't say. */
  readonly startedAt: string | null;
}

export function thisProcess(): StoreHolder {
  return { host: hostname(), bootId: bootId(), pid: process.pid, startedAt: startOf(process.pid) };
}

/** True for this very process, too: it may not open a store twice. */
export function isAlive(holder: StoreHolder): boolean {
  if (holder.host !== hostname() || holder.bootId !== bootId()) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // Another user's process can't be signalled, but it is there.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  return startOf(holder.pid) === holder.startedAt;
}

/** Null when `value` is no such record. */
export function parseHolder(value: unknown): StoreHolder | null {
  return typeof value === 'object' && value !== null && 'pid' in value && typeof value.pid === 'number'
    ? (value as StoreHolder)
    : null;
}

function bootId(): string | null {
  return contents('/proc/sys/kernel/random/boot_id');
}

/** The 22nd field; the second one is the program's name in parentheses and may hold anything. */
function startOf(pid: number): string | null {
  const stat = contents(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

function contents(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
