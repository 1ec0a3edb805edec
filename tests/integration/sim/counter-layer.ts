import type { Delta, Digest, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import type { StoreKey, StoreTransaction } from '../../../shared/protocol/kernel/store.js';
import type { Clock, Store } from '../../../shared/runtime/ports.js';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import type { PrepareAnswer, SlaveUserLayer } from '../../../slave/user/contract.js';
import type { CounterOperation, CounterState } from './counter-state.js';
import {
  applyChange,
  chunksOf,
  digestOfState,
  emptyCounter,
  packChange,
  stateFrom,
  unpackChange,
} from './counter-state.js';

/** The data and its tip: one record, and so one atomic write (G4). */
interface CounterRecord {
  readonly tip: Tip;
  readonly state: CounterState;
}

/** What the master's layer remembers of a committed version, to make deltas from and to go back. */
interface CounterHistory extends CounterRecord {
  readonly operations: readonly CounterOperation[];
}

export interface CounterLayerOptions {
  readonly dataSet: string;
  readonly store: Store;
  /** `own`: the layer writes its record in a transaction of its own. `shared`: in the service's. */
  readonly storing: 'own' | 'shared';
}

/** Committed versions that the master's layer can make deltas from. */
const historyLength = 24;

function recordKey(dataSet: string): StoreKey {
  return ['data', dataSet, 'counter'];
}

function historyKey(dataSet: string): StoreKey {
  return ['data', dataSet, 'counter-history'];
}

function written(store: Store, change: (transaction: StoreTransaction) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    store.write(change, { durable: true }, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

/** The original, for tests: changes are staged by `stage`, then replicated by their version. */
export class CounterMaster implements MasterUserLayer {
  readonly maxOpenRounds: number;
  readonly #options: CounterLayerOptions;
  readonly #staged = new Map<number, readonly CounterOperation[]>();
  #history: CounterHistory[] = [];
  #tip: Tip | null = null;
  #state: CounterState = emptyCounter;
  /** Written in transactions of the service that aren't durable yet: the next one builds on them. */
  #written: CounterHistory[] = [];
  readonly shared?: { write(change: Delta, transaction: StoreTransaction): void; expose(change: Delta): void };

  constructor(options: CounterLayerOptions & { readonly maxOpenRounds: number }) {
    this.#options = options;
    this.maxOpenRounds = options.maxOpenRounds;
    if (options.storing === 'shared') {
      this.shared = {
        write: (change, transaction) => {
          const next = this.#after(change, this.#written.at(-1) ?? null);
          this.#put(next, transaction);
          this.#written.push(next);
        },
        expose: (change) => {
          const next = this.#written.find((entry) => sameTip(entry.tip, change.to));
          if (next === undefined) throw new Error('exposed without having been written');
          this.#written = this.#written.slice(this.#written.indexOf(next) + 1);
          this.#adopt(next);
        },
      };
    }
  }

  get tip(): Tip | null {
    return this.#tip;
  }

  /** Names the operations that lead to a version; the bytes may be handed to `replicate`, or left for `delta`. */
  stage(version: number, operations: readonly CounterOperation[]): Uint8Array {
    this.#staged.set(version, operations);
    return packChange({ kind: 'operations', operations });
  }

  /** What the original is at, with what is staged. */
  get newest(): number {
    return Math.max(versionOf(this.#tip), ...this.#staged.keys());
  }

  unstage(version: number): void {
    this.#staged.delete(version);
  }

  open(): Tip | null {
    const { store, dataSet } = this.#options;
    const record = store.get(recordKey(dataSet)) as CounterRecord | undefined;
    this.#tip = record?.tip ?? null;
    this.#state = record?.state ?? emptyCounter;
    this.#history = (store.get(historyKey(dataSet)) as CounterHistory[] | undefined) ?? [];
    return this.#tip;
  }

  async recover(committed: Tip | null, missing: readonly Delta[]): Promise<void> {
    if (sameTip(this.#tip, committed)) return;
    for (const change of missing) if (sameTip(change.from, this.#tip)) await this.#commit(change);
    if (sameTip(this.#tip, committed)) return;
    const earlier = this.#history.find((entry) => sameTip(entry.tip, committed));
    if (earlier === undefined) throw new Error('the committed state is not in the history');
    await this.#writeBack(earlier);
  }

  delta(from: Tip | null, to: { readonly version: number }): Uint8Array | null {
    const staged = [...this.#staged].filter(([version]) => version <= to.version && version > versionOf(this.#tip));
    staged.sort(([a], [b]) => a - b);
    const ahead = staged.flatMap(([, operations]) => operations);
    const endsAtStaged = this.#staged.has(to.version);
    if (!endsAtStaged && !this.#history.some((entry) => entry.tip.version === to.version)) return null;
    const kept = this.#history.filter((entry) => entry.tip.version <= to.version);
    if (from === null) {
      const base = endsAtStaged ? this.#state : (kept.at(-1)?.state ?? emptyCounter);
      const state = applyChange(base, { kind: 'operations', operations: endsAtStaged ? ahead : [] });
      return packChange({ kind: 'whole', state });
    }
    const staging = staged.findIndex(([version]) => version === from.version);
    if (staging >= 0)
      return packChange({
        kind: 'operations',
        operations: staged.slice(staging + 1).flatMap(([, operations]) => operations),
      });
    const place = kept.findIndex((entry) => sameTip(entry.tip, from));
    if (place === -1 && !sameTip(from, this.#tip)) return null;
    const behind = kept.slice(place + 1).flatMap((entry) => entry.operations);
    const committed = sameTip(from, this.#tip) ? [] : behind;
    return packChange({ kind: 'operations', operations: endsAtStaged ? [...committed, ...ahead] : committed });
  }

  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    const entry = this.#history.find((kept) => sameTip(kept.tip, at));
    if (entry === undefined && !sameTip(at, this.#tip)) throw new Error('this state is not in the history');
    return chunksOf(entry?.state ?? this.#state);
  }

  restore(_to: Tip | null, dropped: readonly number[]): void {
    for (const version of dropped) this.#staged.delete(version);
  }

  async committed(change: Delta): Promise<void> {
    if (sameTip(change.to, this.#tip)) return;
    await this.#commit(change);
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const state = await stateFrom(chunks);
    await this.#writeBack({ tip: to, state, operations: [] });
  }

  stateDigest(): Digest {
    return digestOfState(this.#state);
  }

  #after(change: Delta, base: CounterRecord | null): CounterHistory {
    const unpacked = unpackChange(change.bytes);
    return {
      tip: change.to,
      state: applyChange(base?.state ?? this.#state, unpacked),
      operations: unpacked.kind === 'operations' ? unpacked.operations : [],
    };
  }

  async #commit(change: Delta): Promise<void> {
    const next = this.#after(change, null);
    await written(this.#options.store, (transaction) => {
      this.#put(next, transaction);
    });
    this.#adopt(next);
  }

  async #writeBack(entry: CounterHistory): Promise<void> {
    const { store, dataSet } = this.#options;
    const history = this.#history.filter((kept) => kept.tip.version < entry.tip.version).concat(entry);
    await written(store, (transaction) => {
      transaction.put(recordKey(dataSet), { tip: entry.tip, state: entry.state });
      transaction.put(historyKey(dataSet), history);
    });
    this.#tip = entry.tip;
    this.#state = entry.state;
    this.#history = history;
  }

  #put(next: CounterHistory, transaction: StoreTransaction): void {
    const { dataSet } = this.#options;
    transaction.put(recordKey(dataSet), { tip: next.tip, state: next.state });
    transaction.put(historyKey(dataSet), this.#history.concat(this.#written, next).slice(-historyLength));
  }

  #adopt(next: CounterHistory): void {
    this.#staged.delete(next.tip.version);
    this.#history = this.#history.concat(next).slice(-historyLength);
    this.#tip = next.tip;
    this.#state = next.state;
  }
}

export interface CounterSlaveOptions extends CounterLayerOptions {
  /** This slave's name: operations that name it are vetoed. */
  readonly node: string;
  readonly clock: Clock;
  readonly random: Random;
  /** How many of the callbacks take time, and how long; the others (null: all) answer at once, synchronously where they can. */
  readonly slowness: { readonly chance: number; readonly maxMs: number } | null;
}

/** The copy, for tests. */
export class CounterSlave implements SlaveUserLayer {
  readonly #options: CounterSlaveOptions;
  #tip: Tip | null = null;
  #state: CounterState = emptyCounter;
  #written: CounterRecord[] = [];
  readonly shared?: { write(change: Delta, transaction: StoreTransaction): void; expose(change: Delta): void };

  constructor(options: CounterSlaveOptions) {
    this.#options = options;
    if (options.storing === 'shared') {
      this.shared = {
        write: (change, transaction) => {
          const next = this.#after(change, this.#written.at(-1) ?? null);
          this.#put(next, transaction);
          this.#written.push(next);
        },
        expose: (change) => {
          const next = this.#written.find((entry) => sameTip(entry.tip, change.to));
          if (next === undefined) throw new Error('exposed without having been written');
          this.#written = this.#written.slice(this.#written.indexOf(next) + 1);
          this.#adopt(next);
        },
      };
    }
  }

  get tip(): Tip | null {
    return this.#tip;
  }

  open(): Tip | null {
    const record = this.#options.store.get(recordKey(this.#options.dataSet)) as CounterRecord | undefined;
    this.#tip = record?.tip ?? null;
    this.#state = record?.state ?? emptyCounter;
    return this.#tip;
  }

  prepare(change: Delta): PrepareAnswer | Promise<PrepareAnswer> {
    const answer = this.#judge(change);
    const delayMs = this.#delayMs();
    return delayMs === 0 ? answer : this.#afterDelay(delayMs).then(() => answer);
  }

  async commit(change: Delta): Promise<void> {
    if (sameTip(change.to, this.#tip)) return;
    const delayMs = this.#delayMs();
    if (delayMs > 0) await this.#afterDelay(delayMs);
    const next = this.#after(change, null);
    await written(this.#options.store, (transaction) => {
      this.#put(next, transaction);
    });
    this.#adopt(next);
  }

  abort(): void {
    // Nothing is staged: `prepare` only judges.
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const next = { tip: to, state: await stateFrom(chunks) };
    await written(this.#options.store, (transaction) => {
      this.#put(next, transaction);
    });
    this.#adopt(next);
  }

  snapshot(at: Tip): AsyncIterable<Uint8Array> {
    if (!sameTip(at, this.#tip)) throw new Error('this copy is at another state');
    return chunksOf(this.#state);
  }

  stateDigest(): Digest {
    return digestOfState(this.#state);
  }

  #judge(change: Delta): PrepareAnswer {
    const unpacked = unpackChange(change.bytes);
    if (unpacked.kind === 'whole') return { ok: true };
    const refused = unpacked.operations.flatMap((operation, index) =>
      operation.vetoedBy.includes(this.#options.node) ? [index] : [],
    );
    return refused.length === 0 ? { ok: true } : { ok: false, reason: 'this operation is not for me', refused };
  }

  #after(change: Delta, base: CounterRecord | null): CounterRecord {
    return { tip: change.to, state: applyChange(base?.state ?? this.#state, unpackChange(change.bytes)) };
  }

  #put(next: CounterRecord, transaction: StoreTransaction): void {
    transaction.put(recordKey(this.#options.dataSet), next);
  }

  #adopt(next: CounterRecord): void {
    this.#tip = next.tip;
    this.#state = next.state;
  }

  #delayMs(): number {
    const { slowness, random } = this.#options;
    if (slowness === null || !random.chance(slowness.chance)) return 0;
    return 0.01 + random.next() * slowness.maxMs;
  }

  #afterDelay(delayMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      clock.at(clock.monotonicMs() + delayMs, resolve);
    });
  }
}
