import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { copyText, cycleText } from './cycle-text.js';
import type { NodeStatus } from './node-status.js';
import { selectDataSet, statusText } from './status-text.js';

/** For `--data-set`. Throws when the node has none of that name. */
export function ofDataSet(status: NodeStatus, name: string | undefined, url: string): NodeStatus {
  if (name === undefined) return status;
  switch (status.kind) {
    case 'node':
      return { kind: 'node', body: selectDataSet(status.body, name) };
    case 'cycle-copy':
      if (name === status.body.dataSet) return status;
      throw new LockstepError('bad-option', `--data-set ${name} isn't at ${url}; there is ${status.body.dataSet}`);
    case 'data-server':
      throw new LockstepError(
        'bad-option',
        `--data-set ${name} isn't at ${url}: a data server has one content, without a name; leave it out`,
      );
  }
}

/** `maxMembers`: of a master's, at most so many rows. */
export function nodeStatusText(status: NodeStatus, options: { readonly maxMembers?: number } = {}): string {
  switch (status.kind) {
    case 'node':
      return statusText(status.body, options);
    case 'cycle-copy':
      return copyText(status.body);
    case 'data-server':
      return cycleText(status.body, status.body.activations);
  }
}
