import type { Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import type { Entry, Operation } from '../../shared/protocol/key-value/operations.js';
import type { ValueSchema } from '../../shared/protocol/key-value/schema.js';
import type { Cancellable, ChangeIterator, ExposedChange, ReachedOptions, SlaveDataSet, SlaveState } from '../types.js';

/** What a slave adds to a key-value data set: its judgement. */
export interface SlaveKeyValueOptions<Value> {
  /**
   * A Standard Schema (zod, valibot, arktype and others) that each new value has to fit: a value that doesn't is a veto,
   * with the path and the message of the issue. It only judges: what is stored is what was sent. An asynchronous one vetoes
   * everything, and says so. Deletes are not asked about.
   */
  readonly schema?: ValueSchema<Value>;
  /**
   * Judges each operation of a change while it is prepared: `true` accepts, a text refuses and says why. Called again
   * for the same change after a restart, so it must depend on nothing that may have changed meanwhile. A throw refuses.
   * With a schema too, it is asked about what fits that.
   */
  readonly validate?: (operation: Operation<Value>, context: { readonly current: Value | undefined }) => true | string;
}

export interface KeyValueChange<Value> extends ExposedChange {
  /**
   * What was done, in this order. Null when that isn't known step by step, and whatever you derived has to be read anew:
   * after a snapshot, after a change that replaced the whole state, and when changes were skipped.
   */
  readonly operations: readonly Operation<Value>[] | null;
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
  /**
   * Every change that is exposed from now on, in order, with what it did. A consumer that is too slow gets the newest:
   * `skipped` counts the rest.
   */
  changes(options?: Cancellable): ChangeIterator<KeyValueChange<Value>>;
  /** Read your own write: resolves when this copy exposes the version or a later one. */
  reached(version: number, options?: ReachedOptions): Promise<Tip>;
}
