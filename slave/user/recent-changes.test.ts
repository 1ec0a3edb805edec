import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Delta, Epoch, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { encodeSegment } from '../../shared/protocol/key-value/change-codec.js';
import { encodeSnapshot } from '../../shared/protocol/key-value/snapshot-codec.js';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { PacedReaders } from '../../shared/runtime/paced-readers.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { Cancellable, SlaveDataSet } from '../types.js';
import { keyValue } from './key-value.js';

const epoch: Epoch = { number: 1, claimant: 'c'.repeat(32) };

/** A copy whose service exposes at once what it is given. */
function fixture() {
  const store = new FakeStore();
  const exposed = new PacedReaders<{ readonly tip: Tip }>(limits.changesBuffered);
  const parts = keyValue<unknown>().create({ node: 's1', dataSet: 'prices', durability: 'memory', store });
  const changes = (options: Cancellable = {}) => exposed.subscribe(options.signal);
  const { layer } = parts;
  const copy = parts.handle({ changes } as unknown as SlaveDataSet);
  let tip: Tip | null = null;
  let version = 0;
  const step = (
    from: Tip | null,
    keys: readonly string[],
    values: readonly unknown[],
    deletes: readonly number[],
  ): Delta => {
    version += 1;
    return issueDelta(from, epoch, version as Version, encodeSegment({ keys, values, deletes }));
  };
  const expose = (delta: Delta): void => {
    layer.shared?.expose(delta);
    exposed.push({ tip: delta.to });
    tip = delta.to;
  };
  return {
    copy,
    exposed,
    change: (keys: readonly string[], values: readonly unknown[], deletes: readonly number[] = []) => {
      expose(step(tip, keys, values, deletes));
    },
    whole: (keys: readonly string[], values: readonly unknown[]) => {
      expose(step(null, keys, values, []));
    },
    install: async () => {
      const { to } = step(tip, ['z'], [1], []);
      await layer.install(
        to,
        (async function* () {
          yield* encodeSnapshot([{ key: 'z', value: 1, version }]);
        })(),
      );
      exposed.push({ tip: to });
      tip = to;
    },
  };
}

describe('changes()', () => {
  it('says what each change did, in order, to each reader', async () => {
    const { copy, exposed, change } = fixture();
    change(['before'], [0]);
    const [first, second] = [copy.changes(), copy.changes()];
    const waiting = first.next();
    change(['a', 'b', 'a'], [1, null, 2], [1]);
    change(['c'], [3]);
    exposed.end();
    const told = [(await waiting).value?.operations];
    for await (const { operations } of first) told.push(operations);
    expect(told).toEqual([[{ put: ['a', 1] }, { delete: 'b' }, { put: ['a', 2] }], [{ put: ['c', 3] }]]);
    const again = [];
    for await (const { operations, tip, skipped } of second) again.push({ operations, version: tip.version, skipped });
    expect(again).toEqual([
      { version: 2, skipped: 0, operations: told[0] },
      { version: 3, skipped: 0, operations: told[1] },
    ]);
  });

  it('says null where it is not known step by step: a snapshot, a whole state, what was skipped', async () => {
    const { copy, change, whole, install } = fixture();
    const changes = copy.changes();
    whole(['a'], [1]);
    whole(['b'], [1]);
    await install();
    change(['c'], [1]);
    const told = [];
    for (let count = 0; count < 4; count += 1) told.push((await changes.next()).value?.operations);
    expect(told).toEqual([[{ put: ['a', 1] }], null, null, [{ put: ['c', 1] }]]);
    for (let count = 0; count <= limits.changesBuffered; count += 1) change(['c'], [count]);
    expect((await changes.next()).value).toMatchObject({ skipped: limits.changesBuffered, operations: null });
  });

  it('keeps no more than its bound', async () => {
    const { copy, change } = fixture();
    const changes = copy.changes();
    const large = 'x'.repeat(bounds.maxRecentBytes / 2);
    for (const key of ['a', 'b', 'c']) change([key], [large]);
    const keys = [];
    for (let count = 0; count < 3; count += 1) {
      const operations = (await changes.next()).value?.operations ?? null;
      keys.push(operations === null ? null : operations.length);
    }
    // Two halves and what stands around them are more than the whole.
    expect(keys).toEqual([null, null, 1]);
  });

  it('ends by the loop, the signal and `using`, and keeps nothing for readers that are gone', async () => {
    const { copy, change } = fixture();
    const controller = new AbortController();
    const bySignal = copy.changes({ signal: controller.signal });
    const byUsing = copy.changes();
    const byLoop = copy.changes();
    change(['a'], [1]);
    for await (const { operations } of byLoop) {
      expect(operations).toHaveLength(1);
      break;
    }
    await byUsing[Symbol.asyncDispose]();
    await byUsing.return?.();
    expect(await byUsing.next()).toMatchObject({ done: true });
    expect((await bySignal.next()).value?.operations).toHaveLength(1);
    controller.abort();
    expect(await bySignal.next()).toMatchObject({ done: true });
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    // Nobody read it, so nobody kept it: a reader that comes now isn't told of what was before.
    change(['b'], [1]);
    const later = copy.changes();
    change(['c'], [1]);
    expect((await later.next()).value?.operations).toEqual([{ put: ['c', 1] }]);
    expect(await copy.changes({ signal: AbortSignal.abort() }).next()).toMatchObject({ done: true });
  });
});
