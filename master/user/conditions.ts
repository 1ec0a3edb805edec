import type { Condition } from '../../shared/protocol/key-value/validate.js';
import type { ConditionFailure } from './key-value-types.js';

/** The newest state as a condition meets it: what is committed, and over it what is in flight. */
export interface ConditionView {
  /** The version that last touched a committed key; null when there is no such key. */
  committed(key: string): number | null;
  /** What the newest change in flight makes of the key; undefined when none touches it. */
  inFlight(key: string): { readonly present: boolean; readonly version: number | null } | undefined;
}

/**
 * `wait`: only a change in flight stands against it. Whether that one commits isn't known, and a caller must not hear
 * of a failure that never came to be: the change waits, and is judged again.
 */
export type Verdict =
  | { readonly kind: 'holds' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'fails'; readonly failures: readonly ConditionFailure[] };

export function judge(conditions: readonly Condition[], view: ConditionView): Verdict {
  const failures: ConditionFailure[] = [];
  let waits = false;
  for (const { operation, key, expected } of conditions) {
    const newest = view.inFlight(key);
    if (newest === undefined) {
      const actual = view.committed(key);
      if (actual !== expected) failures.push({ operation, key, actual });
    } else {
      // A version of null is being given out just now: no caller can have meant it.
      const holds = newest.present ? expected !== null && newest.version === expected : expected === null;
      if (!holds) waits = true;
    }
  }
  if (failures.length > 0) return { kind: 'fails', failures };
  return waits ? { kind: 'wait' } : { kind: 'holds' };
}
