import type { Place } from './place.js';
import type { Action, Scenario, Step } from './scenario.js';

/** Every node, change and interception that a step names exists by then. Throws `BadScenario` for the first that doesn't. */
export function checkNames(steps: readonly Step[], slaves: number, places: readonly Place[]): void {
  const nodes = ['all', 'slaves', 'master', ...Array.from({ length: slaves }, (_, index) => `s${index + 1}`)];
  const changes: string[] = [];
  const interceptions: string[] = [];
  for (const [index, { action }] of steps.entries()) {
    const place = places[index];
    const known = (what: string, names: readonly string[], among: readonly string[]): void => {
      for (const name of names) place?.nameAmong(what, name, among);
    };
    known('the group', nodesOf(action), nodes);
    if (action.kind === 'outcome') known('the scenario has started no change as', [action.of], changes);
    if (action.kind === 'release') known('nothing is dropped or held as', [action.name], interceptions);
    if (action.kind === 'twin') nodes.push(action.as);
    if (action.kind === 'change' && action.as !== null) changes.push(action.as);
    if (action.kind === 'drop' || action.kind === 'hold') interceptions.push(action.as);
  }
}

function nodesOf(action: Action): readonly string[] {
  switch (action.kind) {
    case 'start':
    case 'kill':
    case 'ready':
      return action.nodes;
    case 'expect':
      return action.expectation.nodes;
    case 'twin':
      return [action.of];
    case 'accept':
    case 'disk':
    case 'crash before':
    case 'crash at':
      return [action.node];
    case 'veto':
      return [action.veto.node];
    case 'misbehave':
      return [action.misbehaviour.node];
    case 'drop':
    case 'hold':
      return [...(action.match.from ?? []), ...(action.match.to ?? [])];
    case 'partition':
      return [...action.one, ...action.other];
    default:
      return [];
  }
}

/** Counters are added to and have totals; key-value data is put, deleted and read by key. */
export function checkKinds(steps: readonly Step[], data: Scenario['data'], places: readonly Place[]): void {
  for (const [index, { action }] of steps.entries()) {
    const place = places[index];
    if (place === undefined) continue;
    if (action.kind === 'change' && (action.request.data.kind === 'add') !== (data === 'counter')) {
      throw place.wrong(
        data === 'counter' ? "with 'data: counter', changes are made by 'add'" : "'add' needs 'data: counter'",
      );
    }
    if (action.kind !== 'expect') continue;
    const { total, values, missing } = action.expectation;
    if (total !== null && data !== 'counter') throw place.wrong("'total' needs 'data: counter'");
    if (values.size + missing.length > 0 && data === 'counter')
      throw place.wrong("with 'data: counter', expect a 'total'");
  }
}
