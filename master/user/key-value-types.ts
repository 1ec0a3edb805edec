import type { Digest, NodeId, Tip } from '../../shared/protocol/kernel/ids.js';
import type {
  DeliveryMode,
  Outcome,
  Phases,
  ScheduledOutcome,
  VoterPolicy,
} from '../../shared/protocol/kernel/outcome.js';
import type { Entry, Operation } from '../../shared/protocol/key-value/operations.js';
import type { ValueSchema } from '../../shared/protocol/key-value/schema.js';
import type { Instant, MasterDataSet } from '../types.js';

/** What a master adds to a key-value data set: what its values have to be. */
export interface MasterKeyValueOptions<Value> {
  /**
   * A Standard Schema (zod, valibot, arktype and others) that each put of a `change` has to fit: else it rejects with
   * `bad-operation`, naming the operation, the key, and the path and message of the issue, before anything is sent. It only
   * judges: what is stored is what was given. An asynchronous one rejects with `bad-option`.
   */
  readonly schema?: ValueSchema<Value>;
}

/** How one change travels and when its promise settles. What is absent is as for the data set. */
export interface ChangeOptions {
  readonly phases?: Phases | undefined;
  readonly timeoutMs?: number | undefined;
  readonly voters?: VoterPolicy | undefined;
  readonly commitBy?: DeliveryMode | undefined;
  readonly abortBy?: DeliveryMode | undefined;
  /** Default `decided`. */
  readonly wait?: 'decided' | 'exposed' | undefined;
  /**
   * The instant at which every server shows the change, at once. The promise settles as `armed` once all are ready for it; later
   * changes wait until it has come. `master.dataSet.cancelActivation` takes it back.
   */
  readonly activateAt?: Instant | undefined;
  /** The same key again settles with the same outcome and changes nothing, while it is among the newest 10,000. At most 200 bytes. */
  readonly idempotencyKey?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One node's no, with the caller's own operations by their position in what the caller gave. */
export interface ChangeRefusal {
  readonly node: NodeId;
  readonly reason: string;
  readonly operations?: readonly number[];
}

/** An operation whose `ifVersion` or `ifAbsent` didn't hold: nothing of the change was applied. */
export interface ConditionFailure {
  readonly operation: number;
  readonly key: string;
  /** The version that last touched the key; null when there is none. */
  readonly actual: number | null;
}

/** How a change ended, as its caller sees it: versions and votes, or whose refusal of which operations. */
export type ChangeOutcome =
  | (Extract<Outcome, { kind: 'committed' }> & { readonly operations: number })
  | (Omit<Extract<Outcome, { kind: 'aborted' }>, 'refusals'> & { readonly refusals: readonly ChangeRefusal[] })
  | {
      readonly kind: 'aborted';
      readonly reason: 'condition failed';
      readonly refusals: readonly [];
      readonly failures: readonly ConditionFailure[];
      readonly durationMs: number;
    }
  | Extract<Outcome, { kind: 'unknown' }>;

/** How a change with an instant ended. */
export type ScheduledChangeOutcome =
  ChangeOutcome | (Extract<ScheduledOutcome, { kind: 'armed' }> & { readonly operations: number });

/** What the tracing channel `lockstep:master:change` carries; Node adds `result` or `error` at the end. */
export interface ChangeTrace {
  readonly dataSet: string;
  /** How many. */
  readonly operations: number;
  readonly result?: ScheduledChangeOutcome;
  readonly error?: unknown;
}

/** The original of a key-value data set. Reads are synchronous, from memory, of the committed state. */
export interface MasterKeyValue<Value> extends AsyncDisposable {
  readonly dataSet: MasterDataSet;
  readonly tip: Tip | null;
  readonly size: number;
  /** The committed value; undefined when there is no such key. */
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
   * All of the operations or none of them, at every voter. Waiting changes share rounds (group commit); each caller
   * sees only a veto of its own operations. Rejects with `bad-operation` for misuse.
   */
  change(
    operations: readonly Operation<Value>[],
    options?: ChangeOptions & { readonly activateAt?: undefined },
  ): Promise<ChangeOutcome>;
  change(operations: readonly Operation<Value>[], options: ChangeOptions): Promise<ScheduledChangeOutcome>;
  /** What became of a change, by its idempotency key: how a caller resolves *unknown*. Undefined: never seen here. */
  outcomeOf(idempotencyKey: string): ScheduledChangeOutcome | 'pending' | undefined;
}
