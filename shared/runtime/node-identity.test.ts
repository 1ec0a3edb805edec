import { describe, expect, it } from 'vitest';
import type { NodeId } from '../protocol/kernel/ids.js';
import { seededRandom } from '../protocol/kernel/random.js';
import { FakeStore } from '../../tests/integration/process/fake-ports.js';
import { raiseIncarnation } from './node-identity.js';

const random = seededRandom(1);
const claim = { role: 'slave', node: 's1' as NodeId, random } as const;

describe('the identity of a store', () => {
  it('is made once; its starts are counted, durably, before the node has one', async () => {
    const store = new FakeStore();
    const first = raiseIncarnation(store, claim);
    expect(store.transactions).toMatchObject([{ durable: true }]);
    store.complete();
    const second = raiseIncarnation(store, claim);
    store.complete();
    expect((await first).start).toBe(1);
    expect(await second).toEqual({ storeId: (await first).storeId, start: 2 });
  });

  it('belongs to one node in one role', async () => {
    const store = new FakeStore();
    const first = raiseIncarnation(store, claim);
    store.complete();
    await first;
    await expect(raiseIncarnation(store, { ...claim, node: 's2' as NodeId })).rejects.toMatchObject({
      code: 'store-foreign',
    });
    await expect(raiseIncarnation(store, { ...claim, role: 'master' })).rejects.toMatchObject({
      code: 'store-foreign',
    });
    expect(store.transactions).toHaveLength(1);
  });

  it('that cannot be written is no identity', async () => {
    const store = new FakeStore();
    store.failure = new Error('ENOSPC');
    const raised = raiseIncarnation(store, claim);
    store.complete();
    await expect(raised).rejects.toMatchObject({ code: 'store-unusable' });
  });
});
