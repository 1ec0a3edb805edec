import type { VoterPolicy } from '../../../../shared/protocol/kernel/outcome.js';
import type { Json } from '../../../../shared/protocol/key-value/operations.js';
import { messageKinds } from '../../../../shared/protocol/wire/registry.js';
import type { Place } from './place.js';
import { BadScenario, Place as Places } from './place.js';
import { checkKinds, checkNames } from './read-names.js';
import { readExpectation } from './read-expectation.js';
import type { Action, ChangeRequest, EndMatch, PacketMatch, Scenario, Step } from './scenario.js';
import { callbackNames, moments } from './scenario.js';

export const scenarioKeys = [
  'title',
  'shows',
  'data',
  'slaves',
  'seeds',
  'real',
  'because',
  'historyBytes',
  'callbackMs',
  'ending',
  'steps',
] as const;
const maxSteps = 80;
const maxSlaves = 9;
const maxSeeds = 50;
/** How long an outcome or a condition is waited for when the step doesn't say. */
const patienceMs = 15_000;

/** Reads a scenario file strictly. Throws `BadScenario` for the first thing that is wrong. */
export function readScenario(file: string, text: string): Scenario {
  const place = Places.of(file, text);
  const fields = place.map('a scenario', scenarioKeys);
  const title = fields.get('title')?.string('title');
  const steps = fields.get('steps')?.list('steps');
  if (title === undefined) throw place.wrong('the scenario has no title');
  if (steps === undefined || steps.length === 0) throw place.wrong('the scenario has no steps');
  if (steps.length > maxSteps) throw place.wrong(`a scenario has at most ${maxSteps} steps, not ${steps.length}`);
  const data = fields.get('data')?.oneOf('data', ['key-value', 'counter']) ?? 'key-value';
  const isReal = fields.get('real')?.boolean('real') ?? true;
  const because = fields.get('because')?.string('because') ?? null;
  if (!isReal && because === null) throw place.wrong("'real: false' needs a reason: because: …");
  if (isReal && because !== null) throw place.wrong("'because' belongs to 'real: false'");
  if (isReal && data === 'counter')
    throw place.wrong("'data: counter' needs 'real: false': the binaries serve key-value data");
  for (const key of ['historyBytes', 'callbackMs']) {
    if (isReal && fields.has(key)) throw place.wrong(`'${key}' needs 'real: false': the binaries have no flag for it`);
  }
  const slaves = fields.get('slaves')?.count('slaves', { least: 1, most: maxSlaves }) ?? 2;
  const read = steps.map(readStep);
  checkNames(read, slaves, steps);
  checkKinds(read, data, steps);
  return {
    file,
    title,
    data,
    slaves,
    shows: (fields.get('shows')?.listOrOne('shows') ?? []).map((each) => rowName(each)),
    seeds: fields.get('seeds')?.count('seeds', { least: 1, most: maxSeeds }) ?? 1,
    notReal: isReal ? null : because,
    historyBytes: fields.get('historyBytes')?.count('historyBytes', { least: 1 }) ?? null,
    callbackMs: fields.get('callbackMs')?.duration('callbackMs') ?? null,
    ending: fields.get('ending')?.oneOf('ending', ['converged', 'as it is']) ?? 'converged',
    steps: read,
  };
}

function rowName(place: Place): string {
  const name = place.string('shows');
  if (/^[TGR]\d{1,2}$/.test(name)) return name;
  throw place.wrong(`shows names rows of docs/guarantees.md, like T7 or G1, not ${name}`);
}

type StepReader = (place: Place) => Action;

const stepReaders: Readonly<Record<string, StepReader>> = {
  start: readStart,
  kill: (place) => ({ kind: 'kill', nodes: names(place) }),
  ready: readReady,
  twin: readTwin,
  put: (place) => readPut(place),
  delete: (place) => readDelete(place),
  change: (place) => readOperations(place),
  add: (place) => readAdd(place),
  outcome: readOutcome,
  veto: readVeto,
  accept: (place) => ({ kind: 'accept', node: place.string('accept') }),
  misbehave: readMisbehave,
  drop: (place) => ({ kind: 'drop', ...readPackets('drop', place) }),
  hold: (place) => ({ kind: 'hold', ...readPackets('hold', place) }),
  release: (place) => ({ kind: 'release', name: place.string('release') }),
  partition: readPartition,
  heal: (place) => {
    place.oneOf('heal', ['network']);
    return { kind: 'heal' };
  },
  disk: readDisk,
  crash: readCrash,
  wait: (place) => ({ kind: 'wait', ms: place.duration('wait') }),
  mark: (place) => {
    place.oneOf('mark', ['here']);
    return { kind: 'mark' };
  },
  expect: (place) => ({ kind: 'expect', expectation: readExpectation(place, patienceMs) }),
};

export const stepNames = Object.keys(stepReaders);

