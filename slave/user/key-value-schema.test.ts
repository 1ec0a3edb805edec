import * as v from 'valibot';
import { describe, expect, expectTypeOf, it } from 'vitest';
import * as z from 'zod';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { Epoch, Version } from '../../shared/protocol/kernel/ids.js';
import { encodeSegment } from '../../shared/protocol/key-value/change-codec.js';
import { FakeStore } from '../../tests/support/fake-store.js';
import type { SlaveDataSet, SlaveKind } from '../types.js';
import type { SlaveKeyValue } from './key-value-types.js';
import { keyValue } from './key-value.js';

const epoch: Epoch = { number: 1, claimant: 'c'.repeat(32) };
const signal = new AbortController().signal;

interface Price {
  readonly cents: number;
}

/** What the layer answers when it is to prepare these values, and the layer itself. */
function prepared<Value>(kind: SlaveKind<SlaveKeyValue<Value>>, values: readonly unknown[], deletes: number[] = []) {
  const parts = kind.create({ node: 's1', dataSet: 'prices', durability: 'memory', store: new FakeStore() });
  const keys = values.map((_value, position) => `sku-${position}`);
  const delta = issueDelta(null, epoch, 1 as Version, encodeSegment({ keys, values, deletes }));
  return {
    answer: parts.layer.prepare(delta, signal),
    layer: parts.layer,
    delta,
    copy: parts.handle({} as SlaveDataSet),
  };
}

describe.each([
  ['zod', z.object({ cents: z.number().positive('must be positive') })],
  ['valibot', v.object({ cents: v.pipe(v.number(), v.minValue(1, 'must be positive')) })],
])('a slave with a schema of %s', (_library, schema) => {
  it('vetoes what does not fit, by key, path and message', () => {
    const { answer } = prepared(keyValue<Price>({ schema }), [{ cents: 5 }, { cents: -5 }, null], [2]);
    expect(answer).toEqual({ ok: false, reason: 'put sku-1: cents: must be positive', refused: [1] });
    expect(prepared(keyValue<Price>({ schema }), [{ cents: 5 }, null], [1]).answer).toEqual({ ok: true });
  });

  it('asks the validator about what fits, and about deletes', () => {
    const asked: unknown[] = [];
    const kind = keyValue<Price>({
      schema,
      validate: (operation) => {
        asked.push(operation);
        return 'put' in operation ? operation.put[1].cents < 100 || 'too dear' : true;
      },
    });
    const { answer } = prepared(kind, [{ cents: 500 }, { cents: -5 }, null], [2]);
    expect(asked).toEqual([{ put: ['sku-0', { cents: 500 }] }, { delete: 'sku-2' }]);
    expect(answer).toMatchObject({
      refused: [0, 1],
      reason: 'put sku-0: too dear\nput sku-1: cents: must be positive',
    });
  });
});

describe('a schema', () => {
  it('only judges: what is stored is what was sent', () => {
    const schema = z.object({ cents: z.coerce.number(), currency: z.string().default('EUR') }).transform(() => 'other');
    const kind = keyValue({ schema });
    const { answer, layer, delta, copy } = prepared(kind, [{ cents: '5', unknown: true }]);
    expect(answer).toEqual({ ok: true });
    layer.shared?.expose(delta);
    expect(copy.get('sku-0')).toEqual({ cents: '5', unknown: true });
  });

  it('gives the type of the values: its input', () => {
    const zod = keyValue({ schema: z.object({ cents: z.number(), note: z.string().default('') }) });
    expectTypeOf(zod).toEqualTypeOf<SlaveKind<SlaveKeyValue<{ cents: number; note?: string | undefined }>>>();
    const valibot = keyValue({
      schema: v.object({ cents: v.number() }),
      validate: (operation) => 'put' in operation || 'no deletes',
    });
    expectTypeOf(valibot).toEqualTypeOf<SlaveKind<SlaveKeyValue<{ cents: number }>>>();
    // @ts-expect-error -- a price is no text
    keyValue<Price>({ schema: z.string() });
  });

  it('that is asynchronous vetoes everything, and says so', () => {
    const schema = z.object({ cents: z.number().refine(async () => true) });
    expect(prepared(keyValue({ schema }), [{ cents: 5 }]).answer).toEqual({
      ok: false,
      reason: 'put sku-0: the schema gave a promise: it is asynchronous, or it threw; take one that answers at once',
      refused: [0],
    });
  });

  it('is refused when it is none', () => {
    expect(() => keyValue({ schema: {} as never })).toThrow('no Standard Schema');
  });
});
