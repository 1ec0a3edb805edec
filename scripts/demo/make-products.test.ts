import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeProducts, toNdjson } from './make-products.js';

describe('the sample catalogue', () => {
  it('is what its program makes, byte for byte', async () => {
    expect(toNdjson(makeProducts())).toBe(await readFile(join(import.meta.dirname, 'products.ndjson'), 'utf8'));
  });

  it('has keys and names that are unique, and prices above nothing', () => {
    const records = makeProducts();
    expect(new Set(records.map(({ key }) => key)).size).toBe(3000);
    expect(new Set(records.map(({ value }) => value.name)).size).toBe(3000);
    expect(records.filter(({ value }) => value.cents <= 0 || !Number.isInteger(value.cents))).toEqual([]);
  });

  it('stays small enough to read', () => {
    expect(Buffer.byteLength(toNdjson(makeProducts()))).toBeLessThan(650_000);
  });
});
