import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Replication, ScheduledOutcome } from '../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { CoreGroup, Packet } from './cores.js';

/** What a master's config in the harness says. */
export const groupOffsetMs = 1_796_119_200_000;

/** Group time of an instant so far ahead. */
export function instantIn(group: CoreGroup, inMs: number): number {
  return Math.ceil(groupOffsetMs + group.nowMs + inMs);
}

/** When an instant comes by the test's clock, which is the master's. */
export function testMs(activateAtMs: number): number {
  return activateAtMs - groupOffsetMs;
}

/** Schedules a version, and lets the group vote and arm. */
export function schedule(
  group: CoreGroup,
  version: number,
  inMs: number,
  options: Partial<Replication> = {},
): { readonly command: number; readonly activateAtMs: number } {
  const activateAtMs = instantIn(group, inMs);
  const command = group.replicate(version, { activateAtMs, ...options });
  group.run(100);
  return { command, activateAtMs };
}

export function cancelActivation(group: CoreGroup, command: number, version: number, timeoutMs = 2000): void {
  group.command({ kind: 'cancelActivation', command, version, timeoutMs });
}

export function armedOutcome(group: CoreGroup, command: number): Extract<ScheduledOutcome, { kind: 'armed' }> {
  const result = group.results.get(command);
  if (result?.kind !== 'armed')
    throw new Error(`not armed: ${JSON.stringify(result)}\n${group.trace.slice(-40).join('\n')}`);
  return result;
}

/**
 * Packets to this slave come so much later, and those from it at once: one way of each of its round trips is longer than the other.
 * Gives what lets time pass from now on.
 */
export function lateTo(group: CoreGroup, name: string, byMs: number): (durationMs: number) => void {
  const held: { readonly atMs: number; readonly packet: Packet }[] = [];
  group.passes = (packet, receiver) => {
    if (receiver !== name) return true;
    held.push({ atMs: group.nowMs + byMs, packet });
    return false;
  };
  return (durationMs) => {
    const endMs = group.nowMs + durationMs;
    while (group.nowMs < endMs) {
      group.run(Math.min(1, endMs - group.nowMs));
      for (let next = held[0]; next !== undefined && next.atMs <= group.nowMs; next = held[0]) {
        held.shift();
        group.deliverNow(name, next.packet);
      }
    }
  };
}

/** A lease as a master counts it. */
export const wholeLeaseMs = 3000 * (1 + 2 * limits.clockRateError);

/** A write of a slave that arms or disarms. */
export function isMark(operations: readonly StoreOperation[]): boolean {
  return operations.some((each) => {
    if (each.kind !== 'put') return false;
    const { mark = null } = each.value as { readonly mark?: unknown };
    return mark !== null;
  });
}
