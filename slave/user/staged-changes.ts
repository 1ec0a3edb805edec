import type { Delta, Tip } from '../../shared/protocol/kernel/ids.js';
import { tipKey } from '../../shared/protocol/kernel/ids.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import type { Columns } from '../../shared/protocol/key-value/change-codec.js';

/** A prepared change, decoded once: what `prepare` read is what `commit` applies. */
export interface StagedChange {
  readonly from: Tip | null;
  readonly columns: Columns;
  /** What each key would become, for a validator to look through; null until one does. */
  readonly effects: Effects | null;
}

/** A key that goes maps to undefined. */
export type Effects = ReadonlyMap<string, unknown>;

export function effectsOf(staged: StagedChange): Effects {
  if (staged.effects !== null) return staged.effects;
  const { keys, values, deletes } = staged.columns;
  const effects = new Map<string, unknown>();
  const deleted = new Set(deletes);
  keys.forEach((key, position) => effects.set(key, deleted.has(position) ? undefined : values[position]));
  return effects;
}

/** The prepared changes, by the tip that each leads to. Bounded: forgetting one costs a second decoding, no more. */
export class StagedChanges {
  readonly #changes = new Map<string, StagedChange>();

  get size(): number {
    return this.#changes.size;
  }

  find(to: Tip): StagedChange | undefined {
    return this.#changes.get(tipKey(to));
  }

  set(change: Delta, staged: StagedChange): void {
    const key = tipKey(change.to);
    this.#changes.delete(key);
    this.#changes.set(key, staged);
    if (this.#changes.size <= limits.maxOpenRounds) return;
    for (const oldest of this.#changes.keys()) {
      this.#changes.delete(oldest);
      return;
    }
  }

  remove(to: Tip): void {
    this.#changes.delete(tipKey(to));
  }

  /**
   * The staged changes that lead from `base` to `tip`, newest first: what a change that starts at `tip` stands on.
   * Null when they don't lead there.
   */
  between(base: Tip | null, tip: Tip | null): readonly StagedChange[] | null {
    const path: StagedChange[] = [];
    const end = tipKey(base);
    for (let at = tip; tipKey(at) !== end;) {
      const staged = at === null ? undefined : this.find(at);
      if (staged === undefined || path.length > limits.maxOpenRounds) return null;
      path.push(staged);
      // It replaces whatever was there, so nothing below it matters.
      if (staged.from === null) return path;
      at = staged.from;
    }
    return path;
  }
}
