import { resyncCauses } from '../../protocol/kernel/resyncs.js';
import { choice, count, flag, list, moment, number, object, orNull, ref, text, type Schema } from './build.js';

const version: Schema = { type: 'integer', minimum: 1 };
const tip = { epoch: count, version: count, chainId: text };
const lastVote = orNull(object({ version, yes: flag, reason: text }));
const resyncs = object(Object.fromEntries(resyncCauses.map((cause) => [cause, count])), resyncCauses);
const slaveState = choice('current', 'serving', 'catching up', 'diverged', 'failed');
const operation: Schema = {
  oneOf: [
    object({ put: { type: 'array', minItems: 2, maxItems: 2 }, ifVersion: version, ifAbsent: { const: true } }, [
      'ifVersion',
      'ifAbsent',
    ]),
    object({ delete: text, ifVersion: version }, ['ifVersion']),
  ],
};

const votes = object({ yes: count, no: count, silent: count });
const committed = { outcome: { const: 'committed' }, ...tip, durationMs: number, votes, durable: flag };
const refusals = list(object({ node: text, reason: text, operations: list(count) }, ['operations']));
const failures = list(object({ operation: count, key: text, actual: orNull(version) }));
const aborted = { outcome: { const: 'aborted' }, reason: text, refusals, failures, durationMs: number };
const arming = { armed: count, of: count, missing: list(text) };
const armed = {
  outcome: { const: 'armed' },
  ...tip,
  activateAt: moment,
  arming: object(arming),
  durationMs: number,
  votes,
  durable: flag,
};
const unknown = { outcome: { const: 'unknown' }, reason: text, durationMs: number };

