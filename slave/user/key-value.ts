import type { Delta, Digest, Tip } from '../../shared/protocol/kernel/ids.js';
import { sameTip, showTip } from '../../shared/protocol/kernel/ids.js';
import { errorText, LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { StoreTransaction } from '../../shared/protocol/kernel/store.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { decodeChange, type Columns } from '../../shared/protocol/key-value/change-codec.js';
import type { Entry, Operation } from '../../shared/protocol/key-value/operations.js';
import { encodeSnapshot, SnapshotReader } from '../../shared/protocol/key-value/snapshot-codec.js';
import { KeyValueState, StagedState } from '../../shared/protocol/key-value/state.js';
import { checkSchema, schemaFault } from '../../shared/protocol/key-value/schema.js';
import type { SlaveDataSet, SlaveKind, SlaveKindContext } from '../types.js';
import type { PrepareAnswer, SharedCommit, SlaveUserLayer } from './contract.js';
import type { SlaveKeyValue, SlaveKeyValueOptions } from './key-value-types.js';
import { RecentChanges } from './recent-changes.js';
import { effectsOf, StagedChanges, type StagedChange } from './staged-changes.js';

/**
 * A copy of a key-value data set, in memory and, unless `durability` is `memory`, in the service's own store: each
 * change's entries, its tip and the service's record become durable in one transaction.
 *
 * Throws `bad-option` for a `schema` that is none.
 */
export function keyValue<Value>(options: SlaveKeyValueOptions<Value> = {}): SlaveKind<SlaveKeyValue<Value>> {
  const validate = validatorOf(options);
  return {
    create(context) {
      const state = new KeyValueState<Value>();
      const recent = new RecentChanges();
      const layer = new SlaveKeyValueLayer({ state, recent, context, validate });
      return { layer, handle: (dataSet) => slaveHandle({ state, recent, dataSet }) };
    },
  };
}

type Validate<Value> = NonNullable<SlaveKeyValueOptions<Value>['validate']>;

interface LayerParts<Value> {
  readonly state: KeyValueState<Value>;
  readonly recent: RecentChanges;
  readonly context: SlaveKindContext;
  readonly validate: Validate<Value> | undefined;
}

class SlaveKeyValueLayer<Value> implements SlaveUserLayer {
  readonly shared: SharedCommit = {
    write: (change, transaction) => this.#write(change, transaction),
    expose: (change) => this.#expose(change),
  };
  readonly #state: KeyValueState<Value>;
  readonly #context: SlaveKindContext;
  readonly #recent: RecentChanges;
  readonly #validate: Validate<Value> | undefined;
  readonly #staged = new StagedChanges();

  constructor({ state, recent, context, validate }: LayerParts<Value>) {
    this.#state = state;
    this.#recent = recent;
    this.#context = context;
    this.#validate = validate;
  }

  open(): Tip | null {
    if (!this.#onDisk) return null;
    return this.#state.load(this.#context.store, this.#context.dataSet);
  }

  prepare(change: Delta): PrepareAnswer {
    const decoded = decodeChange(change.bytes);
    if (!decoded.ok) return { ok: false, reason: decoded.reason };
    const { columns } = decoded;
    const staged =
      this.#validate === undefined ? { from: change.from, columns, effects: null } : this.#judge(change, columns);
    if ('ok' in staged) return staged;
    this.#staged.set(change, staged);
    return { ok: true };
  }

  /** What a service does that doesn't share its transaction; ours uses `shared`. */
  async commit(change: Delta): Promise<void> {
    if (sameTip(this.#state.tip, change.to)) return;
    await this.#durably((transaction) => this.#write(change, transaction));
    this.#expose(change);
  }

  abort(to: Tip): void {
    this.#staged.remove(to);
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const reader = new SnapshotReader<Value>();
    const staged = new StagedState<Value>();
    for await (const chunk of chunks) for (const entry of reader.push(chunk)) staged.add(entry);
    reader.finish();
    // G4: the old copy and its tip stay on disk and in sight until the new ones are there, all in one transaction.
    await this.#durably((transaction) => this.#state.storeWhole(transaction, this.#context.dataSet, staged, to));
    this.#state.replace(staged, to);
  }

  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    const { tip } = this.#state;
    if (!sameTip(tip, at)) {
      throw new LockstepError(
        'not-current',
        `this copy is at ${showTip(tip)}, so it can't give the state at ${showTip(at)}`,
      );
    }
    // Pinned now, not when the first chunk is read: what commits meanwhile doesn't show.
    return streamed(this.#state.pinned());
  }

  stateDigest(): Digest {
    return this.#state.digest();
  }

  get #onDisk(): boolean {
    return this.#context.durability === 'disk';
  }

  #write(change: Delta, transaction: StoreTransaction): void {
    const columns = this.#columns(change);
    if (this.#onDisk) this.#state.store(transaction, this.#context.dataSet, columns, change.to, change.from === null);
  }

  #expose(change: Delta): void {
    const columns = this.#columns(change);
    this.#staged.remove(change.to);
    // A whole state says what there is and not what was there before; on an empty copy that is the same.
    const isStep = change.from !== null || this.#state.tip === null;
    if (this.#recent.isRead && isStep) this.#recent.keep(change.to, columns, change.bytes.byteLength);
    this.#state.apply(columns, change.to, change.from === null);
  }

  /** Decoded by `prepare`, or now (one phase, catching up), and then kept from `write` until `expose`. */
  #columns(change: Delta): Columns {
    const staged = this.#staged.find(change.to);
    // One tip can be reached from several states (a compacted delta); what is staged may be another way there.
    if (staged !== undefined && sameTip(staged.from, change.from)) return staged.columns;
    const decoded = decodeChange(change.bytes);
    if (!decoded.ok) throw new LockstepError('bad-input', decoded.reason);
    this.#staged.set(change, { from: change.from, columns: decoded.columns, effects: null });
    return decoded.columns;
  }

  /** Asks the validator about each operation; it sees each key as the operations before have left it. */
  #judge(change: Delta, columns: Columns): StagedChange | PrepareAnswer {
    const validate = this.#validate;
    const below = change.from === null ? [] : this.#staged.between(this.#state.tip, change.from);
    if (below === null || validate === undefined) {
      return {
        ok: false,
        reason: `the change starts at ${showTip(change.from)}, and this copy is at ${showTip(this.#state.tip)}`,
      };
    }
    const effects = new Map<string, unknown>();
    const layers = [effects, ...below.map(effectsOf)];
    const wholeBelow = change.from === null || below.some((staged) => staged.from === null);
    const current = (key: string): Value | undefined => {
      for (const layer of layers) if (layer.has(key)) return layer.get(key) as Value | undefined;
      return wholeBelow ? undefined : this.#state.entry(key)?.value;
    };
    const refused: { readonly position: number; readonly reason: string }[] = [];
    let nextDelete = 0;
    columns.keys.forEach((key, position) => {
      const isDelete = columns.deletes[nextDelete] === position;
      if (isDelete) nextDelete += 1;
      const value = columns.values[position] as Value;
      const operation: Operation<Value> = isDelete ? { delete: key } : { put: [key, value] };
      const verdict = refused.length < bounds.namedRefusals ? asked(validate, operation, current(key)) : true;
      if (verdict !== true) refused.push({ position, reason: `${isDelete ? 'delete' : 'put'} ${key}: ${verdict}` });
      effects.set(key, isDelete ? undefined : value);
    });
    if (refused.length === 0) return { from: change.from, columns, effects };
    // One line for each of the first refused operations, in their order: the master gives each caller its own.
    const reason = refused
      .slice(0, bounds.explainedRefusals)
      .map((each) => oneLine(each.reason))
      .join('\n');
    return { ok: false, reason, refused: refused.map((each) => each.position) };
  }

  async #durably(write: (transaction: StoreTransaction) => void): Promise<void> {
    if (!this.#onDisk) return;
    await new Promise<void>((resolve, reject) => {
      this.#context.store.write(write, { durable: true }, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

/** The schema first, then the validator: it may rely on what the schema has found. */
function validatorOf<Value>({ schema, validate }: SlaveKeyValueOptions<Value>): Validate<Value> | undefined {
  if (schema === undefined) return validate;
  checkSchema(schema);
  return (operation, context) => {
    const fault = 'put' in operation ? schemaFault(schema, operation.put[1]) : null;
    if (fault !== null) return fault.text;
    return validate === undefined ? true : validate(operation, context);
  };
}

/** A validator that throws refuses. */
function asked<Value>(
  validate: Validate<Value>,
  operation: Operation<Value>,
  current: Value | undefined,
): true | string {
  try {
    const verdict: unknown = validate(operation, { current });
    if (verdict === true) return true;
    return typeof verdict === 'string' && verdict !== '' ? verdict : 'refused without a reason';
  } catch (error) {
    return `the validator failed: ${errorText(error)}`;
  }
}

function oneLine(reason: string): string {
  const text = reason.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ');
  return text.length > bounds.reasonCharacters ? `${text.slice(0, bounds.reasonCharacters - 1)}…` : text;
}

async function* streamed(entries: Iterable<Entry<unknown>>): AsyncGenerator<Uint8Array, void, void> {
  yield* encodeSnapshot(entries);
}

interface HandleParts<Value> {
  readonly state: KeyValueState<Value>;
  readonly recent: RecentChanges;
  readonly dataSet: SlaveDataSet;
}

function slaveHandle<Value>({ state, recent, dataSet }: HandleParts<Value>): SlaveKeyValue<Value> {
  return {
    dataSet,
    get tip() {
      return state.tip;
    },
    get state() {
      return dataSet.state;
    },
    get size() {
      return state.size;
    },
    get: (key) => state.entry(key)?.value,
    entry: (key) => state.entry(key),
    list: (options) => state.list(options),
    stateDigest: () => state.digest(),
    changes: (options) => recent.read(dataSet.changes(options), options?.signal),
    reached: (version, options) => dataSet.reached(version, options),
    [Symbol.asyncDispose]: () => dataSet[Symbol.asyncDispose](),
  };
}
