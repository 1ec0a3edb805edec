import { isFields, numberField, numberText, parseKey, unknownField, type Fields } from '../../../shared/http/input.js';
import { badInput, type Parsed } from '../../../shared/http/problem.js';
import type { Json } from '../../../shared/protocol/key-value/operations.js';
import type {
  ActivateNowRequest,
  ActivationRequest,
  IntervalRequest,
  ItemEdit,
  ItemRequest,
  PromoteRequest,
  RetrievalRequest,
  RollRequest,
} from '../../core/bodies.js';
import { cycleBounds as bounds } from '../../core/bounds.js';
import { parseCursor, type ChangesQuery } from '../changes.js';
import type { ItemsQuery } from '../cycle-store.js';

/** Strangers' input becomes a value or a problem that names the field; nothing here throws. */

const number = { min: 0, max: Number.MAX_SAFE_INTEGER };
const instant = { min: -bounds.latestInstantMs, max: bounds.latestInstantMs };

export function parseRoll(body: unknown): Parsed<RollRequest> {
  const fields = fieldsOf(body, ['by']);
  if (!fields.ok) return fields;
  const by = parseName(fields.value);
  return by.ok ? { ok: true, value: { by: by.value } } : by;
}

export function parseInterval(body: unknown): Parsed<IntervalRequest> {
  const fields = fieldsOf(body, ['intervalMs', 'originMs']);
  if (!fields.ok) return fields;
  const interval = { min: bounds.minIntervalMs, max: bounds.maxIntervalMs };
  const intervalMs = required(fields.value, 'intervalMs', numberField(fields.value, 'intervalMs', interval));
  if (!intervalMs.ok) return intervalMs;
  const originMs = numberField(fields.value, 'originMs', instant);
  if (!originMs.ok) return originMs;
  const origin = originMs.value === undefined ? {} : { originMs: originMs.value };
  return { ok: true, value: { intervalMs: intervalMs.value, ...origin } };
}

