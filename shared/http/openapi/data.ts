import {
  atVersion,
  bothRoles,
  choice,
  count,
  dataSet,
  inPath,
  inQuery,
  json,
  list,
  object,
  ref,
  text,
  type Operation,
  type Parameter,
  type Schema,
} from './build.js';

const key = inPath('key', 'The key, percent-encoded.');
const version: Schema = { type: 'integer', minimum: 1 };
const wait: readonly Parameter[] = [
  inQuery('minVersion', 'Wait until this version, or a later one, shows here.', version),
  inQuery('timeoutMs', 'How long to wait, milliseconds; default 2000.', {
    type: 'integer',
    minimum: 0,
    maximum: 60_000,
  }),
];
const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'Names the change: the same key again answers with the same outcome and changes nothing.',
  schema: { type: 'string', minLength: 1 },
};
const changeOptions: readonly Parameter[] = [
  inQuery('ifVersion', 'Only when the key was last changed by this version.', version),
  inQuery('phases', 'Default: those of the data set.', choice('one', 'two')),
  inQuery('timeoutMs', 'A round that is not decided by then aborts.', {
    type: 'integer',
    minimum: 1,
    maximum: 600_000,
  }),
  inQuery('voters', 'Who has to vote: all, live, or how many at least.', text),
  inQuery('commitBy', 'How a commit travels first.', choice('multicast', 'unicast', 'heartbeat')),
  inQuery('abortBy', 'How an abort travels first.', choice('multicast', 'unicast', 'heartbeat')),
  inQuery('wait', 'Answer at the durable decision, or when the voters show it.', choice('decided', 'exposed')),
];
const outcomes = {
  200: atVersion(json('Committed.', ref('Committed'))),
  409: json('Aborted, or it does not fit the state that there is.', { oneOf: [ref('Aborted'), ref('Error')] }),
  504: json('The outcome is unknown: ask by the idempotency key.', { oneOf: [ref('Unknown'), ref('Error')] }),
};
const atSlave = json('A slave takes no changes; `master` is its name, if heard.', ref('WriteAtSlave'));

/** Reads, and changes. */
export const dataOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/data/{dataSet}/{key}',
    operationId: 'readEntry',
    summary: 'One entry',
    tag: 'data',
    at: bothRoles,
    parameters: [dataSet, key, ...wait],
    answers: { 200: atVersion(json('The entry.', ref('Entry'))) },
    errors: [414, 504],
  },
  {
    method: 'get',
    path: '/v1/data/{dataSet}',
    operationId: 'listEntries',
    summary: 'A page of entries, in key order, at one version',
    tag: 'data',
    at: bothRoles,
    parameters: [
      dataSet,
      inQuery('prefix', 'Keys that begin with it.', text),
      inQuery('after', 'Keys behind it: `next` of the page before.', text),
      inQuery('limit', 'Entries of a page; default 100.', { type: 'integer', minimum: 1, maximum: 10_000 }),
      ...wait,
    ],
    answers: { 200: atVersion(json('The page.', ref('Page'))) },
    errors: [504],
  },
  {
    method: 'post',
    path: '/v1/reads/{dataSet}',
    operationId: 'readMany',
    summary: 'Many keys, all at one version',
    tag: 'data',
    at: bothRoles,
    parameters: [dataSet, ...wait],
    body: object({ keys: { ...list(text), maxItems: 10_000 } }),
    answers: { 200: atVersion(json('What there is, and what is missing.', ref('Reads'))) },
    errors: [413, 415, 504],
  },
  {
    method: 'put',
    path: '/v1/data/{dataSet}/{key}',
    operationId: 'put',
    summary: "The body becomes the key's value",
    tag: 'changes',
    at: ['master'],
    parameters: [
      dataSet,
      key,
      idempotencyKey,
      inQuery('ifAbsent', 'Only when there is no such key.', { const: 'true' }),
      ...changeOptions,
    ],
    body: {},
    answers: outcomes,
    errors: [413, 414, 415],
  },
  {
    method: 'delete',
    path: '/v1/data/{dataSet}/{key}',
    operationId: 'remove',
    summary: 'Removes the key',
    tag: 'changes',
    at: ['master'],
    parameters: [dataSet, key, idempotencyKey, ...changeOptions],
    answers: outcomes,
    errors: [414],
  },
  {
    method: 'post',
    path: '/v1/changes/{dataSet}',
    operationId: 'change',
    summary: 'Many operations, all of them or none',
    tag: 'changes',
    at: ['master'],
    parameters: [dataSet, idempotencyKey],
    body: ref('Change'),
    answers: outcomes,
    errors: [413, 415],
  },
  {
    method: 'get',
    path: '/v1/changes/{dataSet}/{idempotencyKey}',
    operationId: 'outcomeOfChange',
    summary: 'How a change ended',
    tag: 'changes',
    at: ['master'],
    parameters: [dataSet, inPath('idempotencyKey', 'As the change was named.')],
    answers: { ...outcomes, 200: json('Committed.', ref('Committed')), 202: json('It is under way.', ref('Pending')) },
  },
  ...(
    [
      ['put', '/v1/data/{dataSet}/{key}', [dataSet, key]],
      ['delete', '/v1/data/{dataSet}/{key}', [dataSet, key]],
      ['post', '/v1/changes/{dataSet}', [dataSet]],
      ['post', '/v1/members/{dataSet}/{node}/forget', [dataSet, inPath('node', 'The slave.')]],
    ] as const
  ).map(([method, path, parameters], index): Operation => ({
    method,
    path,
    operationId: `notAtASlave${index + 1}`,
    summary: 'Not at a slave: send it to the master',
    tag: 'changes',
    at: ['slave'],
    parameters,
    answers: { 421: atSlave },
  })),
  {
    method: 'get',
    path: '/v1/feed/{dataSet}',
    operationId: 'follow',
    summary: 'Every committed change from a version on, as a stream that goes on',
    tag: 'feed',
    at: bothRoles,
    parameters: [
      dataSet,
      inQuery('since', 'The version that you have; absent: from now on.', count),
      inQuery('epoch', 'The reign of that version, to notice that the history was switched.', count),
      inQuery('chainId', 'The chain id of that version, for the same.', text),
      {
        name: 'Last-Event-ID',
        in: 'header',
        required: false,
        description: 'Sent by a browser that reconnects; wins over `since`.',
        schema: count,
      },
    ],
    answers: {
      200: atVersion({
        description: 'A line for each change, or an event.',
        content: { 'application/x-ndjson': { schema: ref('FeedRecord') }, 'text/event-stream': { schema: text } },
      }),
    },
    errors: [410],
  },
];
