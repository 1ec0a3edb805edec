import type { Json } from '../../../../shared/protocol/key-value/operations.js';
import { messageKinds } from '../../../../shared/protocol/wire/registry.js';
import type { Place } from './place.js';
import type { Count, Expectation } from './scenario.js';
import { callbackNames } from './scenario.js';

export const expectationKeys = [
  'nodes',
  'version',
  'state',
  'values',
  'missing',
  'total',
  'inDoubt',
  'snapshots',
  'halted',
  'down',
  'same',
  'exposed',
  'calls',
  'sent',
  'events',
  'within',
  'throughout',
] as const;

/** What an `expect` step says; a step that says nothing is an error. */
export function readExpectation(place: Place, patienceMs: number): Expectation {
  const fields = place.map('expect', expectationKeys);
  const nodes = fields.get('nodes');
  if (nodes === undefined) throw place.wrong("expect names its nodes: nodes: [s1, s2], or 'all', 'slaves'");
  const demands = [...fields.keys()].filter((key) => !['nodes', 'within', 'throughout'].includes(key));
  if (demands.length === 0)
    throw place.wrong(`expect says nothing about its nodes; it knows ${expectationKeys.slice(1).join(', ')}`);
  return {
    nodes: nodes.listOrOne('nodes').map((each) => each.string('a node')),
    version: fields.get('version')?.count('version') ?? null,
    state: fields.get('state')?.string('state') ?? null,
    values: new Map(
      [...(fields.get('values')?.table('values') ?? [])].map(([key, value]) => [key, value.value as Json]),
    ),
    missing:
      fields
        .get('missing')
        ?.listOrOne('missing')
        .map((each) => each.string('missing')) ?? [],
    total: fields.get('total')?.number('total') ?? null,
    inDoubt: fields.get('inDoubt')?.count('inDoubt') ?? null,
    snapshots: optionalCount(fields.get('snapshots'), 'snapshots'),
    halted: fields.get('halted')?.string('halted') ?? null,
    down: fields.get('down')?.boolean('down') ?? null,
    same: fields.get('same')?.boolean('same') ?? false,
    exposed:
      fields
        .get('exposed')
        ?.list('exposed')
        .map((each) => each.count('exposed')) ?? null,
    calls: counts(fields.get('calls'), 'calls', (name, at) => at.keyOneOf('calls', name, callbackNames)),
    sent: counts(fields.get('sent'), 'sent', (name, at) => at.keyOneOf('sent', name, messageKinds)),
    events: counts(fields.get('events'), 'events', (name) => name),
    withinMs: fields.get('within')?.duration('within') ?? patienceMs,
    throughoutMs: fields.get('throughout')?.duration('throughout') ?? null,
  };
}

function counts<Name extends string>(
  place: Place | undefined,
  what: string,
  nameOf: (name: string, at: Place) => Name,
): ReadonlyMap<Name, Count> {
  return new Map([...(place?.table(what) ?? [])].map(([name, value]) => [nameOf(name, value), readCount(value, what)]));
}

function optionalCount(place: Place | undefined, what: string): Count | null {
  return place === undefined ? null : readCount(place, what);
}

/** `3`, or `at least 1`. */
function readCount(place: Place, what: string): Count {
  if (!place.isText) return { exactly: true, count: place.count(what) };
  const match = /^at least (\d+)$/.exec(place.string(what));
  if (match === null) throw place.wrong(`${what} has to be a count, or 'at least 1', not ${place.text}`);
  return { exactly: false, count: Number(match[1]) };
}
