import type { Delta, Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import type { StoreTransaction } from '../../shared/protocol/kernel/store.js';

/**
 * What a host app implements on the master: the owner of the original.
 *
 * The layer changes the original, then calls `replicate` with the new version. It names the versions (strictly
 * increasing, not necessarily consecutive). Never called concurrently for one data set, except that chunks of a
 * `snapshot` are read while other calls go on.
 *
 * Errors: a throw in `recover` means that this master does not lead; in `delta` that the history is gone; in `restore`
 * that the data set takes no more changes until it is opened again.
 */
export interface MasterUserLayer {
  /** The durable truth: what the original is at. Called once, first. Null: there is none yet. */
  open(): Tip | null | Promise<Tip | null>;
  /**
   * Reach exactly `committed`, backward or forward, or throw, in which case this node does not lead. `missing` are the
   * committed steps from the layer's tip on, when the service has them; empty when the layer is ahead.
   */
  recover(committed: Tip | null, missing: readonly Delta[]): void | Promise<void>;
  /**
   * The bytes that lead from one state to another, successive or not; `from === null` asks for a whole state. Null when
   * the layer can't say any more: the slave then takes a snapshot. `to` is committed, or the tip of an open round, for
   * which the chain id isn't known yet and `to.version` says it all.
   */
  delta(from: Tip | null, to: { readonly version: number }): Uint8Array | null | Promise<Uint8Array | null>;
  /** The whole state at `at`, the newest committed tip; what commits later must not show in it. */
  snapshot(at: Tip): AsyncIterable<Uint8Array>;
  /**
   * Replications ended in an abort: the original goes back. `dropped` are their versions, newest first, and `to` is the
   * newest state that is committed or still being voted on. Versions that were started and are in neither stay as they are:
   * they wait for their turn.
   */
  restore(to: Tip | null, dropped: readonly number[]): void | Promise<void>;
  /**
   * A change was decided: `change.to` is committed now. Called in order. Of a scheduled change it comes at the instant, before
   * the service has that on record: show it only now.
   */
  committed?(change: Delta): void | Promise<void>;
  /** Takes over a slave's copy (`--adopt-from`): swap the whole original and its tip in one atomic durable write. */
  install?(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** Rounds that may be open at once; default 1. */
  readonly maxOpenRounds?: number;
  /** A digest of the contents, whatever path led to them. */
  stateDigest?(): Digest;
  /** For layers that keep the original in the service's own store. When present, `committed` is not called. */
  readonly shared?: {
    /** In the transaction of the decision: write the change and its tip. */
    write(change: Delta, transaction: StoreTransaction): void;
    /** The decision is durable; or, of a scheduled change whose instant has come, its arming is, and the transaction follows. */
    expose(change: Delta): void;
  };
}
