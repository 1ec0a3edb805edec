import type { Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import type { TreeDifference } from '../../shared/protocol/directory/tree.js';
import type { Cancellable, ChangeIterator, ExposedChange, ReachedOptions, SlaveDataSet, SlaveState } from '../types.js';

export interface SlaveDirectoryOptions {
  /**
   * Where readers find the folder: a symbolic link, which is replaced in one step with each version. Nothing but such a link
   * may stand there; the folders that lead to it are made.
   */
  readonly target: string;
  /** Where versions are kept, on the file system of the link; default: `.NAME.lockstep` beside it. */
  readonly state?: string;
  /**
   * Asked about a version of two phases before this slave votes. `true` accepts; a text refuses, and reaches whoever
   * published; anything else, and a throw, refuses too. It may be asked again about the same version after a restart, and
   * isn't asked about what is committed already.
   */
  readonly check?: (staged: StagedFolder) => true | string | Promise<true | string>;
}

/** A version that is complete on this disk, and not shown. */
export interface StagedFolder {
  /** The folder with its files, which are not to be written to. It moves nowhere when it is shown. */
  readonly folder: string;
  /** The folder that is shown now; null: none yet. */
  readonly current: string | null;
  readonly version: number;
  readonly dataSet: string;
  readonly files: TreeDifference;
  /** The vote is too late: what was begun is to end. */
  readonly signal: AbortSignal;
}

/** The copy of a directory data set. */
export interface SlaveDirectory extends AsyncDisposable {
  readonly dataSet: SlaveDataSet;
  readonly tip: Tip | null;
  readonly state: SlaveState;
  /** Files of the version that is shown. */
  readonly size: number;
  /** The link that readers go by. */
  readonly target: string;
  /** The folder that the link shows now, which keeps its content until two versions later; null: no version yet. */
  readonly shown: string | null;
  stateDigest(): Digest;
  /** Every version shown from now on. A consumer that is too slow gets the newest. */
  changes(options?: Cancellable): ChangeIterator<ExposedChange>;
  reached(version: number, options?: ReachedOptions): Promise<Tip>;
}
