import { tracingChannel } from 'node:diagnostics_channel';
import { isDeepStrictEqual } from 'node:util';
import type { Delta, Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import { sameTip, showTip, versionOf } from '../../shared/protocol/kernel/ids.js';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { ScheduledOutcome } from '../../shared/protocol/kernel/outcome.js';
import { applyOperations, type StoreOperation, type StoreTransaction } from '../../shared/protocol/kernel/store.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import {
  decodeChange,
  encodeSegment,
  joinColumns,
  type Columns,
} from '../../shared/protocol/key-value/change-codec.js';
import type { Entry, Operation } from '../../shared/protocol/key-value/operations.js';
import { encodeSnapshot, SnapshotReader } from '../../shared/protocol/key-value/snapshot-codec.js';
import { KeyValueState, StagedState } from '../../shared/protocol/key-value/state.js';
import { checkSchema, checkValues, type ValueSchema } from '../../shared/protocol/key-value/schema.js';
import { checkOperations, type CheckedChange } from '../../shared/protocol/key-value/validate.js';
import type { MasterDataSet, MasterKind, MasterKindContext, ReplicateOptions } from '../types.js';
import { ChangeQueue } from './change-queue.js';
import type { MasterUserLayer } from './contract.js';
import type {
  ChangeOptions,
  ChangeOutcome,
  ChangeTrace,
  MasterKeyValue,
  MasterKeyValueOptions,
  ScheduledChangeOutcome,
} from './key-value-types.js';
import { RememberedOutcomes, type Remembered } from './remembered-outcomes.js';
import { armedEarlier, ScheduledKeys, type ScheduledKey } from './scheduled-keys.js';
import { abortedOutcome, type QueuedOptions, type WaitingChange } from './waiting-change.js';

/**
 * The original of a key-value data set, in memory and, unless `durability` is `memory`, in the service's own store:
 * the entries of a change, its tip and its idempotency keys become durable in the transaction of the decision.
 *
 * Throws `bad-option` for a `schema` that is none.
 */
export function keyValue<Value>({ schema }: MasterKeyValueOptions<Value> = {}): MasterKind<MasterKeyValue<Value>> {
  if (schema !== undefined) checkSchema(schema);
  return {
    create(context) {
      const state = new KeyValueState<Value>();
      const outcomes = new RememberedOutcomes({ bound: bounds.rememberedOutcomes, dataSet: context.dataSet });
      const layer = new MasterKeyValueLayer(state, outcomes, context);
      return {
        layer,
        handle: (dataSet) => new MasterKeyValueHandle(dataSet, { state, outcomes, layer, context, schema }),
      };
    },
  };
}

/** For who traces requests: each call of `change`, from its start to its outcome. */
const changeTraces = tracingChannel<unknown, ChangeTrace>('lockstep:master:change');

/** A decision on its way to the disk. */
interface Deciding {
  readonly version: number;
  readonly columns: Columns;
  readonly keyed: readonly ScheduledKey[];
}

class MasterKeyValueLayer<Value> implements MasterUserLayer {
  readonly maxOpenRounds = bounds.maxOpenRounds;
  readonly shared = {
    write: (change: Delta, transaction: StoreTransaction): void => this.#write(change, transaction),
    expose: (change: Delta): void => this.#expose(change),
  };
  readonly #state: KeyValueState<Value>;
  readonly #outcomes: RememberedOutcomes;
  readonly #scheduled: ScheduledKeys;
  readonly #context: MasterKindContext;
  /** Oldest first; few. */
  readonly #deciding: Deciding[] = [];
  /** Null until the handle is made. */
  queue: ChangeQueue | null = null;

  constructor(state: KeyValueState<Value>, outcomes: RememberedOutcomes, context: MasterKindContext) {
    this.#state = state;
    this.#outcomes = outcomes;
    this.#scheduled = new ScheduledKeys(context.dataSet);
    this.#context = context;
  }

