import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkStoreContents, recordStoreContents, type AskedContents } from './store-contents.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-store-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function keys(...dataSets: readonly string[]): AskedContents {
  return { dataSets, directory: null };
}

test('a store made for one data set is refused for another, naming both, and stays as it is', async () => {
  await recordStoreContents(folder, keys('prices'));
  const before = await readFile(join(folder, 'data-sets.json'), 'utf8');
  await expect(checkStoreContents(folder, keys('routes'))).rejects.toMatchObject({
    code: 'store-foreign',
    message: `--store ${folder} holds the data set prices, not routes; give another --store, or --data-set prices; nothing was touched`,
  });
  expect(await readFile(join(folder, 'data-sets.json'), 'utf8')).toBe(before);
  expect(await readdir(folder)).toEqual(['data-sets.json']);
});

test('a new store takes any; further data sets join those that it holds', async () => {
  const fresh = join(folder, 'not', 'yet');
  await checkStoreContents(fresh, keys('prices'));
  await expect(readdir(fresh)).rejects.toMatchObject({ code: 'ENOENT' });
  await recordStoreContents(fresh, keys('prices'));
  await checkStoreContents(fresh, keys('routes', 'prices'));
  await recordStoreContents(fresh, keys('routes', 'prices'));
  await checkStoreContents(fresh, keys('routes'));
  expect(await readFile(join(fresh, 'data-sets.json'), 'utf8')).toBe(
    '{"format":1,"dataSets":["prices","routes"],"kinds":{"prices":"key-value","routes":"key-value"}}\n',
  );
});

test('a store of keys and values is refused for a folder, and the reverse, saying what it holds', async () => {
  const conf: AskedContents = { dataSets: ['default'], directory: 'conf/' };
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  await recordStoreContents(first, keys('default'));
  await expect(checkStoreContents(first, conf)).rejects.toMatchObject({
    code: 'store-foreign',
    message: `--store ${first} holds default as keys and values, which --directory conf/ is not; give another --store, or leave --directory out; nothing was touched`,
  });
  await recordStoreContents(second, conf);
  await expect(checkStoreContents(second, keys('default'))).rejects.toMatchObject({
    code: 'store-foreign',
    message: `--store ${second} holds default as a folder of files; give its --directory, or another --store for keys and values; nothing was touched`,
  });
  await checkStoreContents(second, { ...conf, directory: 'moved/' });
});

test('a store of a version before kinds takes the kind that it is opened with first, and keeps it', async () => {
  await writeFile(join(folder, 'data-sets.json'), '{"format":1,"dataSets":["conf","prices"]}');
  await checkStoreContents(folder, { dataSets: ['conf'], directory: 'conf/' });
  await recordStoreContents(folder, { dataSets: ['conf'], directory: 'conf/' });
  await expect(checkStoreContents(folder, keys('conf'))).rejects.toMatchObject({ code: 'store-foreign' });
  await checkStoreContents(folder, keys('prices'));
});

test.each([
  '',
  '{',
  '[]',
  '{"format":2,"dataSets":["prices"]}',
  '{"format":1,"dataSets":[5]}',
  '{"format":1,"dataSets":["prices"],"kinds":{"prices":"tape"}}',
])('contents that this version can not read are refused: %j', async (text) => {
  await writeFile(join(folder, 'data-sets.json'), text);
  await expect(checkStoreContents(folder, keys('prices'))).rejects.toMatchObject({ code: 'store-format' });
});

test('a folder that can not be one is refused with what to do', async () => {
  await writeFile(join(folder, 'file'), 'x');
  await expect(checkStoreContents(join(folder, 'file', 'store'), keys('prices'))).rejects.toMatchObject({
    code: 'store-unusable',
  });
});
