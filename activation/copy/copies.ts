import { invariant } from '../../shared/protocol/kernel/invariant.js';
import { applyOperations, type StoreOperation, type StoreTransaction } from '../../shared/protocol/kernel/store.js';
import type { Json } from '../../shared/protocol/key-value/operations.js';
import { KeyValueState } from '../../shared/protocol/key-value/state.js';
import type { Columns } from '../../shared/protocol/key-value/change-codec.js';
import type { Store } from '../../shared/runtime/ports.js';
import { tipOf, type Content } from './content.js';
import {
  clearSlot,
  clearStagedChanges,
  putMeta,
  putStagedChanges,
  readCopies,
  type CopyMeta,
  type Slot,
} from './copy-records.js';
import type { Cycle, HeldCopies } from './core/io.js';

/** How a staged copy becomes the active one. */
export type ActivationMode = 'copy' | 'swap';

type State = KeyValueState<Json>;
type Done = (error: Error | null) => void;

/**
 * The active and the staged copy of one server, in memory and, with a store, on disk. Whatever readers see changes in one
 * turn of the event loop: they see one content or the other, never a mixture.
 *
 * `copy`: the staged copy is what differs from the active one, and is copied over it at the instant; that takes as long as
 * there are changes, and memory for one content. `swap`: two whole contents, exchanged at the instant, which takes no time
 * whatever has changed; the older one is then brought up to date, with the changes of two cycles.
 */
export class Copies {
  readonly #store: Store | null;
  readonly #mode: ActivationMode;
  #active: State = new KeyValueState<Json>();
  /** With `swap`: the other content, whatever cycle it is of. */
  #spare: State | null = null;
  /** With `copy`: what differs, once it is durable. */
  #changes: Content | null = null;
  #meta: CopyMeta;

  /** Reads what the store holds. Throws `store-unusable` when it isn't what this wrote. */
  constructor(store: Store | null, mode: ActivationMode) {
    this.#store = store;
    this.#mode = mode;
    const found = store === null ? null : readCopies(store, mode);
    this.#meta = found?.meta ?? { source: null, slot: 'a', active: null, staged: null };
    if (found === null) return;
    this.#active = found.active;
    this.#spare = found.spare;
    this.#changes = found.changes;
  }

