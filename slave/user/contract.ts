import type { Delta, Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import type { StoreTransaction } from '../../shared/protocol/kernel/store.js';

/** A slave's judgement of a change. A yes is a promise: the change can be committed later, also after a restart. */
export type PrepareAnswer =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** For people: why this node can't process the change. */
      readonly reason: string;
      /** Positions of the operations that are refused, when the layer can tell. */
      readonly refused?: readonly number[];
    };

/**
 * What a host app implements on a slave: the owner of the copy.
 *
 * Order: never called concurrently for one data set, and no call starts before the one before it has settled. Every
 * `prepare` that was answered yes is followed by exactly one effective `commit` or `abort` of the same `to`, also across
 * restarts (after a restart it may be preceded by another `prepare` of the same change).
 *
 * Durability: the layer stores its data and its tip in one atomic durable write, and its tip alone says what is applied.
 * A layer that keeps its data in the service's store implements `shared` instead and gets one transaction with it.
 *
 * Errors: a throw or a call past its time is a no in `prepare`; in `commit` it changes no outcome, but the data set
 * stops serving, says so and tries again.
 */
export interface SlaveUserLayer {
  /** The durable truth: what this copy is at. Called once, first. Null: there is no copy yet. */
  open(): Tip | null | Promise<Tip | null>;
  /** Could you apply this? Exposes nothing, and may be asked again for the same change. */
  prepare(change: Delta, signal: AbortSignal): PrepareAnswer | Promise<PrepareAnswer>;
  /**
   * Makes the change and `change.to` durable together, then shows it to readers. Idempotent by `change.to`. When
   * `change.from` is null the bytes are a whole state, which replaces what was there. Also called without a `prepare`:
   * for one-phase changes and for catching up.
   */
  commit(change: Delta): void | Promise<void>;
  /** Drops what `prepare` staged for `to`. Of something unknown: nothing happens. */
  abort(to: Tip, why: 'aborted' | 'superseded'): void | Promise<void>;
  /** A snapshot: stage the chunks, then swap the whole copy and its tip in one atomic durable write. */
  install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** What a master that lost its own copy adopts (`--adopt-from`). The state at `at`, which is this copy's tip. */
  snapshot?(at: Tip): AsyncIterable<Uint8Array>;
  /** A digest of the contents, whatever path led to them; shown in status, compared by tests. */
  stateDigest?(): Digest;
  /** For layers that keep their data in the service's own store. When present, `commit` is not called. */
  readonly shared?: SharedCommit;
}

/** Data, tip and the service's own record become durable in one transaction, with one fsync. */
export interface SharedCommit {
  /** Writes the change and its tip. Must not expose anything yet, and must not throw for a change that was prepared. */
  write(change: Delta, transaction: StoreTransaction): void;
  /**
   * Show it to readers: the transaction is durable; or, of a scheduled change whose instant has come, about to be: that the change
   * is to show then is on disk already, and a crash in between brings `write` and `expose` again.
   */
  expose(change: Delta): void;
}
