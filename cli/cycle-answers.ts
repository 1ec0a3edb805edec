import type { CycleBody } from '../activation/core/bodies.js';
import type { CycleCopyStatusBody } from '../activation/copy/http/bodies.js';

/** What is shown was made by the program that was asked; here it only is told apart. */
export function isCycle(body: unknown): body is CycleBody {
  return (
    isFields(body) && typeof body['activateAtMs'] === 'number' && isFields(body['items']) && isFields(body['clock'])
  );
}

export function isCycleCopyStatus(body: unknown): body is CycleCopyStatusBody {
  return isFields(body) && body['role'] === 'cycle-copy' && typeof body['state'] === 'string';
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
