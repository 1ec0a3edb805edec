import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import * as z from 'zod';
import type { ValueSchema } from '../../shared/protocol/key-value/schema.js';
import { FakeClock } from '../../tests/support/fake-clock.js';
import { FakeMasterDataSet } from '../../tests/support/fake-master-data-set.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { MasterKind } from '../types.js';
import type { MasterKeyValue } from './key-value-types.js';
import { keyValue } from './key-value.js';

interface Price {
  readonly cents: number;
}

function original(schema: ValueSchema<Price>) {
  const store = new FakeStore();
  const context = { dataSet: 'prices', durability: 'disk', store, defaults: {}, clock: new FakeClock() } as const;
  const parts = keyValue<Price>({ schema }).create(context);
  const dataSet = new FakeMasterDataSet({ layer: parts.layer, store });
  return { dataSet, prices: parts.handle(dataSet) };
}

describe.each([
  ['zod', z.object({ cents: z.number().positive('must be positive') })],
  ['valibot', v.object({ cents: v.pipe(v.number(), v.minValue(1, 'must be positive')) })],
])('a master with a schema of %s', (_library, schema) => {
  it('sends nothing that does not fit, and says which operation, key and path', async () => {
    const { dataSet, prices } = original(schema);
    const wrong = prices.change(
      [{ delete: 'sku-0' }, { put: ['sku-1', { cents: 5 }] }, { put: ['sku-2', { cents: 0 }] }],
      {
        idempotencyKey: 'once',
      },
    );
    await expect(wrong).rejects.toMatchObject({
      code: 'bad-operation',
      message: 'operation 2 (key "sku-2"): cents: must be positive',
    });
    expect(dataSet.asked).toEqual([]);
    expect(prices.outcomeOf('once'), 'the key is free').toBeUndefined();
    const right = prices.change([{ delete: 'sku-0' }, { put: ['sku-1', { cents: 5 }] }], { idempotencyKey: 'once' });
    await dataSet.commit();
    expect((await right).kind).toBe('committed');
    expect(prices.get('sku-1')).toEqual({ cents: 5 });
  });
});

it('says that an asynchronous schema is of no use', async () => {
  const { prices } = original(z.object({ cents: z.number().refine(async () => true) }));
  await expect(prices.change([{ put: ['sku-1', { cents: 5 }] }])).rejects.toMatchObject({
    code: 'bad-option',
    message:
      'operation 0 (key "sku-1"): the schema gave a promise: it is asynchronous, or it threw; take one that answers at once',
  });
  expect(() => keyValue({ schema: 'text' as never })).toThrow('no Standard Schema');
});

it('takes the type of the values from the schema', () => {
  const kind = keyValue({ schema: z.object({ cents: z.number() }) });
  expectTypeOf(kind).toEqualTypeOf<MasterKind<MasterKeyValue<{ cents: number }>>>();
});
