import { versionOf } from '../../../../../shared/protocol/kernel/ids.js';
import { invariant } from '../../../../../shared/protocol/kernel/invariant.js';
import type { Outcome } from '../../../../../shared/protocol/kernel/outcome.js';
import type { MasterDataSet, ReplicateOptions } from '../../../../../master/types.js';
import type { ChangeOutcome } from '../../../../../master/user/key-value-types.js';
import type { ChangeEnd, ChangeRequest } from '../scenario.js';
import type { Cast } from './cast.js';

/** Changes at the master's own layer, as its host would start them. */
export class Changes {
  readonly #cast: Cast;
  #lastVersion = 0;

  constructor(cast: Cast) {
    this.#cast = cast;
  }

  /** Rejects as the layer's own start method does. */
  async submit({ data, ...asked }: ChangeRequest, service: MasterDataSet): Promise<Outcome | ChangeOutcome> {
    const options = given(asked);
    if (data.kind === 'operations') {
      const original = this.#cast.original('master', service);
      invariant(original !== null, 'put, delete and change are of key-value data');
      return original.change(data.operations, options);
    }
    const counter = this.#cast.counter('master');
    invariant(counter !== null, 'add is of counters');
    const version = data.version ?? Math.max(this.#lastVersion, counter.newest, versionOf(service.view().tip)) + 1;
    this.#lastVersion = Math.max(this.#lastVersion, version);
    const operation = { id: `${version}`, add: data.amount, vetoedBy: [], padding: new Uint8Array(data.paddingBytes) };
    const staged = counter.stage(version, [operation]);
    const outcome = await service
      .replicate({
        version,
        ...options,
        ...(data.prior === null ? {} : { prior: data.prior }),
        ...(data.content === null ? {} : { content: data.content }),
        ...(data.delta === 'given' ? { delta: staged } : {}),
      })
      .catch((error: unknown) => {
        counter.unstage(version);
        throw error;
      });
    if (outcome.kind !== 'committed') counter.unstage(version);
    return outcome;
  }
}

/** What the step names; the rest is left to the data set's defaults. */
function given(asked: Omit<ChangeRequest, 'data'>): Omit<ReplicateOptions, 'version' | 'activateAt'> {
  const { phases, voters, timeoutMs, commitBy, abortBy, wait } = asked;
  return {
    ...(phases === null ? {} : { phases }),
    ...(voters === null ? {} : { voters }),
    ...(timeoutMs === null ? {} : { timeoutMs }),
    ...(commitBy === null ? {} : { commitBy }),
    ...(abortBy === null ? {} : { abortBy }),
    ...(wait === null ? {} : { wait }),
  };
}

export function endOf(outcome: Outcome | ChangeOutcome): ChangeEnd {
  switch (outcome.kind) {
    case 'committed':
      return { kind: 'committed', version: outcome.tip.version };
    case 'aborted':
      return {
        kind: 'aborted',
        reason: outcome.reason,
        refusals: outcome.refusals.map(({ node, reason }) => ({ node, reason })),
      };
    case 'unknown':
      return { kind: 'unknown', reason: outcome.reason };
  }
}
