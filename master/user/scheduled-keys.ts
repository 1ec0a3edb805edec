import type { StoreOperation, StoreReader } from '../../shared/protocol/kernel/store.js';
import { damaged, keyValueKeys } from '../../shared/protocol/key-value/state.js';
import type { MasterDataSet } from '../types.js';
import type { ScheduledChangeOutcome } from './key-value-types.js';

/** One caller's part of a scheduled change. */
export interface ScheduledKey {
  readonly key: string;
  readonly operations: number;
}

/**
 * Which idempotency keys a scheduled change has, by its version: on disk before its decision can be, so that a restart between the
 * decision and the instant forgets none of them (G14). Only together with what is armed does a record mean anything: of a round
 * that was never decided it is left over, and goes before the next one is written.
 */
export class ScheduledKeys {
  readonly #dataSet: string;
  readonly #held = new Map<number, readonly ScheduledKey[]>();

  constructor(dataSet: string) {
    this.#dataSet = dataSet;
  }

  /** The version that has the key, and the caller's part of it. */
  find(key: string): (ScheduledKey & { readonly version: number }) | undefined {
    for (const [version, keys] of this.#held) {
      const found = keys.find((each) => each.key === key);
      if (found !== undefined) return { ...found, version };
    }
    return undefined;
  }

  of(version: number): readonly ScheduledKey[] {
    return this.#held.get(version) ?? [];
  }

  /** Scheduled changes go alone: whatever else is held is left over. What is returned is to be written. */
  begin(version: number, keys: readonly ScheduledKey[]): readonly StoreOperation[] {
    const operations = [...this.#held.keys()].flatMap((old) => this.end(old));
    if (keys.length === 0) return operations;
    this.#held.set(version, keys);
    const value = keys.map(({ key, operations: count }) => [key, count]);
    return [...operations, { kind: 'put', key: keyValueKeys.schedule(this.#dataSet, version), value }];
  }

  /** It has shown, or never will. What is returned is to be written. */
  end(version: number): readonly StoreOperation[] {
    if (!this.#held.delete(version)) return [];
    return [{ kind: 'remove', key: keyValueKeys.schedule(this.#dataSet, version) }];
  }

  load(reader: StoreReader): void {
    for (const { key: path, value } of reader.range(keyValueKeys.schedules(this.#dataSet))) {
      const version = path.at(-1);
      const keys = keysIn(value);
      if (typeof version !== 'number' || keys === null)
        throw damaged(this.#dataSet, `the scheduled change ${JSON.stringify(path)}`);
      this.#held.set(version, keys);
    }
  }
}

/** Null: it is none of ours. */
function keysIn(value: unknown): readonly ScheduledKey[] | null {
  if (!Array.isArray(value)) return null;
  const keys: ScheduledKey[] = [];
  for (const each of value as readonly unknown[]) {
    const [key, operations] = Array.isArray(each) ? (each as readonly unknown[]) : [];
    if (typeof key !== 'string' || typeof operations !== 'number') return null;
    keys.push({ key, operations });
  }
  return keys;
}

/** What a process before told, or was about to tell. The votes that it counted are those who are armed; its duration is lost. */
export function armedEarlier(armed: NonNullable<MasterDataSet['armed']>, operations: number): ScheduledChangeOutcome {
  const { tip, activateAtMs, voters, armed: count, of, missing } = armed;
  const votes = { yes: voters.length, no: 0, silent: 0 };
  const arming = { armed: count, of, missing };
  return { kind: 'armed', tip, activateAtMs, votes, arming, durationMs: 0, durable: true, operations };
}
