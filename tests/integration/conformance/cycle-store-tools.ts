import type { ItemEdit } from '../../../activation/core/bodies.js';
import { planLock, planRoll } from '../../../activation/core/cycle.js';
import type { CopyName } from '../../../activation/core/table.js';
import type {
  Changed,
  CopiedItem,
  CycleStore,
  NewDatabase,
  PageRequest,
  Position,
} from '../../../activation/data-server/cycle-store.js';

export const minuteMs = 60_000;
export const intervalMs = 10 * minuteMs;
export const startMs = Date.parse('2026-12-01T09:00:00Z');
export const fresh: NewDatabase = { intervalMs, originMs: 0, nowMs: startMs };

export function put(key: string, value: unknown, notBeforeMs?: number): ItemEdit {
  const pair = [key, value as string] as const;
  return notBeforeMs === undefined ? { put: pair } : { put: pair, notBeforeMs };
}

/** Lock and roll, as the data server does it. */
export async function roll(store: CycleStore, nowMs: number): Promise<Changed<{ readonly rolled: boolean }>> {
  const token = `at ${nowMs}`;
  const taken = await store.change(nowMs, (state) => planLock(state, { holder: 'roller', token }, nowMs));
  if (taken.result.kind !== 'taken') throw new Error(`no lock: ${JSON.stringify(taken.result)}`);
  return store.change(nowMs, (state) => planRoll(state, token, nowMs));
}

export async function read(
  store: CycleStore,
  copy: CopyName,
  options: Partial<PageRequest> = {},
): Promise<{ readonly changes: readonly CopiedItem[]; readonly next: Position | null }> {
  return store.page(() => ({
    request: { copy, since: null, after: null, maxChanges: 1000, maxCharacters: 1e6, ...options },
    result: null,
  }));
}

/** Keys and values of a copy. */
export async function contents(store: CycleStore, copy: CopyName): Promise<Readonly<Record<string, unknown>>> {
  const { changes } = await read(store, copy);
  return Object.fromEntries(changes.map(({ key, value }) => [key, value === null ? null : JSON.parse(value)]));
}
