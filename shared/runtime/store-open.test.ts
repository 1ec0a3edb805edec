import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { Packr } from 'msgpackr';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NodeId } from '../protocol/kernel/ids.js';
import { systemRandom } from './node-random.js';
import { thisProcess } from './store-holder.js';
import { encodeKey, maxKeyBytes } from './store-keys.js';
import { openStore, storeFormat, type OpenedStore, type OpenStoreOptions } from './store-open.js';

let root: string;
let folder: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'lockstep-open-'));
  folder = join(root, 'store.d');
});
afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

function opened(options: Partial<OpenStoreOptions> = {}): Promise<OpenedStore> {
  return openStore({ folder, node: 's1' as NodeId, role: 'slave', random: systemRandom(), ...options });
}

async function openedAndClosed(): Promise<void> {
  await (await opened()).store.close();
}

async function dataDigest(): Promise<string> {
  return createHash('sha256')
    .update(await readFile(join(folder, 'data.mdb')))
    .digest('hex');
}

/** Changes a record behind the store's back. */
async function tamper(key: readonly string[], value: unknown): Promise<void> {
  const database = open<Buffer, Buffer>({
    path: folder,
    noSubdir: false,
    overlappingSync: false,
    keyEncoding: 'binary',
    encoding: 'binary',
  });
  await database.put(encodeKey(key), new Packr({ useRecords: false, moreTypes: false }).pack(value));
  await database.close();
}

describe('opening a store', () => {
  test('each start counts one more, under one id; two stores have two', async () => {
    const first = await opened();
    expect(first.incarnation).toEqual({ storeId: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown, start: 1 });
    await first.store.close();
    const second = await opened();
    expect(second.incarnation).toEqual({ storeId: first.incarnation.storeId, start: 2 });
    const other = await opened({ folder: join(root, 'another') });
    expect(other.incarnation.storeId).not.toBe(first.incarnation.storeId);
    await Promise.all([second.store.close(), other.store.close()]);
  });

  test('another format number is refused with both numbers, and nothing is touched', async () => {
    await openedAndClosed();
    await tamper(['meta', 'format'], 9);
    const before = await dataDigest();
    await expect(opened()).rejects.toMatchObject({
      code: 'store-format',
      message: expect.stringMatching(new RegExp(`format 9.*format ${storeFormat}`)) as unknown,
    });
    expect(await dataDigest()).toBe(before);
  });

  test("another node's store, or the other role's, is refused naming both, and nothing is touched", async () => {
    await openedAndClosed();
    const before = await dataDigest();
    await expect(opened({ node: 's2' as NodeId })).rejects.toMatchObject({
      code: 'store-foreign',
      message: expect.stringMatching(/s1.*s2/) as unknown,
    });
    await expect(opened({ role: 'master' })).rejects.toMatchObject({
      code: 'store-foreign',
      message: expect.stringMatching(/slave.*master/) as unknown,
    });
    expect(await dataDigest()).toBe(before);
    expect((await readdir(folder)).sort()).toEqual(['data.mdb', 'lock.mdb']);
    const again = await opened();
    expect(again.incarnation.start).toBe(2);
    await again.store.close();
  });

  test('a store that is open is refused, and stays usable where it is open', async () => {
    const first = await opened();
    await expect(opened()).rejects.toMatchObject({
      code: 'store-unusable',
      message: expect.stringContaining(String(process.pid)) as unknown,
    });
    const done = new Promise<Error | null>((resolve) => {
      first.store.write(
        (transaction) => {
          transaction.put(['still'], 'here');
        },
        { durable: true },
        resolve,
      );
    });
    expect(await done).toBeNull();
    expect(first.store.get(['still'])).toBe('here');
    await first.store.close();
    const next = await opened();
    expect(next.store.get(['still'])).toBe('here');
    await next.store.close();
  });

  test('of two that start together one gets it', async () => {
    for (let round = 1; round <= 20; round += 1) {
      const results = await Promise.allSettled([opened(), opened(), opened()]);
      const stores = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(stores.map(({ incarnation }) => incarnation.start)).toEqual([round]);
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'store-unusable' });
      await stores[0]?.store.close();
    }
  });

  test('a holder that is dead gives way: its pid unknown, used again, or of an earlier boot', async () => {
    const live = thisProcess();
    const dead = [
      { ...live, pid: 2 ** 22 + 1 },
      { ...live, startedAt: '1' },
      { ...live, bootId: 'earlier' },
      { ...live, host: 'another' },
      'damaged',
    ];
    for (const [index, holder] of dead.entries()) {
      await openedAndClosed();
      await tamper(['meta', 'holder'], holder);
      const next = await opened();
      expect(next.incarnation.start).toBe(2 * index + 2);
      await next.store.close();
    }
  });

  test('what is no database, or a damaged one, is refused and not touched', async () => {
    for (const bytes of [Buffer.from('hello'), Buffer.alloc(100_000, 1), Buffer.alloc(8192)]) {
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder);
      await writeFile(join(folder, 'data.mdb'), bytes);
      await expect(opened()).rejects.toMatchObject({
        code: 'store-unusable',
        message: expect.stringContaining(folder) as unknown,
      });
      expect(await readFile(join(folder, 'data.mdb'))).toEqual(bytes);
      expect(await readdir(folder)).toEqual(['data.mdb']);
    }
    await rm(folder, { recursive: true, force: true });
    await openedAndClosed();
    await writeFile(join(folder, 'data.mdb'), (await readFile(join(folder, 'data.mdb'))).subarray(0, 4096));
    await expect(opened()).rejects.toMatchObject({ code: 'store-unusable' });
  });

  test('a database of something else is refused', async () => {
    const database = open<string, string>({ path: folder, noSubdir: false });
    await database.put('their', 'record');
    await database.close();
    const before = await dataDigest();
    await expect(opened()).rejects.toMatchObject({
      code: 'store-unusable',
      message: expect.stringContaining('no store of Lockstep') as unknown,
    });
    expect(await dataDigest()).toBe(before);
  });

  test("a folder that can't be is refused with the folder and the cause", async () => {
    await writeFile(join(root, 'file'), '');
    const bad = join(root, 'file', 'store');
    await expect(opened({ folder: bad })).rejects.toMatchObject({
      code: 'store-unusable',
      message: expect.stringContaining(bad) as unknown,
      cause: { code: 'ENOTDIR' },
    });
  });

  test('it grows beyond what was mapped at first, and a key that is too long fails only its own write', async () => {
    const { store } = await opened();
    const write = (key: string, value: unknown): Promise<Error | null> =>
      new Promise((resolve) => {
        store.write(
          (transaction) => {
            transaction.put(['data', key], value);
          },
          { durable: true },
          resolve,
        );
      });
    const large = new Uint8Array(48 * 1024 * 1024).fill(3);
    for (let index = 0; index < 7; index += 1) expect(await write(`large ${index}`, large)).toBeNull();
    expect((store.get(['data', 'large 6']) as Uint8Array).byteLength).toBe(large.byteLength);
    expect(await write('x'.repeat(maxKeyBytes), 1)).toMatchObject({ code: 'bad-input' });
    expect(await write('after', 1)).toBeNull();
    await store.close();
    expect(() => store.get(['data', 'after'])).toThrow(expect.objectContaining({ code: 'closed' }));
  });
});
