import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { SlaveDirectory } from '../user/directory-types.js';
import type { ServedCopy } from './api.js';

/** A directory among the data sets of the API: it has a status, and is read in its folder. */
export function servedFolder(name: string, directory: SlaveDirectory): ServedCopy {
  const noKeys = (): never => {
    throw new LockstepError(
      'wrong-kind',
      `${name} is a directory and holds no keys; read its files at this slave in ${directory.target}`,
    );
  };
  const { dataSet } = directory;
  return {
    dataSet: {
      view: () => dataSet.view(),
      discard: () => dataSet.discard(),
      resolve: (round, outcome, by) => dataSet.resolve(round, outcome, by),
      // The feed tells changes of keys.
      get deltas() {
        return noKeys();
      },
    },
    get tip() {
      return directory.tip;
    },
    get state() {
      return directory.state;
    },
    get size() {
      return directory.size;
    },
    stateDigest: () => directory.stateDigest(),
    entry: noKeys,
    list: noKeys,
    reached: (version, options) => directory.reached(version, options),
  };
}
