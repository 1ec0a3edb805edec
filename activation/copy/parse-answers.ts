import { keyValueBounds } from '../../shared/protocol/key-value/bounds.js';
import type { Columns } from '../../shared/protocol/key-value/change-codec.js';
import type { ClockBody } from '../core/bodies.js';
import type { Cycle, CycleTable } from './core/io.js';

/** What a data server answered, taken apart. Null: it isn't that; nothing here throws. */

export interface ParsedTable {
  readonly table: CycleTable;
  readonly rolled: boolean;
  readonly clock: ClockBody;
}

export interface ContentPage {
  readonly source: string;
  readonly cycle: Cycle;
  readonly activateAtMs: number | null;
  readonly from: Cycle | null;
  readonly columns: Columns;
  readonly next: string | null;
  readonly clock: ClockBody;
}

type Fields = Readonly<Record<string, unknown>>;

export function parseTable(body: unknown): ParsedTable | null {
  if (!isFields(body)) return null;
  const { source, cycle, activateAtMs, intervalMs, active, rolled } = body;
  const clock = parseClock(body['clock']);
  if (clock === null || !isName(source) || !isCycle(cycle) || !isInstant(activateAtMs)) return null;
  if (!isInstant(intervalMs) || intervalMs <= 0 || !isFields(active) || !isCycle(active['cycle'])) return null;
  const table = { source, cycle, activateAtMs, intervalMs, activeCycle: active['cycle'] };
  return { table, rolled: rolled === true, clock };
}

export function parseLocked(
  body: unknown,
): { readonly holder: string; readonly untilMs: number; readonly clock: ClockBody } | null {
  if (!isFields(body) || !isFields(body['lock'])) return null;
  const { holder, untilMs } = body['lock'];
  const clock = parseClock(body['clock']);
  if (clock === null || typeof holder !== 'string' || !isInstant(untilMs)) return null;
  return { holder, untilMs, clock };
}

export function parseContentPage(body: unknown): ContentPage | null {
  if (!isFields(body)) return null;
  const { source, cycle, activateAtMs, from, changes, next } = body;
  const clock = parseClock(body['clock']);
  if (clock === null || !isName(source) || !isCycle(cycle)) return null;
  if (from !== null && !isCycle(from)) return null;
  if (activateAtMs !== null && !isInstant(activateAtMs)) return null;
  if (next !== null && !isKey(next)) return null;
  const columns = parseChanges(changes);
  return columns === null ? null : { source, cycle, activateAtMs, from, columns, next, clock };
}

/** The message of an error, on one line and not endless. */
export function parseProblem(body: unknown): string | null {
  const error = isFields(body) ? body['error'] : undefined;
  const message = isFields(error) ? error['message'] : undefined;
  return typeof message === 'string' ? message.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, 300) : null;
}

function parseChanges(changes: unknown): Columns | null {
  if (!Array.isArray(changes)) return null;
  const keys: string[] = [];
  const values: unknown[] = [];
  const deletes: number[] = [];
  for (const change of changes as readonly unknown[]) {
    if (!isFields(change)) return null;
    const { put, delete: removed } = change;
    if (Array.isArray(put) && put.length === 2 && isKey(put[0])) {
      keys.push(put[0]);
      values.push(put[1]);
    } else if (isKey(removed)) {
      deletes.push(keys.length);
      keys.push(removed);
      values.push(null);
    } else return null;
  }
  return { keys, values, deletes };
}

function parseClock(value: unknown): ClockBody | null {
  if (!isFields(value)) return null;
  const { id, receivedMs, sentMs } = value;
  if (!isName(id) || !isInstant(receivedMs) || !isInstant(sentMs)) return null;
  return { id, receivedMs, sentMs };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= 200;
}

function isCycle(value: unknown): value is Cycle {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Of a date that there is. */
function isInstant(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15;
}

function isKey(value: unknown): value is string {
  if (typeof value !== 'string' || value === '') return false;
  return value.length * 3 <= keyValueBounds.maxKeyBytes || Buffer.byteLength(value) <= keyValueBounds.maxKeyBytes;
}
