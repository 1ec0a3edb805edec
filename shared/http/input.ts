import { parseVersion } from '../protocol/kernel/ids.js';
import type { DeliveryMode, Phases, VoterPolicy } from '../protocol/kernel/outcome.js';
import type { Json, Operation } from '../protocol/key-value/operations.js';
import { httpBounds } from './bounds.js';
import { badInput, type Parsed } from './problem.js';

/** Strangers' input becomes a value or a problem that names the field; nothing here throws. */

export interface ChangeInput {
  readonly operations: readonly Operation<Json>[];
  readonly options: ChangeInputOptions;
}

export interface ChangeInputOptions {
  readonly phases?: Phases;
  readonly timeoutMs?: number;
  readonly voters?: VoterPolicy;
  readonly commitBy?: DeliveryMode;
  readonly abortBy?: DeliveryMode;
  readonly wait?: 'decided' | 'exposed';
  /** When every server is to show it. */
  readonly activateAt?: Date | { readonly inMs: number };
}

export type Fields = Readonly<Record<string, unknown>>;

const changeOptionNames = ['phases', 'timeoutMs', 'voters', 'commitBy', 'abortBy', 'wait', 'activateAt'];
const deliveryModes: readonly DeliveryMode[] = ['unicast', 'heartbeat', 'multicast'];

/** The body of `POST /v1/changes/{dataSet}`. */
export function parseChange(body: unknown): Parsed<ChangeInput> {
  if (!isFields(body)) return badInput('body', 'must be an object with "operations"');
  const stranger = unknownField(body, ['operations', ...changeOptionNames]);
  if (stranger !== null)
    return badInput(stranger, `is no field of a change; there are operations, ${changeOptionNames.join(', ')}`);
  const list = body['operations'];
  if (!Array.isArray(list) || list.length === 0)
    return badInput('operations', 'must be a list of at least one operation');
  if (list.length > httpBounds.operations) {
    return badInput(
      'operations',
      `holds ${list.length} operations, at most ${httpBounds.operations} go into one change`,
    );
  }
  const operations: Operation<Json>[] = [];
  for (const [position, value] of list.entries()) {
    const operation = parseOperation(value, `operations[${position}]`);
    if (!operation.ok) return operation;
    operations.push(operation.value);
  }
  const options = parseChangeOptions(body, numberField);
  return options.ok ? { ok: true, value: { operations, options: options.value } } : options;
}

/** The body of `POST /v1/publish/{dataSet}`; none is as good as an empty one. */
export function parsePublish(body: unknown): Parsed<ChangeInputOptions & { readonly allowEmpty?: true }> {
  const fields = body === undefined || body === null ? {} : body;
  if (!isFields(fields)) return badInput('body', 'must be an object, or nothing');
  const names = ['allowEmpty', ...changeOptionNames.filter((name) => !['commitBy', 'abortBy'].includes(name))];
  const stranger = unknownField(fields, names);
  if (stranger !== null) return badInput(stranger, `is no field here; there are ${names.join(', ')}`);
  const { allowEmpty } = fields;
  if (allowEmpty !== undefined && typeof allowEmpty !== 'boolean') return badInput('allowEmpty', 'is true or false');
  const options = parseChangeOptions(fields, numberField);
  if (!options.ok) return options;
  return { ok: true, value: { ...options.value, ...(allowEmpty === true ? { allowEmpty } : {}) } };
}

/** The body of `POST /v1/in-doubt/{dataSet}/{round}`. */
export function parseResolve(
  body: unknown,
): Parsed<{ readonly outcome: 'committed' | 'aborted'; readonly by: string }> {
  if (!isFields(body)) return badInput('body', 'must be an object with "outcome", "by" and "iUnderstand"');
  const stranger = unknownField(body, ['outcome', 'by', 'iUnderstand']);
  if (stranger !== null) return badInput(stranger, 'is no field of a resolution; there are outcome, by, iUnderstand');
  const { outcome, by, iUnderstand } = body;
  if (outcome !== 'commit' && outcome !== 'abort') return badInput('outcome', 'must be "commit" or "abort"');
  if (typeof by !== 'string' || by.trim() === '' || by.length > 200)
    return badInput('by', 'must say who decides, in 1 to 200 characters');
  if (iUnderstand !== true)
    return badInput(
      'iUnderstand',
      'must be true: an operator who decides otherwise than the master breaks "all or none"',
    );
  return { ok: true, value: { outcome: outcome === 'commit' ? 'committed' : 'aborted', by: by.trim() } };
}

