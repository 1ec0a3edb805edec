import type { ItemEdit } from './bodies.js';

/** An item of production as a database keeps it. */
export interface ProductionRow {
  /** JSON; null: deleted, and kept until the delete is staged. */
  readonly value: string | null;
  readonly notBeforeMs: number | null;
  /** This edit isn't staged yet. */
  readonly waiting: boolean;
}

/** What an edit makes of a row; null: nothing, since that is what stands there. */
export function editedRow(before: ProductionRow | null, edit: ItemEdit): ProductionRow | null {
  if (!('put' in edit)) {
    return before === null || before.value === null ? null : { value: null, notBeforeMs: null, waiting: true };
  }
  const value = JSON.stringify(edit.put[1]);
  const notBeforeMs = edit.notBeforeMs ?? null;
  if (before !== null && before.value === value && before.notBeforeMs === notBeforeMs) return null;
  return { value, notBeforeMs, waiting: true };
}

export function keyOf(edit: ItemEdit): string {
  return 'put' in edit ? edit.put[0] : edit.delete;
}

/** Whether a row is to be staged for an activation at `dueMs`. */
export function isDueRow(row: ProductionRow, dueMs: number): boolean {
  return row.waiting && (row.notBeforeMs === null || row.notBeforeMs <= dueMs);
}

/** Keys that have a value: what an edit adds to their number. */
export function liveDifference(before: ProductionRow | null, after: ProductionRow): number {
  return Number(after.value !== null) - Number(before !== null && before.value !== null);
}