  get held(): HeldCopies {
    const { source, active, staged } = this.#meta;
    return { source, active, staged, base: this.#spare === null ? active : staged };
  }

  /** What readers see. */
  get state(): State {
    return this.#active;
  }

  /** Makes it the staged copy, durably, and shows nothing of it. */
  stage(content: Content, done: Done): void {
    const meta: CopyMeta = { ...this.#meta, source: content.source, staged: content.cycle };
    const isOfOther = this.#meta.source !== content.source;
    if (this.#mode === 'copy') {
      invariant(content.from === null || content.from === this.#meta.active, 'changes are built on the active copy');
      const write = (transaction: StoreTransaction): void => {
        // What the other mode has left.
        clearSlot(transaction, this.#store, otherSlot(meta.slot));
        clearStagedChanges(transaction, this.#store);
        putStagedChanges(transaction, content);
        putMeta(transaction, meta, this.#mode);
      };
      this.#write(write, done, () => {
        this.#changes = content;
        this.#meta = meta;
      });
      return;
    }
    invariant(!isOfOther || content.from === null, 'changes are built on a copy of the same database');
    const slot = otherSlot(this.#meta.slot);
    const isWhole = content.from === null;
    const isFresh = this.#spare === null && !isWhole;
    const spare = this.#spare ?? new KeyValueState<Json>();
    // A first staged copy begins as a copy of the active one.
    const copied = isFresh ? wholeOf(this.#active) : null;
    const baseTip = tipOf(this.#meta.active ?? 0);
    const isEmpty = this.#spare === null;
    const write = (transaction: StoreTransaction): void => {
      if (isEmpty) {
        clearStagedChanges(transaction, this.#store);
        clearSlot(transaction, this.#store, slot);
      }
      if (copied !== null && baseTip !== null) spare.store(transaction, slot, copied, baseTip, false);
      putContent(transaction, spare, slot, content);
      putMeta(transaction, meta, this.#mode);
    };
    // Until it is durable the core exposes nothing, so that memory may be ahead.
    this.#write(write, done, () => {
      this.#meta = meta;
    });
    if (copied !== null && baseTip !== null) spare.apply(copied, baseTip, true);
    this.#spare = applied(spare, content);
  }

  /** Makes it the active copy: durably first, then readers see it. */
  take(content: Content, done: Done): void {
    const isOther = this.#meta.source !== content.source;
    // What is staged was built on the copy that goes, or is of another database.
    const drops = this.#mode === 'copy' || isOther;
    const meta: CopyMeta = {
      ...this.#meta,
      source: content.source,
      active: content.cycle,
      staged: drops ? null : this.#meta.staged,
    };
    const { slot } = meta;
    const write = (transaction: StoreTransaction): void => {
      putContent(transaction, this.#active, slot, content);
      if (this.#mode === 'copy') clearStagedChanges(transaction, this.#store);
      else if (drops) clearSlot(transaction, this.#store, otherSlot(slot));
      putMeta(transaction, meta, this.#mode);
    };
    this.#write(write, done, () => {
      this.#active = applied(this.#active, content);
      if (drops) {
        this.#changes = null;
        this.#spare = null;
      }
      this.#meta = meta;
    });
  }

  /**
   * Readers see the staged copy from this call on. It is durable already, so that a crash before `done` only means that it is
   * done once more.
   */
  expose(cycle: Cycle, done: Done): void {
    invariant(this.#meta.staged === cycle, `cycle ${this.#meta.staged} is staged, and ${cycle} is to be shown`);
    if (this.#mode === 'swap') this.#swap(cycle, done);
    else this.#copyOver(cycle, done);
  }

  #swap(cycle: Cycle, done: Done): void {
    const spare = this.#spare;
    invariant(spare !== null, 'there is a staged copy to swap in');
    const { active, source, slot } = this.#meta;
    this.#spare = this.#active;
    this.#active = spare;
    this.#meta = { source, slot: otherSlot(slot), active: cycle, staged: active };
    const meta = this.#meta;
    this.#write((transaction) => putMeta(transaction, meta, this.#mode), done);
  }

  #copyOver(cycle: Cycle, done: Done): void {
    const changes = this.#changes;
    invariant(changes !== null && changes.cycle === cycle, 'there are staged changes to copy');
    this.#meta = { ...this.#meta, active: cycle, staged: null };
    this.#changes = null;
    const { slot } = this.#meta;
    const meta = this.#meta;
    const before = this.#active;
    this.#write((transaction) => {
      putContent(transaction, before, slot, changes);
      clearStagedChanges(transaction, this.#store);
      putMeta(transaction, meta, this.#mode);
    }, done);
    this.#active = applied(before, changes);
  }

  #write(change: (transaction: StoreTransaction) => void, done: Done, then: () => void = () => undefined): void {
    if (this.#store === null) {
      queueMicrotask(() => {
        then();
        done(null);
      });
      return;
    }
    // Collected now: a store may call back later, when memory has moved on.
    const operations: StoreOperation[] = [];
    change({
      put: (key, value) => void operations.push({ kind: 'put', key, value }),
      remove: (key) => void operations.push({ kind: 'remove', key }),
    });
    const write = (transaction: StoreTransaction): void => applyOperations(transaction, operations);
    this.#store.write(write, { durable: true }, (error) => {
      if (error === null) then();
      done(error);
    });
  }
}

function otherSlot(slot: Slot): Slot {
  return slot === 'a' ? 'b' : 'a';
}

function wholeOf(state: State): Columns {
  const entries = state.list();
  return { keys: entries.map(({ key }) => key), values: entries.map(({ value }) => value), deletes: [] };
}

function putContent(transaction: StoreTransaction, state: State, slot: Slot, { cycle, from, columns }: Content): void {
  const tip = tipOf(cycle);
  if (tip === null) for (const { key } of state.list()) transaction.remove(['data', slot, 'entry', key]);
  else state.store(transaction, slot, columns, tip, from === null);
}

/** In one turn: a reader sees all of it or nothing. */
function applied(state: State, { cycle, from, columns }: Content): State {
  const tip = tipOf(cycle);
  if (tip === null) return new KeyValueState<Json>();
  state.apply(columns, tip, from === null);
  return state;
}
