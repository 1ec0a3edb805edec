import type { Tip } from '../../shared/protocol/kernel/ids.js';
import type { StoreReader, StoreTransaction } from '../../shared/protocol/kernel/store.js';
import { damaged, keyValueKeys } from '../../shared/protocol/key-value/state.js';
import type { ScheduledChangeOutcome } from './key-value-types.js';

/** A change by its idempotency key: under way, or how it ended. */
export type Remembered =
  { readonly kind: 'pending' } | { readonly kind: 'settled'; readonly outcome: ScheduledChangeOutcome };

interface Joined {
  readonly resolve: (outcome: ScheduledChangeOutcome) => void;
  readonly reject: (error: Error) => void;
}

/**
 * What became of changes, by their idempotency keys: the newest `bound` of them, and all that are under way. Those that
 * committed are on disk too, written in the transaction of the decision, so that a restart changes no answer (G14).
 */
export class RememberedOutcomes {
  /** Those who gave the key again meanwhile. */
  readonly #pending = new Map<string, Joined[]>();
  /** Oldest first. */
  readonly #settled = new Map<string, ScheduledChangeOutcome>();
  readonly #stored = new Set<string>();
  /** Forgotten here, and still on disk until the next decision takes them along. */
  #prunable: string[] = [];
  #ordinal = 0;
  readonly #bound: number;
  readonly #dataSet: string;

  constructor(parts: { readonly bound: number; readonly dataSet: string }) {
    this.#bound = parts.bound;
    this.#dataSet = parts.dataSet;
  }

  find(key: string): Remembered | undefined {
    if (this.#pending.has(key)) return { kind: 'pending' };
    const outcome = this.#settled.get(key);
    return outcome === undefined ? undefined : { kind: 'settled', outcome };
  }

  begin(key: string): void {
    this.#pending.set(key, []);
  }

  /** Settles as the change under way does. */
  joined(key: string): Promise<ScheduledChangeOutcome> {
    return new Promise((resolve, reject) => {
      this.#pending.get(key)?.push({ resolve, reject });
    });
  }

  settle(key: string, outcome: ScheduledChangeOutcome): void {
    const joined = this.#pending.get(key) ?? [];
    this.#pending.delete(key);
    this.#settled.delete(key);
    this.#settled.set(key, outcome);
    if (this.#settled.size > this.#bound) this.#forgetOldest();
    for (const each of joined) each.resolve(outcome);
  }

  /** It was refused before anything began: the key is free again. */
  forget(key: string, error: Error): void {
    const joined = this.#pending.get(key) ?? [];
    this.#pending.delete(key);
    for (const each of joined) each.reject(error);
  }

  /** The change is committed after all, though its caller may have been told *unknown*, or only *armed*, here or by a process before. */
  decided(key: string, to: Tip, known: { readonly operations: number; readonly durable: boolean }): void {
    if (this.#pending.has(key)) return; // its caller is about to be told
    const told = this.#settled.get(key)?.kind;
    if (told === 'unknown' || told === 'armed' || told === undefined) this.settle(key, committedEarlier(to, known));
  }

  /** In the transaction of the decision. */
  store(transaction: StoreTransaction, key: string, to: Tip, operations: number): void {
    this.#ordinal += 1;
    transaction.put(keyValueKeys.outcome(this.#dataSet, key), [this.#ordinal, to, operations]);
    this.#stored.add(key);
    for (const old of this.#prunable) transaction.remove(keyValueKeys.outcome(this.#dataSet, old));
    this.#prunable = [];
  }

  load(reader: StoreReader): void {
    const found: { readonly ordinal: number; readonly key: string; readonly to: Tip; readonly operations: number }[] =
      [];
    for (const { key: path, value } of reader.range(keyValueKeys.outcomes(this.#dataSet))) {
      const key = path.at(-1);
      const [ordinal, to, operations] = Array.isArray(value) ? (value as readonly unknown[]) : [];
      if (
        typeof key !== 'string' ||
        typeof ordinal !== 'number' ||
        typeof to !== 'object' ||
        typeof operations !== 'number'
      ) {
        throw damaged(this.#dataSet, `the outcome ${JSON.stringify(path)}`);
      }
      found.push({ ordinal, key, to: to as Tip, operations });
    }
    found.sort((a, b) => a.ordinal - b.ordinal);
    for (const { ordinal, key, to, operations } of found) {
      this.#ordinal = ordinal;
      this.#stored.add(key);
      this.settle(key, committedEarlier(to, { operations, durable: true }));
    }
  }

  #forgetOldest(): void {
    for (const oldest of this.#settled.keys()) {
      this.#settled.delete(oldest);
      if (this.#stored.delete(oldest)) this.#prunable.push(oldest);
      return;
    }
  }
}

/** Votes and duration are not on disk: both are 0 in an outcome that was read back. */
function committedEarlier(
  tip: Tip,
  known: { readonly operations: number; readonly durable: boolean },
): ScheduledChangeOutcome {
  return { kind: 'committed', tip, votes: { yes: 0, no: 0, silent: 0 }, durationMs: 0, ...known };
}
