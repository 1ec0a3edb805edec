import type { StoreKey, StoreReader, StoreTransaction } from '../../shared/protocol/kernel/store.js';
import type { Json } from '../../shared/protocol/key-value/operations.js';
import { damaged, KeyValueState, keyValueKeys } from '../../shared/protocol/key-value/state.js';
import type { Content } from './content.js';
import type { ActivationMode } from './copies.js';
import type { Cycle } from './core/io.js';

/**
 * What a copy keeps in its store:
 *
 *     data/cycle            which slot is active, which cycles there are, from which database, and by which mode
 *     data/a/…, data/b/…    a content, as a key-value data set is kept; with `copy` there is one of them
 *     data/staged/…         with `copy`: what differs, `[value]` or `[]` for a key that goes; `data/staged` is its head
 */
export type Slot = 'a' | 'b';

export interface CopyMeta {
  readonly source: string | null;
  /** Where the active content is. */
  readonly slot: Slot;
  readonly active: Cycle | null;
  readonly staged: Cycle | null;
}

const format = 1;
const metaKey: StoreKey = ['data', 'cycle'];
const stagedHead: StoreKey = ['data', 'staged'];
const stagedKeys: StoreKey = ['data', 'staged', 'entry'];

export interface FoundCopies {
  readonly meta: CopyMeta;
  readonly active: KeyValueState<Json>;
  readonly spare: KeyValueState<Json> | null;
  readonly changes: Content | null;
}

/** Null: there is nothing yet. Throws `store-unusable`. */
export function readCopies(store: StoreReader, mode: ActivationMode): FoundCopies | null {
  const record = store.get(metaKey);
  if (record === undefined) return null;
  const meta = parseMeta(record);
  if (meta === null) throw damaged('cycle', 'the record of the copies');
  const active = loaded(store, meta.slot);
  const isSameMode = (record as { readonly mode?: unknown }).mode === mode;
  // What was staged by the other mode is kept in another form: it is retrieved once more.
  if (!isSameMode || meta.staged === null || meta.source === null)
    return { meta: { ...meta, staged: null }, active, spare: null, changes: null };
  if (mode === 'swap') return { meta, active, spare: loaded(store, meta.slot === 'a' ? 'b' : 'a'), changes: null };
  const changes = readStagedChanges(store, { source: meta.source, cycle: meta.staged });
  return { meta, active, spare: null, changes };
}

export function putMeta(transaction: StoreTransaction, meta: CopyMeta, mode: ActivationMode): void {
  transaction.put(metaKey, { format, mode, ...meta });
}

export function putStagedChanges(transaction: StoreTransaction, { from, columns }: Content): void {
  transaction.put(stagedHead, { from });
  const { keys, values, deletes } = columns;
  const removed = new Set(deletes);
  for (const [position, key] of keys.entries())
    transaction.put([...stagedKeys, key], removed.has(position) ? [] : [values[position]]);
}

export function clearStagedChanges(transaction: StoreTransaction, store: StoreReader | null): void {
  transaction.remove(stagedHead);
  for (const key of keysBelow(store, stagedKeys)) transaction.remove(key);
}

export function clearSlot(transaction: StoreTransaction, store: StoreReader | null, slot: Slot): void {
  transaction.remove(keyValueKeys.tip(slot));
  for (const key of keysBelow(store, keyValueKeys.entries(slot))) transaction.remove(key);
}

function keysBelow(store: StoreReader | null, prefix: StoreKey): readonly StoreKey[] {
  return store === null ? [] : [...store.range(prefix)].map(({ key }) => key);
}

function loaded(store: StoreReader, slot: Slot): KeyValueState<Json> {
  const state = new KeyValueState<Json>();
  state.load(store, slot);
  return state;
}

function readStagedChanges(
  store: StoreReader,
  { source, cycle }: { readonly source: string; readonly cycle: Cycle },
): Content {
  const head = store.get(stagedHead) as { readonly from?: unknown } | undefined;
  if (typeof head !== 'object' || (head.from !== null && typeof head.from !== 'number'))
    throw damaged('cycle', 'the staged changes');
  const keys: string[] = [];
  const values: unknown[] = [];
  const deletes: number[] = [];
  for (const { key: path, value: record } of store.range(stagedKeys)) {
    const key = path.at(-1);
    if (typeof key !== 'string' || !Array.isArray(record)) throw damaged('cycle', `the change ${JSON.stringify(path)}`);
    if (record.length === 0) deletes.push(keys.length);
    keys.push(key);
    values.push(record.length === 0 ? null : record[0]);
  }
  return { source, cycle, from: head.from, columns: { keys, values, deletes } };
}

function parseMeta(value: unknown): CopyMeta | null {
  if (typeof value !== 'object' || value === null) return null;
  const { format: found, source, slot, active, staged } = value as Partial<CopyMeta> & { readonly format?: unknown };
  const isCycle = (cycle: unknown): cycle is Cycle | null =>
    cycle === null || (typeof cycle === 'number' && Number.isSafeInteger(cycle) && cycle >= 0);
  if (found !== format || (slot !== 'a' && slot !== 'b') || !isCycle(active) || !isCycle(staged)) return null;
  return source === null || typeof source === 'string' ? { source, slot, active, staged } : null;
}
