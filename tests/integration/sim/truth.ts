import type { Delta, Tip } from '../../../shared/protocol/kernel/ids.js';
import { tipKey } from '../../../shared/protocol/kernel/ids.js';

interface Committed {
  readonly tip: Tip;
  readonly priorKey: string;
  readonly depth: number;
  readonly atMs: number;
}

/**
 * What was committed in a run, by the masters' disks: each state, the one before it, and when it became durable. Two
 * masters that commit on two sides of a cut make two branches.
 */
export class Truth {
  readonly #committed = new Map<string, Committed>();
  readonly #order: Committed[] = [];
  readonly #aborted = new Map<string, Tip>();

  /** A change whose decision is durable. The same change again says nothing new. */
  commit(change: { readonly prior: Tip | null; readonly to: Tip }, atMs: number): void {
    const key = tipKey(change.to);
    if (this.#committed.has(key)) return;
    const priorKey = tipKey(change.prior);
    const depth = (this.#committed.get(priorKey)?.depth ?? 0) + 1;
    const committed: Committed = { tip: change.to, priorKey, depth, atMs };
    this.#committed.set(key, committed);
    this.#order.push(committed);
  }

  abort(tip: Tip): void {
    this.#aborted.set(tipKey(tip), tip);
  }

  isCommitted(tip: Tip | null): boolean {
    return tip === null || this.#committed.has(tipKey(tip));
  }

  isAborted(tip: Tip | null): boolean {
    return tip !== null && this.#aborted.has(tipKey(tip));
  }

  /** True when `later` is `earlier`, or came out of it by committed changes. */
  contains(later: Tip | null, earlier: Tip | null): boolean {
    if (earlier === null) return true;
    const wanted = tipKey(earlier);
    let key = tipKey(later);
    for (;;) {
      if (key === wanted) return true;
      const committed = this.#committed.get(key);
      if (committed === undefined) return false;
      key = committed.priorKey;
    }
  }

  /** All that `tip` came out of by committed changes, itself included, by their keys: for many questions about one tip. */
  past(tip: Tip | null): ReadonlySet<string> {
    const past = new Set<string>([tipKey(null)]);
    for (let key = tipKey(tip); !past.has(key); key = this.#committed.get(key)?.priorKey ?? tipKey(null)) past.add(key);
    return past;
  }

  /** The newest state that was committed at `atMs` or before, in order of becoming durable. */
  newestAt(atMs: number): Tip | null {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#order[middle]?.atMs ?? Infinity) <= atMs) low = middle + 1;
      else high = middle;
    }
    return this.#order[low - 1]?.tip ?? null;
  }

  /** The committed states in the order of becoming durable; null beyond the last. */
  commitNumber(index: number): Tip | null {
    return this.#order[index]?.tip ?? null;
  }

  get commits(): number {
    return this.#order.length;
  }
}

/** The committed step in a history record, whose delta may be a whole state: the prior then isn't said. */
export function committedStep(delta: Delta, priorTip: Tip | null): { readonly prior: Tip | null; readonly to: Tip } {
  return { prior: delta.from ?? priorTip, to: delta.to };
}
