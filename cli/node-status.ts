import type { ActivationSpreadBody, CycleBody } from '../activation/core/bodies.js';
import type { CycleCopyStatusBody } from '../activation/copy/http/bodies.js';
import type { StatusBody } from '../shared/http/bodies.js';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { areActivations, isCycle, isCycleCopyStatus } from './cycle-answers.js';

/** The table of a data server, and what servers reported of their activations. */
export type DataServerStatus = CycleBody & {
  readonly role: 'data-server';
  readonly activations: readonly ActivationSpreadBody[];
};

/** What an address can be of, each with the account that it gives of itself. */
export type NodeStatus =
  | { readonly kind: 'node'; readonly body: StatusBody }
  | { readonly kind: 'cycle-copy'; readonly body: CycleCopyStatusBody }
  | { readonly kind: 'data-server'; readonly body: DataServerStatus };

type Ask = (path: string) => Promise<unknown>;

/** Rejects with `unreachable` where nobody of ours answers. */
export async function askStatus(ask: Ask, url: string): Promise<NodeStatus> {
  const body = await answerOf(ask, '/v1/status');
  if (isStatus(body)) return { kind: 'node', body };
  if (isCycleCopyStatus(body)) return { kind: 'cycle-copy', body };
  // A data server has a table in place of a status.
  const table = body === null ? await answerOf(ask, '/v1/cycle') : null;
  if (!isCycle(table)) throw notOurs(url);
  const reported = await answerOf(ask, '/v1/cycle/activations');
  if (!areActivations(reported)) throw notOurs(url);
  return { kind: 'data-server', body: { role: 'data-server', ...table, activations: reported.activations } };
}

/** Null: there is no such route. */
async function answerOf(ask: Ask, path: string): Promise<unknown> {
  try {
    return await ask(path);
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'wrong-kind') return null;
    throw error;
  }
}

function notOurs(url: string): LockstepError {
  return new LockstepError('unreachable', `${url} is no lockstep node: it answered without a status; check --to`);
}

function isStatus(body: unknown): body is StatusBody {
  return (
    typeof body === 'object' &&
    body !== null &&
    'dataSets' in body &&
    Array.isArray(body.dataSets) &&
    'node' in body &&
    typeof body.node === 'string'
  );
}

/** What it is, for a command that asks something else. */
export function whatItIs({ kind, body }: NodeStatus, url: string): string {
  switch (kind) {
    case 'node':
      return `${url} is the ${body.role} ${body.node}`;
    case 'cycle-copy':
      return `${url} is ${body.node}, a copy of a pull cycle`;
    case 'data-server':
      return `${url} is a data server of a pull cycle`;
  }
}
