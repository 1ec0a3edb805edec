import { expect } from 'vitest';
import type { Delta, Tip } from '../../shared/protocol/kernel/ids.js';
import type { Durability } from '../../shared/protocol/kernel/outcome.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { decodeChange } from '../../shared/protocol/key-value/change-codec.js';
import type { Operation } from '../../shared/protocol/key-value/operations.js';
import { keyValue } from '../../master/user/key-value.js';
import type { ChangeOptions, ChangeOutcome, MasterKeyValue } from '../../master/user/key-value-types.js';
import type { MasterUserLayer } from '../../master/user/contract.js';
import { FakeClock } from './fake-clock.js';
import { FakeMasterDataSet, turn } from './fake-master-data-set.js';
import { FakeStore } from './fake-store.js';

type PromptOptions = Omit<ChangeOptions, 'activateAt'>;

/** A key-value original on fakes: a test commits and aborts its rounds one by one. */
export class Fixture {
  readonly store: FakeStore;
  readonly clock = new FakeClock();
  readonly layer: MasterUserLayer;
  readonly dataSet: FakeMasterDataSet;
  readonly original: MasterKeyValue<number>;
  readonly outcomes: ChangeOutcome[] = [];

  constructor(store = new FakeStore(), durability: Durability = 'disk') {
    this.store = store;
    const parts = keyValue<number>().create({ dataSet: 'prices', durability, store, defaults: {}, clock: this.clock });
    this.layer = parts.layer;
    this.dataSet = new FakeMasterDataSet({ layer: parts.layer, store });
    this.original = parts.handle(this.dataSet);
    this.dataSet.tip = parts.layer.open() as Tip | null;
  }

  change(operations: readonly Operation<number>[], options?: PromptOptions): Promise<ChangeOutcome> {
    return this.original.change(operations, options);
  }

  put(key: string, value: number, options?: PromptOptions): Promise<ChangeOutcome> {
    return this.change([{ put: [key, value] }], options);
  }

  /** Commits what is there at the start of a test. */
  async seed(rows: Readonly<Record<string, number>>): Promise<void> {
    const done = this.change(Object.entries(rows).map((row) => ({ put: row })));
    await this.dataSet.commit();
    await done;
  }

  /** Fills the pipeline, so that what comes next waits. */
  async fill(): Promise<{ readonly outcomes: readonly Promise<ChangeOutcome>[] }> {
    const filling: Promise<ChangeOutcome>[] = [];
    for (let round = 0; round < bounds.maxOpenRounds; round += 1) {
      filling.push(this.put(`filler-${round}`, round));
      await turn();
    }
    expect(this.dataSet.open).toHaveLength(bounds.maxOpenRounds);
    return { outcomes: filling };
  }

  get contents(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.original.list().map((entry) => [entry.key, entry.value]));
  }
}

export function keysOf(delta: Delta | undefined): readonly string[] {
  const decoded = decodeChange(delta?.bytes ?? new Uint8Array());
  return decoded.ok ? decoded.columns.keys : [];
}

export function settled(outcome: Promise<ChangeOutcome>): () => ChangeOutcome | undefined {
  let found: ChangeOutcome | undefined;
  void outcome.then((end) => (found = end));
  return () => found;
}