  open(): Tip | null {
    if (!this.#onDisk) return null;
    this.#outcomes.load(this.#context.store);
    this.#scheduled.load(this.#context.store);
    return this.#state.load(this.#context.store, this.#context.dataSet);
  }

  /** The original only ever holds what was committed, so there is nothing to take back: it goes forward, or throws. */
  async recover(committed: Tip | null, missing: readonly Delta[]): Promise<void> {
    const steps: { readonly delta: Delta; readonly columns: Columns }[] = [];
    let at = this.#state.tip;
    for (const delta of missing) {
      if (sameTip(at, committed) || !sameTip(at, delta.from)) continue;
      steps.push({ delta, columns: decoded(delta) });
      at = delta.to;
    }
    if (!sameTip(at, committed)) {
      const text = `the original is at ${showTip(this.#state.tip)} and can't reach ${showTip(committed)}, which was committed here`;
      throw new LockstepError('user-layer-failed', `${text}; take a slave's copy (--adopt-from NAME)`);
    }
    if (steps.length === 0) return;
    await this.#durably((transaction) => {
      for (const { delta, columns } of steps) this.#store(transaction, delta, columns);
    });
    for (const { delta, columns } of steps) this.#state.apply(columns, delta.to, delta.from === null);
  }

  /** Rounds in flight are at hand; of committed steps the service keeps the history, and beyond it a snapshot is due. */
  delta(from: Tip | null, to: { readonly version: number }): Uint8Array | null {
    const round = this.queue?.undecided(to.version);
    return round !== undefined && round.prior === versionOf(from) ? round.bytes : null;
  }

  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    const { tip } = this.#state;
    if (!sameTip(tip, at)) {
      throw new LockstepError(
        'not-current',
        `the original is at ${showTip(tip)}, so it can't give the state at ${showTip(at)}`,
      );
    }
    // Pinned now, not when the first chunk is read: what commits meanwhile doesn't show.
    return streamed(this.#state.pinned());
  }

  restore(_to: Tip | null, dropped: readonly number[]): void {
    // Nothing of an open round is in the original; a scheduled change may have been taken back.
    this.queue?.dropped(dropped);
    for (const version of dropped) {
      for (const { key } of this.#scheduled.of(version))
        if (this.#outcomes.find(key)?.kind !== 'pending') this.#outcomes.settle(key, abortedOutcome('cancelled', 0));
      this.unschedule(version);
    }
  }

  /**
   * A scheduled change is about to go out. It needn't be waited for: writes take effect in the order of their calls, so that no
   * decision is on disk without it, and a store that fails takes no decision either.
   */
  schedule(version: number): void {
    if (this.#onDisk) this.#note(this.#scheduled.begin(version, keysOf(this.queue?.undecided(version)?.members ?? [])));
  }

  /** It will never show. */
  unschedule(version: number): void {
    this.#note(this.#scheduled.end(version));
  }

  /** The scheduled change that has the key, whichever process decided it. */
  scheduledUnder(key: string): ReturnType<ScheduledKeys['find']> {
    return this.#scheduled.find(key);
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const reader = new SnapshotReader<Value>();
    const staged = new StagedState<Value>();
    for await (const chunk of chunks) for (const entry of reader.push(chunk)) staged.add(entry);
    reader.finish();
    await this.#durably((transaction) => this.#state.storeWhole(transaction, this.#context.dataSet, staged, to));
    this.#state.replace(staged, to);
  }

  stateDigest(): Digest {
    return this.#state.digest();
  }

  get #onDisk(): boolean {
    return this.#context.durability === 'disk';
  }

  /**
   * The original takes what the bytes say and not the caller's own objects: it holds exactly what every copy decodes,
   * and nobody else can reach into it.
   */
  #write(change: Delta, transaction: StoreTransaction): void {
    const members = this.queue?.undecided(change.to.version)?.members ?? [];
    // Of one that a process before has scheduled nobody here waits, and the keys are on disk.
    const keyed = members.length === 0 ? this.#scheduled.of(change.to.version) : keysOf(members);
    const columns = columnsOf(change, members);
    this.#deciding.push({ version: change.to.version, columns, keyed });
    if (!this.#onDisk) return;
    this.#store(transaction, change, columns);
    for (const { key, operations } of keyed) this.#outcomes.store(transaction, key, change.to, operations);
    applyOperations(transaction, this.#scheduled.end(change.to.version));
  }

  #expose(change: Delta): void {
    const { columns, keyed } = this.#takeDeciding(change.to.version) ?? { columns: decoded(change), keyed: [] };
    this.#state.apply(columns, change.to, change.from === null);
    for (const { key, operations } of keyed)
      this.#outcomes.decided(key, change.to, { operations, durable: this.#onDisk });
    this.queue?.decided(change.to.version);
  }

  #takeDeciding(version: number): Deciding | undefined {
    const place = this.#deciding.findIndex((deciding) => deciding.version === version);
    // Those before it were written and never exposed: their write failed.
    return place < 0 ? undefined : this.#deciding.splice(0, place + 1).at(-1);
  }

  #store(transaction: StoreTransaction, change: Delta, columns: Columns): void {
    this.#state.store(transaction, this.#context.dataSet, columns, change.to, change.from === null);
  }

  #note(operations: readonly StoreOperation[]): void {
    if (operations.length === 0) return;
    const write = (transaction: StoreTransaction): void => applyOperations(transaction, operations);
    // A store that fails here takes no decision any more, which says so.
    this.#context.store.write(write, { durable: true }, () => undefined);
  }

  async #durably(write: (transaction: StoreTransaction) => void): Promise<void> {
    if (!this.#onDisk) return;
    await new Promise<void>((resolve, reject) => {
      this.#context.store.write(write, { durable: true }, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

interface HandleParts<Value> {
  readonly state: KeyValueState<Value>;
  readonly outcomes: RememberedOutcomes;
  readonly layer: MasterKeyValueLayer<Value>;
  readonly context: MasterKindContext;
  readonly schema: ValueSchema<Value> | undefined;
}

class MasterKeyValueHandle<Value> implements MasterKeyValue<Value> {
  readonly dataSet: MasterDataSet;
  readonly #parts: HandleParts<Value>;
  readonly #queue: ChangeQueue;
  #order = 0;

  constructor(dataSet: MasterDataSet, parts: HandleParts<Value>) {
    const { state, layer, context } = parts;
    this.dataSet = dataSet;
    this.#parts = parts;
    this.#queue = new ChangeQueue({
      replicate: (options) => (options.activateAt === undefined ? dataSet.replicate(options) : this.#schedule(options)),
      committedVersion: () => versionOf(state.tip),
      shownBy: (change) => (changesNothing(state, change.columns) ? state.tip : null),
      durable: context.durability === 'disk',
      versionOfKey: (key) => state.entry(key)?.version ?? null,
      armedVersion: () =>
        dataSet.armed === null || dataSet.armed.phase === 'activating' ? null : dataSet.armed.version,
      clock: context.clock,
    });
    layer.queue = this.#queue;
  }

  get tip(): Tip | null {
    return this.#parts.state.tip;
  }

  get size(): number {
    return this.#parts.state.size;
  }

  get(key: string): Value | undefined {
    return this.#parts.state.entry(key)?.value;
  }

  entry(key: string): Entry<Value> | undefined {
    return this.#parts.state.entry(key);
  }

  list(options?: {
    readonly prefix?: string;
    readonly after?: string;
    readonly limit?: number;
  }): readonly Entry<Value>[] {
    return this.#parts.state.list(options);
  }

  stateDigest(): Digest {
    return this.#parts.state.digest();
  }

  change(
    operations: readonly Operation<Value>[],
    options?: ChangeOptions & { readonly activateAt?: undefined },
  ): Promise<ChangeOutcome>;
  change(operations: readonly Operation<Value>[], options: ChangeOptions): Promise<ScheduledChangeOutcome>;
  change(operations: readonly Operation<Value>[], options: ChangeOptions = {}): Promise<ScheduledChangeOutcome> {
    if (!changeTraces.hasSubscribers) return this.#change(operations, options);
    return changeTraces.tracePromise(() => this.#change(operations, options), {
      dataSet: this.dataSet.name,
      operations: operations.length,
    });
  }

  async #change(operations: readonly Operation<Value>[], options: ChangeOptions): Promise<ScheduledChangeOutcome> {
    checkOptions(options);
    const checked = checkOperations(operations);
    if (this.#parts.schema !== undefined) checkValues(this.#parts.schema, checked.columns);
    const { idempotencyKey, signal } = options;
    if (idempotencyKey !== undefined) {
      const known = this.#known(idempotencyKey);
      if (known !== undefined)
        return known.kind === 'pending' ? this.#parts.outcomes.joined(idempotencyKey) : known.outcome;
    }
    if (signal?.aborted === true) return abortedOutcome('cancelled', 0);
    const segment = encodeSegment(checked.columns);
    if (segment.length > limits.maxChangeBytes) {
      const text = `the change has ${segment.length} bytes, and ${limits.maxChangeBytes} are the limit; make several of it`;
      throw new LockstepError('change-too-large', text);
    }
    return this.#submit(checked, segment, options);
  }

  outcomeOf(idempotencyKey: string): ScheduledChangeOutcome | 'pending' | undefined {
    const known = this.#known(idempotencyKey);
    return known?.kind === 'pending' ? 'pending' : known?.outcome;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#queue.close('unregistered');
    await this.dataSet[Symbol.asyncDispose]();
  }

  /** Here, or by a process that was there before the change's instant. */
  #known(key: string): Remembered | undefined {
    const known = this.#parts.outcomes.find(key);
    const carried = known === undefined ? this.#parts.layer.scheduledUnder(key) : undefined;
    if (carried === undefined) return known;
    const { armed } = this.dataSet;
    // Without the arming that it was written for it is left over: the round was never decided.
    if (armed?.version !== carried.version) return undefined;
    return { kind: 'settled', outcome: armedEarlier(armed, carried.operations) };
  }

  async #schedule(options: ReplicateOptions): Promise<ScheduledOutcome> {
    const { layer } = this.#parts;
    layer.schedule(options.version);
    try {
      const outcome = await this.dataSet.replicate(options);
      if (outcome.kind === 'aborted') layer.unschedule(options.version);
      return outcome;
    } catch (error) {
      layer.unschedule(options.version);
      throw error;
    }
  }

  /** Starts at once when nothing is in flight. */
  #submit(checked: CheckedChange, segment: Uint8Array, options: ChangeOptions): Promise<ScheduledChangeOutcome> {
    const { outcomes, context } = this.#parts;
    const { idempotencyKey, signal } = options;
    const timeoutMs = options.timeoutMs ?? context.defaults.timeoutMs ?? limits.roundTimeoutMs;
    const activateAtMs = options.activateAt === undefined ? undefined : this.dataSet.instantOf(options.activateAt);
    // Only a vote can schedule, so one is implied.
    const phases = activateAtMs === undefined ? (options.phases ?? context.defaults.phases ?? 'two') : 'two';
    const submittedMs = context.clock.monotonicMs();
    this.#order += 1;
    return new Promise((resolve, reject) => {
      const ended = (): void => signal?.removeEventListener('abort', cancel);
      const change: WaitingChange = {
        columns: checked.columns,
        conditions: checked.conditions,
        immutable: checked.immutable,
        segment,
        order: this.#order,
        operations: checked.columns.keys.length,
        phases,
        options: asGiven(options, activateAtMs),
        submittedMs,
        deadlineMs: submittedMs + timeoutMs,
        part: null,
        cancelled: false,
        settle: (outcome) => {
          ended();
          if (idempotencyKey !== undefined) outcomes.settle(idempotencyKey, outcome);
          resolve(outcome);
        },
        fail: (error) => {
          ended();
          // Refused before anything began: the key is free for another try.
          const reason = error instanceof Error ? error : new Error(String(error));
          if (idempotencyKey !== undefined) outcomes.forget(idempotencyKey, reason);
          reject(reason);
        },
      };
      const cancel = (): void => this.#queue.cancel(change);
      signal?.addEventListener('abort', cancel, { once: true });
      if (idempotencyKey !== undefined) outcomes.begin(idempotencyKey);
      try {
        this.#queue.submit(change);
      } catch (error) {
        change.fail(error);
      }
    });
  }
}

