import type { ActivationSpreadBody, CycleBody } from '../activation/core/bodies.js';
import type { CycleCopyStatusBody } from '../activation/copy/http/bodies.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Bodies come from whatever answers at an address: one that lacks what is shown of it is none of ours, and not a text that breaks
 * half way.
 */

/** The table of a data server. */
export function isCycle(body: unknown): body is CycleBody {
  if (!isFields(body) || !areNumbers(body, ['cycle', 'activateAtMs', 'intervalMs', 'originMs', 'waiting']))
    return false;
  const { active, items, clock, lock, worstRetrieval } = body;
  return (
    isFields(active) &&
    areNumbers(active, ['cycle']) &&
    isNumberOrNull(active['activatedAtMs']) &&
    isFields(items) &&
    areNumbers(items, ['production', 'staged', 'active']) &&
    isFields(clock) &&
    areNumbers(clock, ['sentMs']) &&
    isNullOr(lock, (held) => typeof held['holder'] === 'string' && areNumbers(held, ['untilMs'])) &&
    isNullOr(worstRetrieval, (worst) => typeof worst['by'] === 'string' && areNumbers(worst, ['durationMs']))
  );
}

/** What servers reported of activations. */
export function areActivations(body: unknown): body is { readonly activations: readonly ActivationSpreadBody[] } {
  return (
    isFields(body) &&
    Array.isArray(body['activations']) &&
    body['activations'].every(
      (each: unknown) =>
        isFields(each) &&
        areNumbers(each, ['cycle', 'servers', 'late']) &&
        isNumberOrNull(each['spreadMs']) &&
        isNumberOrNull(each['worstErrorMs']),
    )
  );
}

/** The account that a copy gives of itself. */
export function isCycleCopyStatus(body: unknown): body is CycleCopyStatusBody {
  return (
    isFields(body) &&
    body['role'] === 'cycle-copy' &&
    ['node', 'from', 'dataSet', 'state', 'reason'].every((name) => typeof body[name] === 'string') &&
    isNumberOrNull(body['active']) &&
    isNumberOrNull(body['staged']) &&
    isNullOr(body['table'], (table) => areNumbers(table, ['readMsAgo'])) &&
    isNullOr(body['armed'], (armed) => areNumbers(armed, ['cycle', 'activateAtMs', 'inMs'])) &&
    isNullOr(body['clock'], (clock) => areNumbers(clock, ['errorMs'])) &&
    isNullOr(
      body['lastActivation'],
      (last) => areNumbers(last, ['reachedMs', 'errorMs']) && isNumberOrNull(last['activateAtMs']),
    )
  );
}

function isNullOr(value: unknown, isRight: (fields: Fields) => boolean): boolean {
  return value === null || (isFields(value) && isRight(value));
}

function areNumbers(fields: Fields, names: readonly string[]): boolean {
  return names.every((name) => Number.isFinite(fields[name]));
}

function isNumberOrNull(value: unknown): value is number | null {
  return value === null || Number.isFinite(value);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
