import {
  choice,
  count,
  dataSet,
  flag,
  inPath,
  inQuery,
  json,
  number,
  object,
  orNull,
  ref,
  text,
  type Operation,
  type Role,
  type Schema,
} from './build.js';

const at: readonly Role[] = ['cycle-copy'];

export const cycleCopySchemas: Readonly<Record<string, Schema>> = {
  CycleCopyStatus: object({
    node: text,
    role: { const: 'cycle-copy' },
    from: text,
    dataSet: text,
    state: choice('current', 'serving', 'catching up', 'failed'),
    reason: text,
    active: orNull(count),
    staged: orNull(count),
    entries: count,
    stateDigest: orNull(text),
    table: orNull(
      object({
        source: text,
        cycle: count,
        activateAtMs: number,
        intervalMs: number,
        activeCycle: count,
        readMsAgo: number,
      }),
    ),
    armed: orNull(object({ cycle: count, activateAtMs: number, inMs: number })),
    clock: orNull(object({ nowMs: number, errorMs: number })),
    retrieval: orNull(object({ cycle: count, durationMs: number, longestMs: number })),
    lastActivation: orNull(
      object({ cycle: count, activateAtMs: orNull(number), reachedMs: number, errorMs: number, late: flag }),
    ),
  }),
};

const notHere = json('A copy takes no changes; `master` is where its data server is.', ref('WriteAtSlave'));

/** What a copy of a pull cycle serves beside the reads that it has in common with master and slave. */
export const cycleCopyOperations: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/status',
    operationId: 'status',
    summary: "The copy's account of itself: what it shows and waits for, its clock, and its last activation",
    tag: 'node',
    at,
    parameters: [inQuery('digest', '`true`: with the digest of large copies too.', text)],
    answers: { 200: json('The account.', ref('CycleCopyStatus')) },
  },
  ...(
    [
      ['put', '/v1/data/{dataSet}/{key}', [dataSet, inPath('key', 'The key, percent-encoded.')]],
      ['delete', '/v1/data/{dataSet}/{key}', [dataSet, inPath('key', 'The key, percent-encoded.')]],
      ['post', '/v1/changes/{dataSet}', [dataSet]],
    ] as const
  ).map(([method, path, parameters], index): Operation => ({
    method,
    path,
    operationId: `notAtACopy${index + 1}`,
    summary: 'Not at a copy: edit production at the data server',
    tag: 'changes',
    at,
    parameters,
    answers: { 421: notHere },
  })),
];
