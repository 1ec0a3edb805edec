import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkStoreContents, recordStoreContents } from './store-contents.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-store-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('a store made for one data set is refused for another, naming both, and stays as it is', async () => {
  await recordStoreContents(folder, ['prices']);
  const before = await readFile(join(folder, 'data-sets.json'), 'utf8');
  await expect(checkStoreContents(folder, ['routes'])).rejects.toMatchObject({
    code: 'store-foreign',
    message: `--store ${folder} holds the data set prices, not routes; give another --store, or --data-set prices; nothing was touched`,
  });
  expect(await readFile(join(folder, 'data-sets.json'), 'utf8')).toBe(before);
  expect(await readdir(folder)).toEqual(['data-sets.json']);
});

test('a new store takes any; further data sets join those that it holds', async () => {
  const fresh = join(folder, 'not', 'yet');
  await checkStoreContents(fresh, ['prices']);
  await expect(readdir(fresh)).rejects.toMatchObject({ code: 'ENOENT' });
  await recordStoreContents(fresh, ['prices']);
  await checkStoreContents(fresh, ['routes', 'prices']);
  await recordStoreContents(fresh, ['routes', 'prices']);
  await checkStoreContents(fresh, ['routes']);
  expect(await readFile(join(fresh, 'data-sets.json'), 'utf8')).toBe('{"format":1,"dataSets":["prices","routes"]}\n');
});

test.each(['', '{', '[]', '{"format":2,"dataSets":["prices"]}', '{"format":1,"dataSets":[5]}'])(
  'contents that this version can not read are refused: %j',
  async (text) => {
    await writeFile(join(folder, 'data-sets.json'), text);
    await expect(checkStoreContents(folder, ['prices'])).rejects.toMatchObject({ code: 'store-format' });
  },
);

test('a folder that can not be one is refused with what to do', async () => {
  await writeFile(join(folder, 'file'), 'x');
  await expect(checkStoreContents(join(folder, 'file', 'store'), ['prices'])).rejects.toMatchObject({
    code: 'store-unusable',
  });
});
