import type { Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import type { Outcome, Phases, ScheduledOutcome, VoterPolicy } from '../../shared/protocol/kernel/outcome.js';
import type { TreeDifference } from '../../shared/protocol/directory/tree.js';
import type { Instant, MasterDataSet } from '../types.js';

/** Which folder is the original, and where its versions are kept. */
export interface MasterDirectoryOptions {
  /** The folder that people edit. It is read and never written to. */
  readonly folder: string;
  /** Where published versions are kept; default: `.NAME.lockstep` beside the folder. */
  readonly state?: string;
  /** Which files and folders belong to it, by their paths below the folder, `/` between names; default: all. */
  readonly include?: (path: string) => boolean;
}

/** How one version of the folder travels. What is absent is as for the data set. */
export interface PublishOptions {
  readonly phases?: Phases | undefined;
  readonly timeoutMs?: number | undefined;
  readonly voters?: VoterPolicy | undefined;
  readonly wait?: 'decided' | 'exposed' | undefined;
  /**
   * The instant at which every server shows the version, at once. The promise settles as `armed` once all are ready for it; later
   * publishes wait until it has come. `master.dataSet.cancelActivation` takes it back.
   */
  readonly activateAt?: Instant | undefined;
  /** Publish a folder without a single file although the version before has some. Default false: it is a mistake more often. */
  readonly allowEmpty?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How publishing ended: as a change does, or without one. */
export type PublishOutcome =
  /** The folder is as it was published last; no version was made. */
  { readonly kind: 'unchanged'; readonly tip: Tip | null } | (Outcome & { readonly files: TreeDifference });

/** How publishing with an instant ended. */
export type ScheduledPublishOutcome =
  PublishOutcome | (Extract<ScheduledOutcome, { kind: 'armed' }> & { readonly files: TreeDifference });

/** What one look of `watch` came to. */
export type WatchOutcome = PublishOutcome | { readonly kind: 'failed'; readonly error: Error };

/** How often to look at the folder, and how what was found travels. */
export interface WatchOptions extends Omit<PublishOptions, 'activateAt'> {
  /** Between two looks; default 1000. A change is published when two looks in a row have found it alike. */
  readonly intervalMs?: number;
}

/** The original of a directory data set: a folder, and the version of it that was published last. */
export interface MasterDirectory extends AsyncDisposable {
  readonly dataSet: MasterDataSet;
  /** Of the published version. */
  readonly tip: Tip | null;
  /** Files of the published version. */
  readonly size: number;
  /** A folder with the published version, which stays as it is until two versions later; null: nothing was published. */
  readonly published: string | null;
  stateDigest(): Digest;
  /**
   * Makes the folder, as it is now, the next version: on every voter or on none. A second call waits for the first, and for the
   * instant of one that is armed; when its time is up before, it is aborted as `behind an armed change`.
   *
   * Rejects with `bad-input` for what can't be replicated (a symbolic link, a name that is no text, a file that is being
   * written), with `change-too-large`, `store-unusable`, or like `replicate`. Nothing was sent then.
   */
  publish(options?: PublishOptions & { readonly activateAt?: undefined }): Promise<PublishOutcome>;
  publish(options: PublishOptions): Promise<ScheduledPublishOutcome>;
  /** What `publish` would change. Rejects as it does. */
  difference(): Promise<TreeDifference>;
  /**
   * Publishes whenever the folder has changed and come to rest, and yields what became of it. A version that was refused
   * is tried again when the folder changes, one that ran out of time also after a while. Ends with the signal.
   */
  watch(options?: WatchOptions): AsyncIterable<WatchOutcome>;
}
