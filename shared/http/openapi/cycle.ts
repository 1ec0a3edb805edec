import {
  count,
  flag,
  inPath,
  inQuery,
  json,
  list,
  number,
  object,
  orNull,
  ref,
  text,
  type Operation,
  type Parameter,
  type Role,
  type Schema,
} from './build.js';

const at: readonly Role[] = ['data-server'];
const name: Schema = { type: 'string', minLength: 1, maxLength: 200 };
const instant: Schema = { type: 'integer' };
const positive: Schema = { type: 'integer', minimum: 1 };
const lock = object({ holder: text, untilMs: instant });
const retrieval = { by: text, cycle: count, durationMs: number, atMs: instant };
const table = {
  source: text,
  cycle: positive,
  activateAtMs: instant,
  intervalMs: positive,
  originMs: instant,
  active: object({ cycle: count, activatedAtMs: orNull(instant) }),
  items: object({ production: count, staged: count, active: count }),
  waiting: count,
  lock: orNull(lock),
  worstRetrieval: orNull(object(retrieval)),
  intervalFits: flag,
  clock: ref('CycleClock'),
};
const put: Schema = { type: 'array', minItems: 2, maxItems: 2 };
const item = { key: text, value: {}, notBeforeMs: orNull(instant), waiting: flag };

/** What travels between a data server, the servers that copy from it, and management tools. */
export const cycleSchemas: Readonly<Record<string, Schema>> = {
  CycleClock: object({ id: text, receivedMs: number, sentMs: number }),
  Cycle: object(table),
  Rolled: object({ ...table, rolled: flag }),
  Promoted: object({ ...table, promoted: count }),
  Locked: object({ error: object({ code: { const: 'locked' }, message: text }), lock, clock: ref('CycleClock') }),
  CycleChanges: object({
    source: text,
    cycle: count,
    activateAtMs: orNull(instant),
    from: orNull(count),
    changes: list({ oneOf: [object({ put }), object({ delete: text })] }),
    next: orNull(text),
    clock: ref('CycleClock'),
  }),
  CycleItem: object(item),
  CycleItems: object({ items: list(ref('CycleItem')), next: orNull(text) }),
  Edited: object({ changed: count }),
};

const answersTable = { 200: json('The table, as it is then.', ref('Cycle')) };
const locked = {
  409: json('Somebody has the lock, or it does not fit; the message has the figures.', {
    oneOf: [ref('Locked'), ref('Error')],
  }),
};
const key: Parameter = inPath('key', 'The key.');
const changesParameters: readonly Parameter[] = [
  inQuery('since', 'The cycle that the asker holds; default: none, and the answer is the whole copy.', count),
  inQuery('source', 'The database that it holds it of, as an answer named it.', text),
  inQuery('cycle', 'Of the pages before; 409 when there is another one by now.', count),
  inQuery('after', 'The next of the page before.', text),
  inQuery('limit', 'How many changes at most; default 10,000.', positive),
];

/** The synchronisation table, the copies, and production. */
export const cycleOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/cycle',
    operationId: 'cycle',
    summary: 'The synchronisation table',
    tag: 'cycle',
    at,
    answers: answersTable,
  },
  {
    method: 'post',
    path: '/v1/cycle/roll',
    operationId: 'roll',
    summary: 'Rolls when the activation time has passed: active from staged, then staged from production',
    tag: 'cycle',
    at,
    body: object({ by: name }),
    answers: { 200: json('The table afterwards.', ref('Rolled')), ...locked },
    errors: [413, 415],
  },
  {
    method: 'get',
    path: '/v1/cycle/staged',
    operationId: 'stagedChanges',
    summary: 'What leads from what the asker holds to what is staged',
    tag: 'cycle',
    at,
    parameters: changesParameters,
    answers: { 200: json('A page of it.', ref('CycleChanges')) },
    errors: [409],
  },
  {
    method: 'get',
    path: '/v1/cycle/active',
    operationId: 'activeChanges',
    summary: 'What leads from what the asker holds to what is active now, whether or not anybody has rolled',
    tag: 'cycle',
    at,
    parameters: changesParameters,
    answers: { 200: json('A page of it.', ref('CycleChanges')) },
    errors: [409],
  },
  {
    method: 'post',
    path: '/v1/cycle/retrievals',
    operationId: 'reportRetrieval',
    summary: 'Says how long a server took to retrieve a cycle',
    tag: 'cycle',
    at,
    body: object({ by: name, cycle: count, durationMs: number }),
    answers: answersTable,
    errors: [413, 415],
  },
  {
    method: 'put',
    path: '/v1/cycle/interval',
    operationId: 'setInterval',
    summary: 'Another interval, from the next roll on',
    tag: 'operators',
    at,
    body: object({ intervalMs: positive, originMs: instant }, ['originMs']),
    answers: { ...answersTable, ...locked },
    errors: [413, 415],
  },
  {
    method: 'post',
    path: '/v1/cycle/promote',
    operationId: 'promote',
    summary: 'Stages what waits in production now, or some keys of it',
    tag: 'operators',
    at,
    body: object({ keys: list(text) }, ['keys']),
    answers: { 200: json('The table afterwards.', ref('Promoted')), ...locked },
    errors: [413, 415],
  },
  {
    method: 'post',
    path: '/v1/cycle/activate-now',
    operationId: 'activateNow',
    summary: 'Puts the next activation to now, or to so long from now',
    tag: 'operators',
    at,
    body: object({ inMs: count }, ['inMs']),
    answers: { ...answersTable, ...locked },
    errors: [413, 415],
  },
  {
    method: 'get',
    path: '/v1/items',
    operationId: 'listItems',
    summary: 'Items of production, in the order of their keys',
    tag: 'data',
    at,
    parameters: [
      inQuery('prefix', 'Only keys that begin with it.', text),
      inQuery('after', 'Only keys behind this one.', text),
      inQuery('limit', 'How many at most; default 100, at most 1000.', positive),
    ],
    answers: { 200: json('The items.', ref('CycleItems')) },
  },
  {
    method: 'post',
    path: '/v1/items',
    operationId: 'editItems',
    summary: 'Edits production by all of these operations or by none',
    tag: 'data',
    at,
    body: object({
      operations: list({
        oneOf: [object({ put, notBeforeMs: instant }, ['notBeforeMs']), object({ delete: text })],
      }),
    }),
    answers: { 200: json('It is on the disk.', ref('Edited')) },
    errors: [413, 415],
  },
  {
    method: 'get',
    path: '/v1/items/{key}',
    operationId: 'getItem',
    summary: 'An item of production',
    tag: 'data',
    at,
    parameters: [key],
    answers: { 200: json('The item.', ref('CycleItem')) },
    errors: [414],
  },
  {
    method: 'put',
    path: '/v1/items/{key}',
    operationId: 'putItem',
    summary: 'Gives an item of production a value, and a date if it is to show later',
    tag: 'data',
    at,
    parameters: [key],
    body: object({ value: {}, notBeforeMs: instant }, ['notBeforeMs']),
    answers: { 200: json('It is on the disk.', ref('Edited')) },
    errors: [413, 414, 415],
  },
  {
    method: 'delete',
    path: '/v1/items/{key}',
    operationId: 'deleteItem',
    summary: 'Takes an item out of production',
    tag: 'data',
    at,
    parameters: [key],
    answers: { 200: json('It is on the disk.', ref('Edited')) },
    errors: [414],
  },
];