/** The query of `PUT` and `DELETE /v1/data/{dataSet}/{key}`: what a change takes, and the condition. */
export function parseSingleQuery(query: unknown): Parsed<{
  readonly condition: { readonly ifVersion?: number; readonly ifAbsent?: true };
  readonly options: ChangeInputOptions;
}> {
  const fields = isFields(query) ? query : {};
  const stranger = unknownField(fields, ['ifVersion', 'ifAbsent', ...changeOptionNames]);
  if (stranger !== null)
    return badInput(stranger, `is no parameter here; there are ifVersion, ifAbsent, ${changeOptionNames.join(', ')}`);
  const ifVersion = numberText(fields, 'ifVersion', { min: 1, max: Number.MAX_SAFE_INTEGER });
  if (!ifVersion.ok) return ifVersion;
  const ifAbsent = fields['ifAbsent'];
  if (ifAbsent !== undefined && ifAbsent !== 'true') return badInput('ifAbsent', 'is "true" or not given');
  const options = parseChangeOptions(fields, numberText);
  if (!options.ok) return options;
  const condition = {
    ...(ifVersion.value === undefined ? {} : { ifVersion: ifVersion.value }),
    ...(ifAbsent === undefined ? {} : { ifAbsent: true as const }),
  };
  return { ok: true, value: { condition, options: options.value } };
}

/** The header `Idempotency-Key`, or that part of the path. */
export function parseIdempotencyKey(text: unknown): Parsed<string | undefined> {
  if (text === undefined) return { ok: true, value: undefined };
  const field = 'Idempotency-Key';
  if (typeof text !== 'string' || text.length === 0) return badInput(field, "must be one text that isn't empty");
  if (Buffer.byteLength(text) > httpBounds.idempotencyKeyBytes)
    return badInput(field, `is longer than ${httpBounds.idempotencyKeyBytes} bytes`);
  return { ok: true, value: text };
}

export function parseKey(value: unknown, field: string): Parsed<string> {
  if (typeof value !== 'string') return badInput(field, 'must be a key, which is a text');
  const bytes = Buffer.byteLength(value);
  if (bytes === 0) return badInput(field, 'must be a key of at least one byte');
  if (bytes > httpBounds.keyBytes)
    return badInput(field, `is a key of ${bytes} bytes, longer than ${httpBounds.keyBytes}`);
  if (!isWellFormed(value)) return badInput(field, 'is a key with half of a surrogate pair, which is no UTF-8');
  return { ok: true, value };
}

