import { cycleBounds as bounds } from '../core/bounds.js';
import { shownActive, sinceOf } from '../core/cycle.js';
import type { CopyName, SynchronisationTable, Refusal } from '../core/table.js';
import type { CopiedItem, PageChoice, Position } from './cycle-store.js';

/** What a server says of what it holds, and how far it has read. */
export interface ChangesQuery {
  /** The cycle whose content it holds. */
  readonly since?: number | undefined;
  /** The database that it holds it of. */
  readonly source?: string | undefined;
  /** The cycle that the pages before were of. */
  readonly cycle?: number | undefined;
  /** Where the page before ended: its `next`. */
  readonly after?: string | undefined;
  /** The most changes of the answer; default and bound: 10,000. */
  readonly limit?: number | undefined;
}

/** What leads from the content of cycle `from` to that of `cycle`. */
export interface CopiedChanges {
  readonly kind: 'changes';
  readonly source: string;
  readonly cycle: number;
  readonly activateAtMs: number | null;
  /** Null: from nothing. */
  readonly from: number | null;
  /** Values are JSON texts; null: the key is deleted. */
  readonly changes: readonly CopiedItem[];
  readonly next: string | null;
}

type Head = Pick<CopiedChanges, 'kind' | 'cycle' | 'activateAtMs' | 'from'>;

/** Which rows of which copy make the answer. */
export function chooseChanges(
  table: SynchronisationTable,
  copy: CopyName,
  query: ChangesQuery,
  nowMs: number,
): PageChoice<Head | Refusal> {
  const shown =
    copy === 'active' ? shownActive(table, nowMs) : { copy, cycle: table.cycle, activateAtMs: table.activateAtMs };
  const from = sinceOf(table, { since: query.since ?? null, source: query.source ?? null }, shown.cycle);
  const after = query.after === undefined ? null : parseCursor(query.after);
  const isSame = query.cycle === undefined || query.cycle === shown.cycle;
  if (!isSame || (after !== null && after.mode !== (from === null ? 'whole' : 'since'))) {
    const message = `the pages before were of cycle ${query.cycle ?? 'unknown'}, and ${copy} is at cycle ${shown.cycle} by now; begin again`;
    return { request: null, result: { kind: 'refused', code: 'cycle-moved', message } };
  }
  return {
    request: {
      copy: shown.copy,
      since: from,
      after: after === null ? null : after.position,
      maxChanges: Math.min(query.limit ?? bounds.pageChanges, bounds.pageChanges),
      maxCharacters: bounds.pageCharacters,
    },
    result: { kind: 'changes', cycle: shown.cycle, activateAtMs: shown.activateAtMs, from },
  };
}

type Mode = 'whole' | 'since';

/** Says also which of the two the pages are, so that one kind is never continued as the other. */
export function cursorText(mode: Mode, { cycle, key }: Position): string {
  return `${mode === 'whole' ? 'w' : 's'}${cycle}.${key}`;
}

/** Null: this is no cursor. */
export function parseCursor(text: string): { readonly mode: Mode; readonly position: Position } | null {
  const [, mode, cycle, key] = /^([ws])(\d{1,15})\.(.+)$/s.exec(text) ?? [];
  if (mode === undefined || cycle === undefined || key === undefined) return null;
  return { mode: mode === 'w' ? 'whole' : 'since', position: { cycle: Number(cycle), key } };
}
