import type { Json, Operation } from '../shared/protocol/key-value/operations.js';
import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { ArmingBody, OutcomeBody, RefusalBody } from '../shared/http/bodies.js';

const shownOperations = 3;

/** An outcome as people read it. `operations` are those of the change, so that a refusal names the key. */
export function outcomeText(outcome: OutcomeBody, operations: readonly Operation<Json>[]): string {
  switch (outcome.outcome) {
    case 'committed':
      return `committed · ${committedText(outcome)} · ${durationText(outcome.durationMs)}`;
    case 'armed':
      return `armed · version ${outcome.version} for ${outcome.activateAt} · ${armedText(outcome.arming)} · ${durationText(outcome.durationMs)}`;
    case 'aborted':
      return abortLines(outcome, operations)
        .map((line) => `aborted: ${line}`)
        .join('\n');
    case 'unknown':
      return `unknown: ${outcome.reason}`;
    case 'pending':
      return 'unknown: not decided yet';
  }
}

/** `armed 2/3 (not c)`. */
export function armedText({ armed, of, missing }: ArmingBody): string {
  const shown = missing.slice(0, shownOperations).join(', ');
  return `armed ${armed}/${of}${missing.length === 0 ? '' : ` (not ${shown}${more(missing.length - shownOperations)})`}`;
}

export function exitOfOutcome(outcome: OutcomeBody): ExitCode {
  switch (outcome.outcome) {
    case 'committed':
    case 'armed':
      return exitCodes.ok;
    case 'aborted':
      return exitCodes.aborted;
    case 'unknown':
    case 'pending':
      return exitCodes.unknown;
  }
}

/** `version 5 at 2/2`; without votes, in one phase, just the version. */
export function committedText(outcome: Extract<OutcomeBody, { outcome: 'committed' }>): string {
  return `version ${outcome.version}${votesText(outcome)}${outcome.durable ? '' : ' (in memory only)'}`;
}

export function votesText(outcome: Extract<OutcomeBody, { outcome: 'committed' }>): string {
  const { yes, no, silent } = outcome.votes;
  const asked = yes + no + silent;
  return asked === 0 ? '' : ` at ${yes}/${asked}`;
}

export function durationText(durationMs: number): string {
  return durationMs >= 10 ? `${Math.round(durationMs)} ms` : `${Math.round(durationMs * 100) / 100} ms`;
}

export function operationText(operation: Operation<Json> | undefined): string {
  if (operation === undefined) return 'an operation';
  return 'put' in operation ? `put ${operation.put[0]}` : `delete ${operation.delete}`;
}

function abortLines(
  outcome: Extract<OutcomeBody, { outcome: 'aborted' }>,
  operations: readonly Operation<Json>[],
): readonly string[] {
  const failures = (outcome.failures ?? []).map((failure) => {
    const actual = failure.actual === null ? 'the key does not exist' : `the key is at version ${failure.actual}`;
    return `the condition of ${operationText(operations[failure.operation])} does not hold: ${actual}`;
  });
  const refusals = outcome.refusals.flatMap((refusal) => refusalLines(outcome.reason, refusal, operations));
  const lines = [...failures, ...refusals];
  return lines.length === 0 ? [outcome.reason] : lines;
}

/** The key-value layer's reasons come as one line for each operation, which names it: `put sku-1: cents must be positive`. */
function refusalLines(
  why: string,
  { node, reason, operations: positions }: RefusalBody,
  operations: readonly Operation<Json>[],
): readonly string[] {
  const refused = (positions ?? []).map((position) => operationText(operations[position]));
  if (refused.length === 0) return [why === 'refused' ? `${node} refused: ${reason}` : `${why}: ${node}: ${reason}`];
  const explained = reason.split('\n').filter((line) => refused.some((operation) => line.startsWith(`${operation}: `)));
  if (explained.length === 0) {
    const named = refused.slice(0, shownOperations).join(', ');
    return [`${node} refused ${named}${more(refused.length - shownOperations)}: ${reason}`];
  }
  const rest = more(refused.length - explained.length);
  return [
    ...explained.map((line) => `${node} refused ${line}`),
    ...(rest === '' ? [] : [`${node} refused these${rest}`]),
  ];
}

function more(count: number): string {
  return count > 0 ? ` and ${count} more` : '';
}