/** The body of `POST /v1/reads/{dataSet}`. */
export function parseReads(body: unknown): Parsed<readonly string[]> {
  if (!isFields(body)) return badInput('body', 'must be an object with "keys"');
  const stranger = unknownField(body, ['keys']);
  if (stranger !== null) return badInput(stranger, 'is no field of a read; there is keys');
  const list = body['keys'];
  if (!Array.isArray(list)) return badInput('keys', 'must be a list of keys');
  if (list.length > httpBounds.readKeys)
    return badInput('keys', `holds ${list.length} keys, at most ${httpBounds.readKeys} are read at once`);
  const keys: string[] = [];
  for (const [position, value] of list.entries()) {
    const key = parseKey(value, `keys[${position}]`);
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return { ok: true, value: keys };
}

export interface PageQuery {
  readonly prefix?: string;
  readonly after?: string;
  readonly limit: number;
}

export interface WaitQuery {
  readonly minVersion?: number;
  readonly timeoutMs: number;
}

/** The query of a list. */
export function parsePageQuery(query: unknown): Parsed<PageQuery & WaitQuery> {
  const fields = isFields(query) ? query : {};
  const wait = parseWaitFields(fields, ['prefix', 'after', 'limit']);
  if (!wait.ok) return wait;
  const limit = numberText(fields, 'limit', { min: 1, max: httpBounds.pageEntries });
  if (!limit.ok) return limit;
  const page: { prefix?: string; after?: string } = {};
  for (const name of ['prefix', 'after'] as const) {
    const value = fields[name];
    if (value === undefined) continue;
    if (typeof value !== 'string') return badInput(name, 'may be given once');
    if (Buffer.byteLength(value) > httpBounds.keyBytes)
      return badInput(name, `is longer than a key, ${httpBounds.keyBytes} bytes`);
    page[name] = value;
  }
  return { ok: true, value: { ...page, ...wait.value, limit: limit.value ?? httpBounds.defaultPageEntries } };
}

/** The query of `GET /v1/rounds/{dataSet}`. */
export function parseRoundsQuery(query: unknown): Parsed<{ readonly limit: number }> {
  const fields = isFields(query) ? query : {};
  const stranger = unknownField(fields, ['limit']);
  if (stranger !== null) return badInput(stranger, 'is no parameter here; there is limit');
  const limit = numberText(fields, 'limit', { min: 1, max: httpBounds.rounds });
  return limit.ok ? { ok: true, value: { limit: limit.value ?? httpBounds.defaultRounds } } : limit;
}

/** A version in a path. */
export function parseVersionPath(text: string): Parsed<number> {
  const version = /^\d{1,16}$/.test(text) ? parseVersion(Number(text)) : null;
  return version === null
    ? badInput('version', 'must be a version, a whole number of at least 1')
    : { ok: true, value: version };
}

/** The query of a read. */
export function parseWaitQuery(query: unknown): Parsed<WaitQuery> {
  return parseWaitFields(isFields(query) ? query : {}, []);
}

export interface ReadyQuery {
  readonly current: boolean;
  readonly verbose: boolean;
  /** 0: answer at once. */
  readonly timeoutMs: number;
}

const instantUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };

/** The query of `/readyz`: `?verbose`, `?current&timeout=5s`. */
export function parseReadyQuery(query: unknown): Parsed<ReadyQuery> {
  const fields = isFields(query) ? query : {};
  const known = ['current', 'verbose', 'timeout'];
  const stranger = unknownField(fields, known);
  if (stranger !== null) return badInput(stranger, `is no parameter here; there are ${known.join(', ')}`);
  for (const name of ['current', 'verbose'] as const) {
    const value = fields[name];
    if (value !== undefined && value !== '' && value !== 'true' && value !== 'false')
      return badInput(name, 'is given alone, or as true or false');
  }
  const isOn = (name: string): boolean => fields[name] === '' || fields[name] === 'true';
  const { timeout } = fields;
  const [, digits = '', unit = ''] = typeof timeout === 'string' ? (/^(\d{1,6})(ms|s|m)$/.exec(timeout) ?? []) : [];
  const timeoutMs = timeout === undefined ? 0 : Number(digits) * (durationUnitsMs[unit] ?? Infinity);
  if (!(timeoutMs <= httpBounds.readTimeoutMs))
    return badInput('timeout', `is a duration of at most ${httpBounds.readTimeoutMs / 1000} s, such as 5s or 500ms`);
  return { ok: true, value: { current: isOn('current'), verbose: isOn('verbose'), timeoutMs } };
}

export interface FeedQuery {
  readonly since?: number;
  readonly epoch?: number;
  readonly chainId?: string;
}

