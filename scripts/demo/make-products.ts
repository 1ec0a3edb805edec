import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { seededRandom } from '../../shared/protocol/kernel/random.js';
import type { Random } from '../../shared/protocol/kernel/random.js';
import { departments, makers } from './product-words.js';
import type { Department } from './product-words.js';

/**
 * Makes the sample that the demo loads: the catalogue of an imaginary shop. The same program makes the same bytes.
 * `npx tsx scripts/demo/make-products.ts` writes `products.ndjson` beside this file.
 */

export interface Product {
  readonly name: string;
  readonly maker: string;
  readonly category: string;
  readonly cents: number;
  readonly currency: 'EUR';
  readonly stock: number;
  readonly grams: number;
  readonly tags: readonly string[];
}

export interface ProductRecord {
  readonly key: string;
  readonly value: Product;
}

const productCount = 3000;
const seed = 20_240_301;

export function makeProducts(): ProductRecord[] {
  const random = seededRandom(seed);
  const records: ProductRecord[] = [];
  const names = new Set<string>();
  let number = 10_000;
  while (records.length < productCount) {
    const department = pick(random, departments);
    const product = makeProduct(random, department);
    if (names.has(product.name)) continue;
    names.add(product.name);
    // Numbers have holes, as in any shop that has taken things off its shelves.
    number += 1 + random.below(9);
    records.push({ key: `sku-${number}`, value: product });
  }
  return records;
}

export function toNdjson(records: readonly ProductRecord[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

function makeProduct(random: Random, department: Department): Product {
  const kind = pick(random, department.kinds);
  const size = pick(random, department.sizes);
  const maker = pick(random, makers);
  const words = [maker, pick(random, department.variants), kind.noun, size.label];
  const cents = charmPrice(kind.cents * size.factor * (0.75 + random.next() * 0.6));
  return {
    name: words.filter((word) => word !== '').join(' '),
    maker,
    category: department.name,
    cents,
    currency: 'EUR',
    stock: random.chance(0.06) ? 0 : 1 + random.below(random.chance(0.2) ? 900 : 120),
    grams: Math.max(5, Math.round((kind.grams * size.factor * (0.9 + random.next() * 0.2)) / 5) * 5),
    tags: department.tags.filter(() => random.chance(0.3)),
  };
}

/** Prices end as people know them: 0.49, 12.95, 149.00. */
function charmPrice(cents: number): number {
  if (cents < 1_000) return Math.max(29, Math.round(cents / 10) * 10 - 1);
  if (cents < 10_000) return Math.round(cents / 100) * 100 - 5;
  return Math.round(cents / 500) * 500 - 100;
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random.below(items.length)];
  if (item === undefined) throw new Error('a list of words is empty');
  return item;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await writeFile(join(import.meta.dirname, 'products.ndjson'), toNdjson(makeProducts()));
}
