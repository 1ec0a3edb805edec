/**
 * What a change to a key-value data set is made of. Values are JSON: null, booleans, finite numbers, strings, arrays
 * and plain objects. Keys are 1 to 512 bytes of UTF-8.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Gives a key a value. */
export interface PutOperation<Value> {
  readonly put: readonly [key: string, value: Value];
  /** Only when the key's value was last changed by exactly this version. */
  readonly ifVersion?: number;
  /** Only when there is no such key. */
  readonly ifAbsent?: true;
}

/** Removes a key; `ifVersion`: only when it was last changed by exactly this version. */
export interface DeleteOperation {
  readonly delete: string;
  readonly ifVersion?: number;
}

/** One part of a change, which applies as a whole or not at all. */
export type Operation<Value> = PutOperation<Value> | DeleteOperation;

/** One entry as a reader sees it; `version` is that of the change that last touched the key. */
export interface Entry<Value> {
  readonly key: string;
  readonly value: Value;
  readonly version: number;
}