/** The query of a feed; a browser that reconnects names the newest version in `Last-Event-ID`, which wins. */
export function parseFeedQuery(query: unknown, lastEventId: unknown): Parsed<FeedQuery> {
  const fields = isFields(query) ? query : {};
  const known = ['since', 'epoch', 'chainId'];
  const stranger = unknownField(fields, known);
  if (stranger !== null) return badInput(stranger, `is no parameter here; there are ${known.join(', ')}`);
  const since = numberText(fields, 'since', { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (!since.ok) return since;
  const resumed = numberText({ 'Last-Event-ID': lastEventId }, 'Last-Event-ID', {
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
  });
  if (!resumed.ok) return resumed;
  if (resumed.value !== undefined) return { ok: true, value: { since: resumed.value } };
  const epoch = numberText(fields, 'epoch', { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (!epoch.ok) return epoch;
  const { chainId } = fields;
  if (chainId !== undefined && (typeof chainId !== 'string' || !/^[0-9a-f]{32}$/.test(chainId)))
    return badInput('chainId', 'is 32 hexadecimal digits, as a tip or a change has it');
  if (since.value === undefined && (epoch.value !== undefined || chainId !== undefined))
    return badInput('since', 'must be given with epoch or chainId, which say what that version is');
  return {
    ok: true,
    value: {
      ...(since.value === undefined ? {} : { since: since.value }),
      ...(epoch.value === undefined ? {} : { epoch: epoch.value }),
      ...(chainId === undefined ? {} : { chainId }),
    },
  };
}

function parseWaitFields(fields: Fields, others: readonly string[]): Parsed<WaitQuery> {
  const known = [...others, 'minVersion', 'timeoutMs'];
  const stranger = unknownField(fields, known);
  if (stranger !== null) return badInput(stranger, `is no parameter here; there are ${known.join(', ')}`);
  const minVersion = numberText(fields, 'minVersion', { min: 1, max: Number.MAX_SAFE_INTEGER });
  if (!minVersion.ok) return minVersion;
  const timeoutMs = numberText(fields, 'timeoutMs', { min: 0, max: httpBounds.readTimeoutMs });
  if (!timeoutMs.ok) return timeoutMs;
  const value = { timeoutMs: timeoutMs.value ?? httpBounds.defaultReadTimeoutMs };
  return { ok: true, value: minVersion.value === undefined ? value : { ...value, minVersion: minVersion.value } };
}

function parseOperation(value: unknown, field: string): Parsed<Operation<Json>> {
  if (!isFields(value)) return badInput(field, 'must be {"put": [key, value]} or {"delete": key}');
  const isPut = 'put' in value;
  if (isPut === 'delete' in value) return badInput(field, 'must have either "put" or "delete"');
  const stranger = unknownField(value, isPut ? ['put', 'ifVersion', 'ifAbsent'] : ['delete', 'ifVersion']);
  if (stranger !== null) return badInput(`${field}.${stranger}`, `is no field of a ${isPut ? 'put' : 'delete'}`);
  const ifVersion = value['ifVersion'];
  if (ifVersion !== undefined && parseVersion(ifVersion) === null) {
    return badInput(`${field}.ifVersion`, 'must be a version, a whole number of at least 1');
  }
  const condition = typeof ifVersion === 'number' ? { ifVersion } : {};
  if (!isPut) {
    const key = parseKey(value['delete'], `${field}.delete`);
    return key.ok ? { ok: true, value: { delete: key.value, ...condition } } : key;
  }
  const put = value['put'];
  if (!Array.isArray(put) || put.length !== 2) return badInput(`${field}.put`, 'must be [key, value]');
  const key = parseKey(put[0], `${field}.put[0]`);
  if (!key.ok) return key;
  const ifAbsent = value['ifAbsent'];
  if (ifAbsent !== undefined && ifAbsent !== true) return badInput(`${field}.ifAbsent`, 'is true or not given');
  if (ifAbsent === true && ifVersion !== undefined)
    return badInput(`${field}.ifAbsent`, 'and ifVersion exclude each other');
  // The body came from JSON text, so the value is JSON.
  const pair: readonly [string, Json] = [key.value, put[1] as Json];
  return { ok: true, value: { put: pair, ...condition, ...(ifAbsent === true ? { ifAbsent } : {}) } };
}

export interface Range {
  readonly min: number;
  readonly max: number;
}

type NumberReader = (fields: Fields, name: string, range: Range) => Parsed<number | undefined>;

function parseChangeOptions(fields: Fields, readNumber: NumberReader): Parsed<ChangeInputOptions> {
  const phases = choice(fields, 'phases', ['one', 'two'] as const);
  if (!phases.ok) return phases;
  const wait = choice(fields, 'wait', ['decided', 'exposed'] as const);
  if (!wait.ok) return wait;
  const commitBy = choice(fields, 'commitBy', deliveryModes);
  if (!commitBy.ok) return commitBy;
  const abortBy = choice(fields, 'abortBy', deliveryModes);
  if (!abortBy.ok) return abortBy;
  const timeoutMs = readNumber(fields, 'timeoutMs', { min: 1, max: httpBounds.changeTimeoutMs });
  if (!timeoutMs.ok) return timeoutMs;
  const voters = parseVoters(fields, readNumber);
  if (!voters.ok) return voters;
  const activateAt = parseActivateAt(fields['activateAt']);
  if (!activateAt.ok) return activateAt;
  if (activateAt.value !== undefined && phases.value === 'one')
    return badInput('activateAt', 'needs two phases: all have to agree on an instant before it');
  return {
    ok: true,
    value: {
      ...(phases.value === undefined ? {} : { phases: phases.value }),
      ...(wait.value === undefined ? {} : { wait: wait.value }),
      ...(commitBy.value === undefined ? {} : { commitBy: commitBy.value }),
      ...(abortBy.value === undefined ? {} : { abortBy: abortBy.value }),
      ...(timeoutMs.value === undefined ? {} : { timeoutMs: timeoutMs.value }),
      ...(voters.value === undefined ? {} : { voters: voters.value }),
      ...(activateAt.value === undefined ? {} : { activateAt: activateAt.value }),
    },
  };
}

/** `2026-12-01T09:00:00Z`, with a zone, so that nobody's own is guessed; or `+5s`, from when the master reads it. */
export function parseInstant(text: string): Date | { readonly inMs: number } | null {
  const [, digits = '', unit = ''] = /^\+(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const unitMs = instantUnitsMs[unit];
  if (unitMs !== undefined) return { inMs: Number(digits) * unitMs };
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$/.test(text)) return null;
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? null : at;
}

function parseActivateAt(value: unknown): Parsed<Date | { readonly inMs: number } | undefined> {
  if (value === undefined) return { ok: true, value };
  const instant = typeof value === 'string' ? parseInstant(value) : null;
  return instant === null
    ? badInput(
        'activateAt',
        'must be an instant with its zone, such as 2026-12-01T09:00:00Z, or a time from now, such as +5s',
      )
    : { ok: true, value: instant };
}

/** The body of `POST /v1/armed/{dataSet}/{version}/cancel`; none is as good as an empty one. */
export function parseCancel(body: unknown): Parsed<{ readonly timeoutMs?: number }> {
  const fields = body === undefined || body === null ? {} : body;
  if (!isFields(fields)) return badInput('body', 'must be an object, or nothing');
  const stranger = unknownField(fields, ['timeoutMs']);
  if (stranger !== null) return badInput(stranger, 'is no field here; there is timeoutMs');
  const timeoutMs = numberField(fields, 'timeoutMs', { min: 1, max: httpBounds.changeTimeoutMs });
  if (!timeoutMs.ok) return timeoutMs;
  return { ok: true, value: timeoutMs.value === undefined ? {} : { timeoutMs: timeoutMs.value } };
}

function parseVoters(fields: Fields, readNumber: NumberReader): Parsed<VoterPolicy | undefined> {
  const value = fields['voters'];
  if (value === 'all' || value === 'live') return { ok: true, value };
  const number = readNumber(fields, 'voters', { min: 1, max: 4096 });
  return number.ok ? number : badInput('voters', 'must be "all", "live" or a whole number of at least 1');
}

function choice<Choice extends string>(
  fields: Fields,
  name: string,
  choices: readonly Choice[],
): Parsed<Choice | undefined> {
  const value = fields[name];
  if (value === undefined) return { ok: true, value: undefined };
  const found = choices.find((one) => one === value);
  return found === undefined
    ? badInput(name, `must be ${choices.map((one) => `"${one}"`).join(' or ')}`)
    : { ok: true, value: found };
}

export function numberField(fields: Fields, name: string, range: Range): Parsed<number | undefined> {
  const value = fields[name];
  if (value === undefined) return { ok: true, value };
  const isGood = typeof value === 'number' && Number.isSafeInteger(value) && value >= range.min && value <= range.max;
  return isGood ? { ok: true, value } : badInput(name, `must be a whole number from ${range.min} to ${range.max}`);
}

export function numberText(fields: Fields, name: string, range: Range): Parsed<number | undefined> {
  const text = fields[name];
  if (text === undefined) return { ok: true, value: undefined };
  const isNumber = typeof text === 'string' && /^\d{1,16}$/.test(text);
  return numberField({ [name]: isNumber ? Number(text) : text }, name, range);
}

export function unknownField(fields: Fields, known: readonly string[]): string | null {
  return (
    Object.keys(fields)
      .find((name) => !known.includes(name))
      ?.slice(0, 64) ?? null
  );
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Half a surrogate pair would come back as another key. */
function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
