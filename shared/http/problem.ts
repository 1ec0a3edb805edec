import type { FastifyReply } from 'fastify';
import { LockstepError, type ErrorCode } from '../protocol/kernel/errors.js';
import type { ErrorBody } from './bodies.js';

/** What is wrong with a request, or why it can't be served now. Never holds a stack trace. */
export interface Problem {
  readonly status: number;
  readonly code:
    | ErrorCode
    | 'key-unknown'
    | 'route-unknown'
    | 'method-not-allowed'
    | 'unsupported-media-type'
    | 'cross-origin'
    | 'history-pruned'
    | 'history-switched'
    | 'unauthenticated'
    | 'forbidden'
    | 'locked'
    | 'interval-too-short'
    | 'too-late'
    | 'dated-later'
    | 'cycle-moved'
    | 'internal';
  readonly message: string;
  readonly field?: string;
  /** Of an instant that can't be: the nearest that can, Unix time in milliseconds. */
  readonly earliestAtMs?: number | undefined;
  readonly latestAtMs?: number | undefined;
}

export type Parsed<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly problem: Problem };

/** Status of each code that a request can meet; the others are our own bug or a broken machine: 500. */
const statusOfCode: Partial<Record<ErrorCode, number>> = {
  'bad-option': 400,
  'bad-input': 400,
  'bad-operation': 400,
  'version-not-greater': 400,
  'prior-not-current': 409,
  'condition-failed': 409,
  'wrong-kind': 409,
  'already-decided': 409,
  'instant-too-early': 400,
  'instant-too-late': 400,
  'change-too-large': 413,
  'data-set-unknown': 404,
  'member-unknown': 404,
  'round-unknown': 404,
  'write-at-slave': 421,
  'queue-full': 503,
  'not-leading': 503,
  'refused-by-group': 503,
  'stepped-down': 503,
  'not-current': 503,
  closed: 503,
  'user-layer-failed': 503,
  'aborted-by-caller': 503,
  'timed-out': 504,
};

export function badInput(field: string, message: string): { readonly ok: false; readonly problem: Problem } {
  return { ok: false, problem: { status: 400, code: 'bad-input', message: `${field}: ${message}`, field } };
}

/** Null when the error is none that a caller could have caused or could wait out: then nothing of it is shown. */
export function problemOf(error: unknown): Problem | null {
  if (!(error instanceof LockstepError)) return null;
  const status = statusOfCode[error.code];
  if (status === undefined) return null;
  const { code, message, earliestAtMs, latestAtMs } = error;
  return { status, code, message, earliestAtMs, latestAtMs };
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.status === 503) reply.header('retry-after', '1');
  return reply.code(problem.status).send(errorBody(problem));
}

export function errorBody(problem: Problem): ErrorBody {
  const { code, message, field, earliestAtMs, latestAtMs } = problem;
  return {
    error: {
      code,
      message,
      ...(field === undefined ? {} : { field }),
      ...(earliestAtMs === undefined ? {} : { earliestAt: new Date(earliestAtMs).toISOString() }),
      ...(latestAtMs === undefined ? {} : { latestAt: new Date(latestAtMs).toISOString() }),
    },
  };
}
