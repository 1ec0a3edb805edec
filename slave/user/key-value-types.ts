import type { Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import type { Entry, Operation } from '../../shared/protocol/key-value/operations.js';
import type { ExposedChange, SlaveDataSet, SlaveState } from '../types.js';

/** What a slave adds to a key-value data set: its judgement. */
export interface SlaveKeyValueOptions<Value> {
  /**
   * Judges each operation of a change while it is prepared: `true` accepts, a text refuses and says why. Called again
   * for the same change after a restart, so it must depend on nothing that may have changed meanwhile. A throw refuses.
   */
  readonly validate?: (operation: Operation<Value>, context: { readonly current: Value | undefined }) => true | string;
}

/** A copy of a key-value data set. Reads are synchronous, from memory, at one version for the whole tick. */
export interface SlaveKeyValue<Value> extends AsyncDisposable {
  readonly dataSet: SlaveDataSet;
  readonly tip: Tip | null;
  readonly state: SlaveState;
  readonly size: number;
  /** The value that this copy exposes; undefined when there is no such key. */
  get(key: string): Value | undefined;
  /** The value with the version that last changed it. */
  entry(key: string): Entry<Value> | undefined;
  /** In key order; all at one version. `after` pages on. */
  list(options?: {
    readonly prefix?: string;
    readonly after?: string;
    readonly limit?: number;
  }): readonly Entry<Value>[];
  /** Of the contents, whatever path led to them; equal at all nodes that are at one tip. Costs a pass over the entries. */
  stateDigest(): Digest;
  /** Every state exposed from now on, in order. A consumer that is too slow gets the newest: `skipped` counts the rest. */
  changes(options?: { readonly signal?: AbortSignal }): AsyncIterable<ExposedChange>;
  /** Read your own write: resolves when this copy exposes the version or a later one. */
  reached(version: number, options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<Tip>;
}