/** What travels, by the names that `bodies.ts` gives it. */
export const schemas: Readonly<Record<string, Schema>> = {
  Error: object({
    error: object({ code: text, message: text, field: text, earliestAt: moment, latestAt: moment }, [
      'field',
      'earliestAt',
      'latestAt',
    ]),
  }),
  WriteAtSlave: object({ error: object({ code: text, message: text }), master: orNull(text) }),
  Tip: object(tip),
  Veto: object({ version, reason: text, at: moment }),
  Entry: object({ key: text, value: {}, version }),
  Page: object({ epoch: count, version: count, entries: list(ref('Entry')), next: orNull(text) }),
  Reads: object({ epoch: count, version: count, entries: list(ref('Entry')), missing: list(text) }),
  Change: object(
    {
      operations: { type: 'array', minItems: 1, maxItems: 100_000, items: operation },
      phases: choice('one', 'two'),
      timeoutMs: { type: 'integer', minimum: 1, maximum: 600_000 },
      voters: { anyOf: [choice('all', 'live'), { type: 'integer', minimum: 1 }] },
      commitBy: choice('multicast', 'unicast', 'heartbeat'),
      abortBy: choice('multicast', 'unicast', 'heartbeat'),
      wait: choice('decided', 'exposed'),
      activateAt: text,
    },
    ['phases', 'timeoutMs', 'voters', 'commitBy', 'abortBy', 'wait', 'activateAt'],
  ),
  Committed: object(committed),
  Armed: object(armed),
  Cancelled: object({ outcome: { const: 'cancelled' }, version, durationMs: number }),
  Stands: object({
    outcome: { const: 'stands' },
    version,
    activateAt: moment,
    missing: list(text),
    durationMs: number,
  }),
  Cancel: object({ timeoutMs: { type: 'integer', minimum: 1, maximum: 600_000 } }, ['timeoutMs']),
  Aborted: object(aborted, ['failures']),
  Unknown: object(unknown),
  Pending: object({ outcome: { const: 'pending' } }),
  Files: object({ added: list(text), changed: list(text), removed: list(text), count }),
  Published: object({ ...committed, files: ref('Files') }),
  PublishArmed: object({ ...armed, files: ref('Files') }),
  NotPublished: object({ ...aborted, files: ref('Files') }, ['failures']),
  PublishedUnknown: object({ ...unknown, files: ref('Files') }),
  Unchanged: object({ outcome: { const: 'unchanged' }, version: count }),
  Publish: object(
    {
      allowEmpty: flag,
      phases: choice('one', 'two'),
      timeoutMs: { type: 'integer', minimum: 1, maximum: 600_000 },
      voters: { anyOf: [choice('all', 'live'), { type: 'integer', minimum: 1 }] },
      wait: choice('decided', 'exposed'),
      activateAt: text,
    },
    ['allowEmpty', 'phases', 'timeoutMs', 'voters', 'wait', 'activateAt'],
  ),
  Member: object({
    node: text,
    live: flag,
    state: orNull(slaveState),
    tip: orNull(ref('Tip')),
    behind: orNull(count),
    behindMs: orNull(number),
    heardMsAgo: orNull(number),
    lastVote,
    lastVeto: orNull(ref('Veto')),
    inDoubt: count,
    oldestInDoubtMs: orNull(number),
    roundTripMs: orNull(number),
    repairs: count,
    snapshots: count,
    resyncs,
  }),
  OpenRound: object({
    round: count,
    version,
    phase: choice('preparing', 'waiting', 'deciding'),
    ageMs: number,
    voters: list(text),
    missing: list(text),
  }),
  ArmedChange: object({
    version,
    activateAt: moment,
    inMs: number,
    phase: choice('armed', 'cancelling', 'withdrawing', 'activating'),
    ...arming,
  }),
  Activation: object({
    version,
    activateAt: moment,
    exposed: count,
    of: count,
    missing: list(text),
    spreadMs: orNull(number),
    boundMs: orNull(number),
  }),
  ArmedHere: object({ version, activateAt: moment, armed: flag, inMs: orNull(number) }),
  MasterDataSet: object({
    dataSet: text,
    phase: choice('opening', 'surveying', 'claiming', 'leading', 'closing', 'halted'),
    epoch: count,
    tip: orNull(ref('Tip')),
    mayCommit: flag,
    entries: count,
    stateDigest: orNull(text),
    queued: count,
    openRounds: list(ref('OpenRound')),
    armed: orNull(ref('ArmedChange')),
    activation: orNull(ref('Activation')),
    historyBytes: count,
    members: list(ref('Member')),
  }),
  InDoubt: object({ round: text, version, ageMs: number, voters: count, masterCannotTell: flag }),
  Resolved: object({ round: text, version, outcome: choice('committed', 'aborted'), by: text, at: moment }),
  SlaveDataSet: object({
    dataSet: text,
    state: slaveState,
    tip: orNull(ref('Tip')),
    heardOf: orNull(ref('Tip')),
    master: orNull(text),
    entries: count,
    stateDigest: orNull(text),
    behind: orNull(count),
    behindMs: orNull(number),
    lastVote,
    lastVeto: orNull(ref('Veto')),
    inDoubt: list(ref('InDoubt')),
    armed: orNull(ref('ArmedHere')),
    resolved: list(ref('Resolved')),
    reason: text,
    repairs: count,
    snapshots: count,
    resyncs,
    clock: orNull(ref('Clock')),
  }),
  Clock: object({ earliestMs: number, groupMs: number, latestMs: number, errorMs: number, offsetMs: number }),
  Network: object({
    transport: choice('auto', 'multicast', 'unicast'),
    address: text,
    unreached: list(text),
    unheard: list(text),
    receiveBufferBytes: count,
    kernelDrops: orNull(count),
    at: moment,
  }),
  MasterStatus: object({
    node: text,
    role: { const: 'master' },
    dataSets: list(ref('MasterDataSet')),
    network: orNull(ref('Network')),
  }),
  SlaveStatus: object({
    node: text,
    role: { const: 'slave' },
    dataSets: list(ref('SlaveDataSet')),
    network: orNull(ref('Network')),
  }),
  Rounds: object({ dataSet: text, rounds: list(ref('PastRound')) }),
  PastRound: object({
    round: text,
    version,
    phases: choice('one', 'two'),
    startedAt: moment,
    outcome: choice('open', 'armed', 'committed', 'aborted', 'unknown'),
    reason: orNull(text),
    decidedMs: orNull(number),
    exposedMs: orNull(number),
    operations: orNull(count),
    bytes: orNull(count),
    votes: list(object({ node: text, yes: flag, reason: text, afterMs: number })),
    missing: list(text),
    activation: orNull(object({ at: moment, armed: count, of: count })),
  }),
  FeedRecord: object({
    epoch: count,
    version,
    chainId: text,
    prior: orNull(version),
    operations: list({
      oneOf: [object({ put: { type: 'array', minItems: 2, maxItems: 2 } }), object({ delete: text })],
    }),
  }),
  Ready: object({ ready: flag, reasons: list(text), checks: list(object({ name: text, ok: flag, text })) }, ['checks']),
};
