import { isDeepStrictEqual } from 'node:util';
import type { ChangeEnd, Count, EndMatch, Expectation } from './scenario.js';
import type { NodeAccount, Stage } from './stage.js';

/** Null: it is as expected. Otherwise the first thing that isn't, with what is there. */
export async function mismatch(stage: Stage, expected: Expectation, nodes: readonly string[]): Promise<string | null> {
  for (const node of nodes) {
    const found = await nodeMismatch(stage, node, expected);
    if (found !== null) return `${node}: ${found}`;
  }
  return expected.same ? difference(stage, nodes) : null;
}

async function nodeMismatch(stage: Stage, node: string, expected: Expectation): Promise<string | null> {
  const account = await stage.account(node);
  if (expected.down !== null && (account === null) !== expected.down) return account === null ? 'is down' : 'is up';
  if (expected.halted !== null) {
    const codes = stage.events(node).flatMap(({ name, fields }) => (name === 'halted' ? [String(fields['code'])] : []));
    if (!codes.includes(expected.halted))
      return codes.length === 0 ? 'has not halted' : `halted with ${codes.join(', ')}`;
  }
  return (await accountMismatch(stage, node, account, expected)) ?? countMismatch(stage, node, expected);
}

async function accountMismatch(
  stage: Stage,
  node: string,
  account: NodeAccount | null,
  expected: Expectation,
): Promise<string | null> {
  const { version, state, inDoubt, snapshots, values, missing, total } = expected;
  const asks =
    [version, state, inDoubt, snapshots, total].some((each) => each !== null) || values.size + missing.length > 0;
  if (!asks) return null;
  if (account === null) return 'is down';
  if (version !== null && account.version !== version) return `is at version ${account.version}`;
  if (state !== null && account.state !== state) return `is ${account.state}`;
  if (inDoubt !== null && account.inDoubt !== inDoubt) return `is in doubt about ${account.inDoubt}`;
  if (snapshots !== null && !fits(account.snapshots, snapshots)) return `took ${account.snapshots} snapshots`;
  for (const [key, value] of values) {
    const found = await stage.valueOf(node, key);
    if (!isDeepStrictEqual(found, value))
      return `${key} is ${found === undefined ? 'not there' : JSON.stringify(found)}`;
  }
  for (const key of missing) {
    const found = await stage.valueOf(node, key);
    if (found !== undefined) return `${key} is ${JSON.stringify(found)}`;
  }
  if (total === null) return null;
  const found = await stage.totalOf(node);
  return found === total ? null : `the total is ${found}`;
}

async function countMismatch(stage: Stage, node: string, expected: Expectation): Promise<string | null> {
  const events = stage.events(node);
  if (expected.exposed !== null) {
    const exposed = events.flatMap(({ name, fields }) => (name === 'exposed' ? [fields['version']] : []));
    if (!isDeepStrictEqual(exposed, expected.exposed)) return `exposed [${exposed.join(', ')}]`;
  }
  for (const [name, count] of expected.events) {
    const found = events.filter((event) => event.name === name).length;
    if (!fits(found, count)) return `${found} times '${name}'`;
  }
  if (expected.sent.size > 0) {
    const sent = await stage.sent(node);
    for (const [kind, count] of expected.sent) {
      if (!fits(sent.get(kind) ?? 0, count)) return `sent ${sent.get(kind) ?? 0} ${kind}`;
    }
  }
  for (const [callback, count] of expected.calls) {
    const found = stage.calls(node).get(callback) ?? 0;
    if (!fits(found, count)) return `${found} calls of ${callback}`;
  }
  return null;
}

function fits(found: number, count: Count): boolean {
  return count.exactly ? found === count.count : found >= count.count;
}

async function difference(stage: Stage, nodes: readonly string[]): Promise<string | null> {
  const accounts: (readonly [string, NodeAccount | null])[] = [];
  for (const node of nodes) accounts.push([node, await stage.account(node)]);
  const [first] = accounts;
  if (first === undefined) return null;
  for (const [node, account] of accounts) {
    if (account === null) return `${node} is down`;
    if (account.tip !== first[1]?.tip)
      return `${node} is at ${account.tip}, ${first[0]} at ${first[1]?.tip ?? 'nothing'}`;
    if (account.digest === null || account.digest !== first[1].digest) {
      return `${node} and ${first[0]} are at ${account.tip} with contents ${account.digest ?? 'unknown'} and ${first[1].digest ?? 'unknown'}`;
    }
  }
  return null;
}

/** Null: the change ended as expected. */
export function endMismatch(end: ChangeEnd | null, expected: EndMatch): string | null {
  if (end === null) return 'nobody knows the outcome yet';
  const shown = showEnd(end);
  if (end.kind !== expected.kind) return shown;
  if (end.kind === 'committed') return expected.version === null || end.version === expected.version ? null : shown;
  const texts =
    end.kind === 'aborted'
      ? end.refusals.map(({ reason }) => reason)
      : [end.kind === 'unknown' ? end.reason : end.text];
  const { saying } = expected;
  if (saying !== null && (texts.length === 0 || !texts.every((text) => text.includes(saying)))) return shown;
  const reason = end.kind === 'rejected' ? end.code : end.reason;
  if (expected.reason !== null && reason !== expected.reason) return shown;
  if (end.kind !== 'aborted' || expected.by === null) return null;
  const by = end.refusals.map(({ node }) => node).sort();
  return isDeepStrictEqual(by, [...expected.by].sort()) ? null : shown;
}

export function showEnd(end: ChangeEnd): string {
  switch (end.kind) {
    case 'committed':
      return `committed as version ${end.version}`;
    case 'aborted':
      return `aborted, ${end.reason}${end.refusals.map(({ node, reason }) => `; ${node}: ${reason}`).join('')}`;
    case 'unknown':
      return `unknown: ${end.reason}`;
    case 'rejected':
      return `rejected, ${end.code}: ${end.text}`;
  }
}
