import { LockstepError } from '../protocol/kernel/errors.js';
import type { Incarnation, NodeId } from '../protocol/kernel/ids.js';
import type { Random } from '../protocol/kernel/random.js';
import type { StoreKey } from '../protocol/kernel/store.js';
import type { Store } from './ports.js';

/** Whose a store may be. */
export type StoreRole = 'master' | 'slave' | 'cycle copy';

export const identityKey: StoreKey = ['meta', 'identity'];

interface IdentityRecord {
  readonly storeId: string;
  readonly start: number;
  readonly role: StoreRole;
  readonly node: string;
}

export interface IdentityClaim {
  readonly role: StoreRole;
  readonly node: NodeId;
  readonly random: Random;
}

/**
 * Counts one more start of this store, durably, before the node says a word: a restart is told from a second process of
 * the same name by it, a cloned store by a count that goes back.
 *
 * Rejects with `store-foreign` when the store is another node's, with `store-unusable` when it can't be written.
 */
export function raiseIncarnation(store: Store, claim: IdentityClaim): Promise<Incarnation> {
  const stored = store.get(identityKey);
  const foreign = whyForeign(stored, claim);
  if (foreign !== null) return Promise.reject(foreign);
  const found = parseIdentity(stored);
  const incarnation: Incarnation = { storeId: found?.storeId ?? claim.random.hex128(), start: (found?.start ?? 0) + 1 };
  const record: IdentityRecord = { ...incarnation, role: claim.role, node: claim.node };
  return new Promise((resolve, reject) => {
    const change = (transaction: { put(key: StoreKey, value: unknown): void }): void => {
      transaction.put(identityKey, record);
    };
    store.write(change, { durable: true }, (error) => {
      if (error === null) resolve(incarnation);
      else
        reject(new LockstepError('store-unusable', `the store can't be written: ${error.message}`, { cause: error }));
    });
  });
}

/** Null when the identity stored under `identityKey` is the claimant's own, or there is none yet. */
export function whyForeign(stored: unknown, claim: Omit<IdentityClaim, 'random'>): LockstepError | null {
  const found = parseIdentity(stored);
  if (found === null || (found.role === claim.role && found.node === claim.node)) return null;
  const message = `this store belongs to the ${found.role} '${found.node}', not to the ${claim.role} '${claim.node}': choose another store, or that name`;
  return new LockstepError('store-foreign', message);
}

function parseIdentity(value: unknown): IdentityRecord | null {
  return typeof value === 'object' && value !== null && 'storeId' in value ? (value as IdentityRecord) : null;
}
