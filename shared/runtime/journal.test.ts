import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NodeId } from '../protocol/kernel/ids.js';
import { Journal, readJournal } from './journal.js';
import type { PackedOperation } from './journal-records.js';
import { systemRandom } from './node-random.js';
import { openStore, type OpenedStore } from './store-open.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-journal-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function put(key: number, bytes = 100): PackedOperation {
  return { key: Uint8Array.of(key), packed: new Uint8Array(bytes).fill(key) };
}

async function keysIn(after: number): Promise<readonly (number | undefined)[]> {
  const { records, damage } = await readJournal(folder, after);
  expect(damage).toBeNull();
  return records.flatMap(({ operations }) => operations.map(({ key }) => key[0]));
}

describe('the journal', () => {
  test('holds what was appended, for the next process, in the order of the calls', async () => {
    const journal = new Journal(folder, 1);
    await journal.append([put(1), put(2)]);
    await journal.append([put(3)]);
    await journal.close();
    expect(await keysIn(0)).toEqual([1, 2, 3]);
    expect(await keysIn(1)).toEqual([]);
  });

  test('takes turns with two files, and holds what both have in the order of the writes', async () => {
    const journal = new Journal(folder, 4, 1000);
    let key = 0;
    while (!journal.isFull) await journal.append([put((key += 1))]);
    expect(journal.isOverfull).toBe(false);
    journal.turn();
    await journal.append([put((key += 1))]);
    expect(await keysIn(3)).toEqual(Array.from({ length: key }, (_, index) => index + 1));
    expect(await keysIn(4)).toEqual([key]);
    while (!journal.isOverfull) await journal.append([put(0)]);
    journal.turn();
    await journal.append([put(9)]);
    // The first file again, from its begin: what it held is gone, and what is left of it isn't read.
    expect((await keysIn(4)).at(-1)).toBe(9);
    expect(await keysIn(5)).toEqual([9]);
    await journal.close();
  });

  test('grows ahead of its writes, and by no more when it is written over', async () => {
    const journal = new Journal(folder, 1, 1000);
    await journal.append([put(1, 300_000)]);
    const path = join(folder, 'journal-1');
    const { size } = await stat(path);
    expect(size).toBeGreaterThan(300_000);
    journal.turn();
    journal.turn();
    await journal.append([put(2, 300_000)]);
    expect((await stat(path)).size).toBe(size);
    await journal.remove();
    expect(await readdir(folder)).toEqual([]);
  });

  test('a lost write between two that are whole is damage, also between the files', async () => {
    const journal = new Journal(folder, 1);
    await journal.append([put(1)]);
    await journal.append([put(2)]);
    journal.turn();
    await journal.append([put(3)]);
    await journal.close();
    const path = join(folder, 'journal-1');
    const file = await readFile(path);
    file.fill(0, file.lastIndexOf(Buffer.from('LSJ1')));
    await writeFile(path, file);
    expect((await readJournal(folder, 0)).damage).toBe('write 1 is followed by write 3');
  });
});

describe('a store whose process died', () => {
  function opened(journalBytes?: number): Promise<OpenedStore> {
    const full = journalBytes === undefined ? {} : { journalBytes };
    return openStore({ folder, node: 's1' as NodeId, role: 'slave', random: systemRandom(), ...full });
  }

  test('refuses a damaged journal, touches nothing, and says what is lost', async () => {
    await (await opened()).store.close();
    const journal = new Journal(folder, 100);
    for (const key of [1, 2, 3]) await journal.append([put(key)]);
    await journal.close();
    const path = join(folder, 'journal-0');
    const file = await readFile(path);
    file[40] = (file[40] ?? 0) ^ 1;
    await writeFile(path, file);
    await expect(opened()).rejects.toMatchObject({
      code: 'store-unusable',
      message: expect.stringMatching(/journal.*damaged.*nothing was touched/) as unknown,
    });
    expect((await readFile(path)).equals(file)).toBe(true);
  });

  test('is a database alone after it was closed, with all that went through the journal in many turns', async () => {
    const { store } = await opened(2000);
    const written: Promise<unknown>[] = [];
    for (let index = 0; index < 300; index += 1) {
      written.push(
        new Promise((resolve) => {
          const change = (transaction: { put(key: readonly (string | number)[], value: unknown): void }): void => {
            transaction.put(['k', index % 50], index);
            transaction.put(['all', index], 'x'.repeat(50));
          };
          store.write(change, { durable: true }, resolve);
        }),
      );
      if (index % 10 === 0) {
        await Promise.all(written);
        expect(store.get(['k', index % 50])).toBe(index);
        expect([...store.range(['all'])].map(({ key }) => key[1])).toEqual(
          Array.from({ length: index + 1 }, (_, n) => n),
        );
      }
    }
    expect(await Promise.all(written)).toEqual(written.map(() => null));
    await store.close();
    expect((await readdir(folder)).filter((name) => name.startsWith('journal'))).toEqual([]);
    const again = await opened();
    expect([...again.store.range(['k'])].map(({ value }) => value)).toEqual(
      Array.from({ length: 50 }, (_, index) => 250 + index),
    );
    await again.store.close();
  });
});