function keysOf(members: readonly WaitingChange[]): readonly ScheduledKey[] {
  return members.flatMap(({ options, operations }) =>
    options.idempotencyKey === undefined ? [] : [{ key: options.idempotencyKey, operations }],
  );
}

/** What the copies decode. Values that nobody can change are the caller's own; of others the original keeps a copy. */
function columnsOf(change: Delta, members: readonly WaitingChange[]): Columns {
  if (members.length === 0 || !members.every((member) => member.immutable)) return decoded(change);
  return joinColumns(members.map((member) => member.columns));
}

/** Throws for a change whose bytes are none; the digest was checked, so that is our own fault. */
function decoded(change: Delta): Columns {
  const result = decodeChange(change.bytes);
  if (!result.ok) throw new LockstepError('bad-input', result.reason);
  return result.columns;
}

async function* streamed(entries: Iterable<Entry<unknown>>): AsyncGenerator<Uint8Array, void, void> {
  yield* encodeSnapshot(entries);
}

/** As they are now: the caller may go on to use the object for its next change. */
function asGiven(
  { phases, timeoutMs, voters, commitBy, abortBy, wait, idempotencyKey, signal }: ChangeOptions,
  activateAtMs: number | undefined,
): QueuedOptions {
  return { phases, timeoutMs, voters, commitBy, abortBy, wait, idempotencyKey, signal, activateAtMs };
}