export function parsePromote(body: unknown): Parsed<PromoteRequest> {
  const fields = fieldsOf(body ?? {}, ['keys']);
  if (!fields.ok) return fields;
  const list = fields.value['keys'];
  if (list === undefined) return { ok: true, value: {} };
  if (!Array.isArray(list) || list.length === 0 || list.length > bounds.edits)
    return badInput('keys', `must be a list of 1 to ${bounds.edits} keys; leave it out for all that wait`);
  const keys: string[] = [];
  for (const [position, each] of list.entries()) {
    const key = parseKey(each, `keys[${position}]`);
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return { ok: true, value: { keys: [...new Set(keys)] } };
}

export function parseActivateNow(body: unknown): Parsed<ActivateNowRequest> {
  const fields = fieldsOf(body ?? {}, ['inMs']);
  if (!fields.ok) return fields;
  const inMs = numberField(fields.value, 'inMs', { min: 0, max: bounds.maxLeadMs });
  if (!inMs.ok) return inMs;
  return { ok: true, value: inMs.value === undefined ? {} : { inMs: inMs.value } };
}

export function parseRetrieval(body: unknown): Parsed<RetrievalRequest> {
  const fields = fieldsOf(body, ['by', 'cycle', 'durationMs']);
  if (!fields.ok) return fields;
  const by = parseName(fields.value);
  if (!by.ok) return by;
  const cycle = required(fields.value, 'cycle', numberField(fields.value, 'cycle', number));
  if (!cycle.ok) return cycle;
  const { durationMs } = fields.value;
  if (typeof durationMs !== 'number' || !(durationMs >= 0 && durationMs <= bounds.maxIntervalMs))
    return badInput('durationMs', `must be a number from 0 to ${bounds.maxIntervalMs}`);
  return { ok: true, value: { by: by.value, cycle: cycle.value, durationMs } };
}

export function parseActivation(body: unknown): Parsed<ActivationRequest> {
  const fields = fieldsOf(body, ['by', 'cycle', 'reachedMs', 'errorMs', 'late']);
  if (!fields.ok) return fields;
  const by = parseName(fields.value);
  if (!by.ok) return by;
  const cycle = required(fields.value, 'cycle', numberField(fields.value, 'cycle', number));
  if (!cycle.ok) return cycle;
  const { reachedMs, errorMs, late } = fields.value;
  if (typeof reachedMs !== 'number' || !(Math.abs(reachedMs) <= bounds.latestInstantMs))
    return badInput('reachedMs', 'must be an instant in milliseconds since 1970');
  if (typeof errorMs !== 'number' || !(errorMs >= 0 && errorMs <= bounds.maxIntervalMs))
    return badInput('errorMs', `must be a number from 0 to ${bounds.maxIntervalMs}`);
  if (typeof late !== 'boolean') return badInput('late', 'must be true or false');
  return { ok: true, value: { by: by.value, cycle: cycle.value, reachedMs, errorMs, late } };
}

/** Whether the value is one is judged where all edits are. */
export function parseItem(body: unknown): Parsed<ItemRequest> {
  const fields = fieldsOf(body, ['value', 'notBeforeMs']);
  if (!fields.ok) return fields;
  if (!('value' in fields.value)) return badInput('value', 'must be given; DELETE removes an item');
  const date = numberField(fields.value, 'notBeforeMs', instant);
  if (!date.ok) return date;
  const notBefore = date.value === undefined ? {} : { notBeforeMs: date.value };
  // The body came from JSON text, so the value is JSON.
  return { ok: true, value: { value: fields.value['value'] as Json, ...notBefore } };
}

export function parseEdits(body: unknown): Parsed<readonly ItemEdit[]> {
  const fields = fieldsOf(body, ['operations']);
  if (!fields.ok) return fields;
  const list = fields.value['operations'];
  if (!Array.isArray(list) || list.length === 0 || list.length > bounds.edits)
    return badInput('operations', `must be a list of 1 to ${bounds.edits} operations`);
  const edits: ItemEdit[] = [];
  for (const [position, each] of list.entries()) {
    const edit = parseEdit(each, `operations[${position}]`);
    if (!edit.ok) return edit;
    edits.push(edit.value);
  }
  return { ok: true, value: edits };
}

function parseEdit(value: unknown, field: string): Parsed<ItemEdit> {
  if (!isFields(value)) return badInput(field, 'must be {"put": [key, value]} or {"delete": key}');
  const isPut = 'put' in value;
  if (isPut === 'delete' in value) return badInput(field, 'must have either "put" or "delete"');
  const stranger = unknownField(value, isPut ? ['put', 'notBeforeMs'] : ['delete']);
  if (stranger !== null) return badInput(`${field}.${stranger}`, `is no field of a ${isPut ? 'put' : 'delete'}`);
  if (!isPut) {
    const key = parseKey(value['delete'], `${field}.delete`);
    return key.ok ? { ok: true, value: { delete: key.value } } : key;
  }
  const put = value['put'];
  if (!Array.isArray(put) || put.length !== 2) return badInput(`${field}.put`, 'must be [key, value]');
  const key = parseKey(put[0], `${field}.put[0]`);
  if (!key.ok) return key;
  const date = numberField(value, 'notBeforeMs', instant);
  if (!date.ok) return badInput(`${field}.notBeforeMs`, 'must be an instant in whole milliseconds since 1970');
  const pair: readonly [string, Json] = [key.value, put[1] as Json];
  return { ok: true, value: date.value === undefined ? { put: pair } : { put: pair, notBeforeMs: date.value } };
}

export function parseChangesQuery(query: unknown): Parsed<ChangesQuery> {
  const fields = isFields(query) ? query : {};
  const known = ['since', 'source', 'cycle', 'after', 'limit'];
  const stranger = unknownField(fields, known);
  if (stranger !== null) return badInput(stranger, `is no parameter here; there are ${known.join(', ')}`);
  const since = numberText(fields, 'since', number);
  if (!since.ok) return since;
  const cycle = numberText(fields, 'cycle', number);
  if (!cycle.ok) return cycle;
  const limit = numberText(fields, 'limit', { min: 1, max: bounds.pageChanges });
  if (!limit.ok) return limit;
  const { source, after } = fields;
  if (source !== undefined && (typeof source !== 'string' || source.length > bounds.maxNameCharacters))
    return badInput('source', 'must be what an answer called its source');
  if (after !== undefined && (typeof after !== 'string' || parseCursor(after) === null))
    return badInput('after', 'must be the next of the page before');
  if (after !== undefined && cycle.value === undefined)
    return badInput('cycle', 'must be given with after: the cycle of the page before');
  return { ok: true, value: { since: since.value, source, cycle: cycle.value, after, limit: limit.value } };
}

/** One more than asked for tells whether there is another page. */
export function parseItemsQuery(query: unknown): Parsed<ItemsQuery> {
  const fields = isFields(query) ? query : {};
  const known = ['prefix', 'after', 'limit'];
  const stranger = unknownField(fields, known);
  if (stranger !== null) return badInput(stranger, `is no parameter here; there are ${known.join(', ')}`);
  const limit = numberText(fields, 'limit', { min: 1, max: bounds.pageItems });
  if (!limit.ok) return limit;
  const prefix = optionalKey(fields, 'prefix');
  if (!prefix.ok) return prefix;
  const after = optionalKey(fields, 'after');
  if (!after.ok) return after;
  return { ok: true, value: { prefix: prefix.value ?? '', after: after.value, limit: limit.value ?? 100 } };
}

/** Given as nothing, it's as if it weren't. */
function optionalKey(fields: Fields, name: string): Parsed<string | null> {
  const value = fields[name];
  return value === undefined || value === '' ? { ok: true, value: null } : parseKey(value, name);
}

function fieldsOf(body: unknown, known: readonly string[]): Parsed<Fields> {
  if (!isFields(body)) return badInput('body', `must be an object with ${known.join(', ')}`);
  const stranger = unknownField(body, known);
  if (stranger !== null) return badInput(stranger, `is no field here; there is ${known.join(', ')}`);
  return { ok: true, value: body };
}

function parseName(fields: Fields): Parsed<string> {
  const { by } = fields;
  if (typeof by === 'string' && by.trim() !== '' && by.length <= bounds.maxNameCharacters && !/\p{C}/u.test(by))
    return { ok: true, value: by };
  return badInput(
    'by',
    `must be a name of 1 to ${bounds.maxNameCharacters} characters, none of them control characters`,
  );
}

function required<Value>(fields: Fields, name: string, parsed: Parsed<Value | undefined>): Parsed<Value> {
  if (!parsed.ok) return parsed;
  return parsed.value === undefined
    ? badInput(name, fields[name] === undefined ? 'must be given' : 'is no value')
    : { ok: true, value: parsed.value };
}