function readStep(place: Place): Step {
  const fields = place.map('a step', [...stepNames, 'note']);
  const [first, second] = [...fields.keys()].filter((key) => key !== 'note');
  if (first === undefined) throw place.wrong(`a step is one of ${stepNames.join(', ')}`);
  if (second !== undefined) throw place.wrong(`a step does one thing: '${first}' and '${second}' are two`);
  const value = fields.get(first);
  const read = stepReaders[first];
  if (value === undefined || read === undefined) throw new BadScenario(`no reader for ${first}`);
  const note = fields.get('note')?.string('note') ?? null;
  return { line: place.line, text: `${first} ${value.text}`, note, action: read(value) };
}

// ── the group ───────────────────────────────────────────────────────────────────────────────────────────────────────

function names(place: Place): readonly string[] {
  return place.listOrOne('nodes').map((each) => each.string('a node'));
}

function readStart(place: Place): Action {
  if (place.isText || Array.isArray(place.value)) return { kind: 'start', nodes: names(place), crashAt: null };
  const fields = place.map('start', ['nodes', 'crashAt', 'occurrence']);
  const nodes = needed(place, fields, 'nodes');
  const crashAt = needed(place, fields, 'crashAt').oneOf('crashAt', ['after-decision']);
  const occurrence = fields.get('occurrence')?.count('occurrence', { least: 1 }) ?? 1;
  return { kind: 'start', nodes: names(nodes), crashAt: { name: crashAt, occurrence } };
}

function readReady(place: Place): Action {
  if (place.isText || Array.isArray(place.value)) return { kind: 'ready', nodes: names(place), withinMs: patienceMs };
  const fields = place.map('ready', ['nodes', 'within']);
  return {
    kind: 'ready',
    nodes: names(needed(place, fields, 'nodes')),
    withinMs: fields.get('within')?.duration('within') ?? patienceMs,
  };
}

function readTwin(place: Place): Action {
  const fields = place.map('twin', ['of', 'as']);
  return { kind: 'twin', of: needed(place, fields, 'of').string('of'), as: needed(place, fields, 'as').string('as') };
}

function readDisk(place: Place): Action {
  const fields = place.map('disk', ['node', 'fails']);
  needed(place, fields, 'fails').oneOf('fails', ['next write']);
  return { kind: 'disk', node: needed(place, fields, 'node').string('node') };
}

function readCrash(place: Place): Action {
  const fields = place.map('crash', ['node', 'before', 'at']);
  const node = needed(place, fields, 'node').string('node');
  const before = fields.get('before');
  const at = fields.get('at');
  if (before !== undefined && at === undefined)
    return { kind: 'crash before', node, message: before.oneOf('before', messageKinds) };
  if (at !== undefined && before === undefined) return { kind: 'crash at', node, moment: at.oneOf('at', moments) };
  throw place.wrong("crash names either 'before' (a kind of message) or 'at' (a moment)");
}

// ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const optionKeys = ['phases', 'voters', 'timeout', 'commitBy', 'abortBy', 'wait', 'as', 'expect'] as const;
const modes = ['multicast', 'unicast', 'heartbeat'] as const;

function readPut(place: Place): Action {
  const fields = place.map('put', ['key', 'value', ...optionKeys]);
  const key = needed(place, fields, 'key').string('key');
  const value = needed(place, fields, 'value').value as Json;
  return readChange(fields, { kind: 'operations', operations: [{ put: [key, value] }] });
}

function readDelete(place: Place): Action {
  const fields = place.map('delete', ['key', ...optionKeys]);
  return readChange(fields, {
    kind: 'operations',
    operations: [{ delete: needed(place, fields, 'key').string('key') }],
  });
}

function readOperations(place: Place): Action {
  const fields = place.map('change', ['put', 'delete', ...optionKeys]);
  const puts = [...(fields.get('put')?.table('put') ?? [])].map(([key, value]) => ({
    put: [key, value.value as Json] as const,
  }));
  const deletes = (fields.get('delete')?.listOrOne('delete') ?? []).map((each) => ({ delete: each.string('delete') }));
  if (puts.length + deletes.length === 0) throw place.wrong('change has nothing to put or delete');
  return readChange(fields, { kind: 'operations', operations: [...puts, ...deletes] });
}

function readAdd(place: Place): Action {
  const fields = place.map('add', ['amount', 'version', 'prior', 'delta', 'content', 'paddingBytes', ...optionKeys]);
  return readChange(fields, {
    kind: 'add',
    amount: needed(place, fields, 'amount').number('amount'),
    version: fields.get('version')?.number('version') ?? null,
    prior: fields.get('prior')?.number('prior') ?? null,
    delta: fields.get('delta')?.oneOf('delta', ['given', 'asked']) ?? 'given',
    content: fields.get('content')?.oneOf('content', ['auto', 'version', 'state', 'change', 'chain']) ?? null,
    paddingBytes: fields.get('paddingBytes')?.count('paddingBytes', { most: 1_000_000 }) ?? 0,
  });
}