function checkOptions(options: ChangeOptions): void {
  const { timeoutMs, idempotencyKey, activateAt, phases } = options;
  if (activateAt !== undefined && phases === 'one')
    throw new LockstepError('bad-option', "activateAt needs phases 'two': all have to agree on an instant before it");
  if (timeoutMs !== undefined && !(timeoutMs > 0 && Number.isFinite(timeoutMs))) {
    throw new LockstepError('bad-option', `timeoutMs must be greater than 0, not ${timeoutMs}`);
  }
  if (idempotencyKey === undefined) return;
  const bytes = Buffer.byteLength(idempotencyKey);
  if (bytes < 1 || bytes > bounds.maxIdempotencyKeyBytes) {
    throw new LockstepError(
      'bad-option',
      `idempotencyKey must have 1 to ${bounds.maxIdempotencyKeyBytes} bytes, not ${bytes}`,
    );
  }
}

/** Each put finds its value there already, and each delete finds nothing: the first one that doesn't ends the search. */
function changesNothing<Value>(state: KeyValueState<Value>, { keys, values, deletes }: Columns): boolean {
  let nextDelete = 0;
  return keys.every((key, position) => {
    const entry = state.entry(key);
    if (deletes[nextDelete] !== position) {
      return entry !== undefined && sameValue(entry.value, values[position]);
    }
    nextDelete += 1;
    return entry === undefined;
  });
}

function sameValue(a: unknown, b: unknown): boolean {
  return typeof a === 'object' && typeof b === 'object' ? isDeepStrictEqual(a, b) : Object.is(a, b);
}
