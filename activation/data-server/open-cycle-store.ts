import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import type { CycleStore, NewDatabase } from './cycle-store.js';
import { EmbeddedCycleStore } from './lmdb-cycle-store.js';
import { PostgresqlCycleStore } from './postgresql-cycle-store.js';

/** Where the three copies are: one of the two. */
export interface StorePlace {
  readonly store?: string | undefined;
  readonly postgresql?: string | undefined;
}

/** Rejects with `bad-option`, `store-unusable`, `store-foreign` or `store-format`. */
export async function openCycleStore(
  place: StorePlace,
  fresh: NewDatabase,
  onLost: (reason: string) => void,
): Promise<CycleStore> {
  const { store, postgresql } = place;
  if (store !== undefined && postgresql === undefined) return EmbeddedCycleStore.open({ ...fresh, folder: store });
  if (store === undefined && postgresql !== undefined)
    return PostgresqlCycleStore.open({ ...fresh, url: postgresql, onLost });
  throw new LockstepError('bad-option', 'give either store, a folder, or postgresql, the address of a database');
}