function readChange(fields: ReadonlyMap<string, Place>, data: ChangeRequest['data']): Action {
  const expected = fields.get('expect');
  const as = fields.get('as');
  if (expected !== undefined && as !== undefined)
    throw expected.wrong(
      "with 'as' the change goes on beside the next steps; a later 'outcome' step says what is expected",
    );
  return {
    kind: 'change',
    as: as?.string('as') ?? null,
    expect: expected === undefined ? plainCommit : readEnd(expected),
    request: {
      data,
      phases: fields.get('phases')?.oneOf('phases', ['one', 'two']) ?? null,
      voters: readVoters(fields.get('voters')),
      timeoutMs: fields.get('timeout')?.duration('timeout') ?? null,
      commitBy: fields.get('commitBy')?.oneOf('commitBy', modes) ?? null,
      abortBy: fields.get('abortBy')?.oneOf('abortBy', modes) ?? null,
      wait: fields.get('wait')?.oneOf('wait', ['decided', 'exposed']) ?? null,
    },
  };
}

function readVoters(place: Place | undefined): VoterPolicy | null {
  if (place === undefined) return null;
  return place.isText ? place.oneOf('voters', ['all', 'live']) : place.count('voters', { least: 0 });
}

const plainCommit: EndMatch = { kind: 'committed', reason: null, by: null, saying: null, version: null };
const endKinds = ['committed', 'aborted', 'unknown', 'rejected'] as const;

/** `committed`, or `{ aborted: refused, by: [s2], saying: … }`, or `{ rejected: prior-not-current }`. */
function readEnd(place: Place): EndMatch {
  if (place.isText) return { ...plainCommit, kind: place.oneOf('expect', endKinds) };
  const fields = place.map('expect', [...endKinds, 'by', 'saying']);
  const kinds = endKinds.filter((kind) => fields.has(kind));
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) throw place.wrong(`expect names one of ${endKinds.join(', ')}`);
  const detail = needed(place, fields, kind);
  return {
    kind,
    version: kind === 'committed' ? detail.count('the version', { least: 1 }) : null,
    reason: kind === 'committed' || kind === 'unknown' ? null : detail.string(`the reason of ${kind}`),
    by:
      fields
        .get('by')
        ?.listOrOne('by')
        .map((each) => each.string('by')) ?? null,
    saying: kind === 'unknown' ? detail.string('unknown') : (fields.get('saying')?.string('saying') ?? null),
  };
}

function readOutcome(place: Place): Action {
  const fields = place.map('outcome', ['of', 'is', 'within']);
  return {
    kind: 'outcome',
    of: needed(place, fields, 'of').string('of'),
    expect: readEnd(needed(place, fields, 'is')),
    withinMs: fields.get('within')?.duration('within') ?? patienceMs,
  };
}

// ── user layers ─────────────────────────────────────────────────────────────────────────────────────────────────────

function readVeto(place: Place): Action {
  const fields = place.map('veto', ['node', 'reason', 'key', 'below']);
  return {
    kind: 'veto',
    veto: {
      node: needed(place, fields, 'node').string('node'),
      reason: needed(place, fields, 'reason').string('reason'),
      key: fields.get('key')?.string('key') ?? null,
      below: fields.get('below')?.number('below') ?? null,
    },
  };
}

function readMisbehave(place: Place): Action {
  const fields = place.map('misbehave', ['node', 'callback', 'how', 'times', 'for']);
  return {
    kind: 'misbehave',
    misbehaviour: {
      node: needed(place, fields, 'node').string('node'),
      callback: needed(place, fields, 'callback').oneOf('callback', callbackNames),
      how: needed(place, fields, 'how').oneOf('how', ['throw', 'hang', 'nothing', 'lie']),
      times: fields.get('times')?.count('times', { least: 1 }) ?? 1,
      forMs: fields.get('for')?.duration('for') ?? null,
    },
  };
}

// ── the network ─────────────────────────────────────────────────────────────────────────────────────────────────────

function readPackets(what: string, place: Place): { readonly match: PacketMatch; readonly as: string } {
  const fields = place.map(what, ['kind', 'except', 'from', 'to', 'percent', 'as']);
  const kindsOf = (key: string) =>
    fields
      .get(key)
      ?.listOrOne(key)
      .map((each) => each.oneOf(key, messageKinds)) ?? null;
  const nodesOf = (key: string) =>
    fields
      .get(key)
      ?.listOrOne(key)
      .map((each) => each.string(key)) ?? null;
  return {
    as: fields.get('as')?.string('as') ?? `${what} at line ${place.line}`,
    match: {
      kinds: kindsOf('kind'),
      except: kindsOf('except'),
      from: nodesOf('from'),
      to: nodesOf('to'),
      percent: fields.get('percent')?.count('percent', { least: 1, most: 100 }) ?? 100,
    },
  };
}

function readPartition(place: Place): Action {
  const fields = place.map('partition', ['one', 'other']);
  return { kind: 'partition', one: names(needed(place, fields, 'one')), other: names(needed(place, fields, 'other')) };
}

function needed(place: Place, fields: ReadonlyMap<string, Place>, key: string): Place {
  const found = fields.get(key);
  if (found === undefined) throw place.wrong(`'${key}' is missing`);
  return found;
}
