import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { checkSchema, schemaFault } from './schema.js';

const libraries = {
  zod: {
    price: z.object({ cents: z.number().int().positive(), tags: z.array(z.string()).optional() }),
    asynchronous: z.object({ cents: z.number().refine(async () => false) }),
  },
  valibot: {
    price: v.object({
      cents: v.pipe(v.number(), v.integer(), v.minValue(1)),
      tags: v.optional(v.array(v.string())),
    }),
    asynchronous: v.objectAsync({ cents: v.number() }),
  },
};

describe.each(Object.entries(libraries))('a schema of %s', (_library, { price, asynchronous }) => {
  it('accepts what fits', () => {
    checkSchema(price);
    expect(schemaFault(price, { cents: 5 })).toBeNull();
    expect(schemaFault(price, { cents: 5, tags: ['new'] })).toBeNull();
  });

  it('names what does not fit, and where', () => {
    expect(schemaFault(price, { cents: 0 })).toMatchObject({ text: expect.stringMatching(/^cents: /) as string });
    expect(schemaFault(price, { cents: 5, tags: ['new', 7] })).toMatchObject({
      text: expect.stringMatching(/^tags\[1\]: .*string/) as string,
      isMisuse: false,
    });
    const [first, second] = (schemaFault(price, { cents: 'five', tags: 'new' })?.text ?? '').split('; ');
    expect([first, second]).toEqual([expect.stringMatching(/^cents: /), expect.stringMatching(/^tags: /)]);
    expect(schemaFault(price, null)?.text).not.toMatch(/^: /);
  });

  it('that is asynchronous can judge nothing', async () => {
    checkSchema(asynchronous);
    expect(schemaFault(asynchronous, { cents: 5 })).toEqual({
      text: 'the schema gave a promise: it is asynchronous, or it threw; take one that answers at once',
      isMisuse: true,
    });
    await new Promise((resolve) => setImmediate(resolve));
  });
});

it('writes a path as code would, and only the first issues', () => {
  const issue = (path: readonly (PropertyKey | { readonly key: PropertyKey })[]) => ({ message: 'is wrong', path });
  const schema = {
    '~standard': {
      version: 1 as const,
      vendor: 'here',
      validate: () => ({
        issues: [issue(['a', { key: 'b-c' }, 0, 'd']), issue([]), issue([1]), issue(['x']), issue(['y'])],
      }),
    },
  };
  expect(schemaFault(schema, {})?.text).toBe('a["b-c"][0].d: is wrong; is wrong; [1]: is wrong; and 2 more');
});

it('is refused when it is none; one that throws refuses the value', () => {
  for (const none of [undefined, null, {}, { '~standard': { version: 2, validate: () => undefined } }, 'schema'])
    expect(() => {
      checkSchema(none);
    }).toThrow('this is no Standard Schema of version 1');
  const boom = (): never => {
    throw new Error('boom');
  };
  const throwing = { '~standard': { version: 1 as const, vendor: 'here', validate: boom } };
  expect(schemaFault(throwing, 'text')).toEqual({ text: 'the schema threw: boom', isMisuse: false });
  // Zod takes any throw for the sign that it has to try again, asynchronously.
  expect(schemaFault(z.string().transform(boom), 'text')).toMatchObject({ isMisuse: true });
  expect(schemaFault({ '~standard': { version: 1, vendor: 'here', validate: () => ({ issues: [] }) } }, 1)?.text).toBe(
    'it does not fit the schema',
  );
});
