import type { KeyObject } from 'node:crypto';
import type { ReplayWindow } from './replay-window.js';

/** Nodes remembered at once: twice a full group. Only who holds the group's key can add one. */
export const maxStores = 8192;
/** Earlier processes of one store that are remembered, too: late packets of theirs, and a cloned store. */
const maxEarlier = 3;

/** One process that was heard, authenticated. */
export interface SenderProcess {
  /** Store id, start counter and mark, as in the header. */
  readonly process: Buffer;
  readonly start: number;
  readonly startedMs: number;
  readonly window: ReplayWindow;
  /** By key id. */
  readonly keys: Map<number, KeyObject>;
}

interface Store {
  newest: SenderProcess;
  earlier: SenderProcess[];
}

/** The processes that were heard, by node and store: their windows, and which is the newest. */
export class Senders {
  readonly #stores = new Map<string, Store>();

  get size(): number {
    return this.#stores.size;
  }

  /** `storeKey` names node and store; `process` is compared in place. */
  find(storeKey: string, isThat: (process: Buffer) => boolean): SenderProcess | null {
    const store = this.#stores.get(storeKey);
    if (store === undefined) return null;
    if (isThat(store.newest.process)) return store.newest;
    return store.earlier.find(({ process }) => isThat(process)) ?? null;
  }

  /** A process heard for the first time, or again after it was forgotten. */
  add(storeKey: string, sender: SenderProcess): void {
    const store = this.#stores.get(storeKey);
    if (store === undefined) {
      if (this.#stores.size >= maxStores) this.#forgetOne();
      this.#stores.set(storeKey, { newest: sender, earlier: [] });
      return;
    }
    if (isEarlier(sender, store.newest)) store.earlier.push(sender);
    else {
      store.earlier.push(store.newest);
      store.newest = sender;
    }
    if (store.earlier.length > maxEarlier) store.earlier.shift();
  }

  /** True when a later process of the same node and store has been heard. */
  isOlder(storeKey: string, sender: SenderProcess): boolean {
    const store = this.#stores.get(storeKey);
    return store !== undefined && isEarlier(sender, store.newest);
  }

  /** After a change of keys: an id may now name another one. */
  dropKeys(): void {
    for (const { newest, earlier } of this.#stores.values()) for (const { keys } of [newest, ...earlier]) keys.clear();
  }

  #forgetOne(): void {
    for (const key of this.#stores.keys()) {
      this.#stores.delete(key);
      return;
    }
  }
}

/**
 * By both: a store that came back from a backup counts its starts again, and a wall clock may be set back. Whoever has
 * only one of them lower is no recording of an earlier process.
 */
function isEarlier(a: SenderProcess, b: SenderProcess): boolean {
  return a.start < b.start && a.startedMs <= b.startedMs;
}
