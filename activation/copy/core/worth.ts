import { cycleBounds as bounds } from './bounds.js';
import type { Cycle, CycleCopyState, CycleTable, HeldCopies } from './io.js';

export interface Known {
  readonly broken: string | null;
  readonly held: HeldCopies;
  /** As it was read last, `silentMs` ago. */
  readonly table: CycleTable | null;
  readonly silentMs: number;
  /** The content that the table wants shown now; null: the clock doesn't tell. */
  readonly expected: Cycle | null;
  /** What the data server's clock shows at most. */
  readonly latestMs: number;
}

/** What the copy is worth to a reader, and why it isn't current. */
export function worthOf(known: Known): { readonly state: CycleCopyState; readonly reason: string } {
  const { broken, held, table, expected, silentMs, latestMs } = known;
  if (broken !== null) return { state: 'failed', reason: broken };
  if (held.active === null) return { state: 'catching up', reason: 'there is no copy yet' };
  if (table === null) return { state: 'serving', reason: 'the data server was not heard since the start' };
  if (held.source !== table.source)
    return { state: 'catching up', reason: 'the data server has another database than this copy is of' };
  if (expected === null)
    return { state: 'serving', reason: `the clock does not tell whether cycle ${table.cycle} is active` };
  if (held.active !== expected)
    return { state: 'catching up', reason: `shows cycle ${held.active}, and cycle ${expected} is active` };
  if (silentMs > bounds.leaseMs)
    return { state: 'serving', reason: `the table was not read for ${Math.round(silentMs / 1000)} s` };
  // The activation after the one that is known comes an interval later, whoever has heard of it.
  if (latestMs >= table.activateAtMs + table.intervalMs)
    return { state: 'serving', reason: 'another activation has passed since the table was read' };
  return { state: 'current', reason: '' };
}
