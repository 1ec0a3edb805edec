import { setTimeout } from 'node:timers/promises';

/** Resolves when the time is over, or at once when the signal aborts. */
export async function pause(pauseMs: number, signal: AbortSignal): Promise<void> {
  await setTimeout(pauseMs, undefined, { signal }).catch(() => undefined);
}
