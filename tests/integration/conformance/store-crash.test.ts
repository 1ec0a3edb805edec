import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import { journalBytes } from '../../../shared/runtime/journal.js';
import { openStore, type OpenedStore } from '../../../shared/runtime/store-open.js';
import { expectPrefix } from './store-conformance.js';

const writer = fileURLToPath(new URL('store-writer.ts', import.meta.url));

function open(folder: string): Promise<OpenedStore> {
  return openStore({ folder, node: 's1' as NodeId, role: 'slave', random: seededRandom(1) });
}

async function refusalOf(folder: string): Promise<unknown> {
  try {
    await (await open(folder)).store.close();
    return null;
  } catch (error) {
    return error;
  }
}

interface WriterRun {
  readonly promised: number;
  readonly failures: readonly string[];
  /** What opening the store said while the writer had it open. */
  readonly refusal: unknown;
}

/** Runs the writer, and kills it when it said so many `done`; without a number it ends by itself. */
async function run(
  command: string,
  args: readonly string[],
  options: { readonly killAfter: number | null; readonly folder: string },
): Promise<WriterRun> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let promised = 0;
  const failures: string[] = [];
  let refusal: unknown = null;
  let said = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, value] = line.split(' ');
    if (what === 'done') promised = Number(value);
    else failures.push(value ?? '');
    said += 1;
    // Only beside a writer that lives until it is killed: the other one may have ended before its output is read.
    if (said === 1 && options.killAfter !== null) refusal = await refusalOf(options.folder);
    if (said === options.killAfter) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  expect(signal).toBe(options.killAfter === null ? null : 'SIGKILL');
  return { promised, failures, refusal };
}

describe('LMDB: a process that dies, a disk that refuses', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-crash-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  // With the small journal its files take turns every few writes, so that the process dies while the database takes them over.
  test.each([
    ['that the database has not seen yet', journalBytes],
    ['that the database is taking over', 2000],
  ])('kill -9 loses nothing that was done, %s, and leaves each transaction whole or out (G4, G14)', async (_, full) => {
    let promisedBefore = 0;
    for (const [life, killAfter] of [3, 40, 111].entries()) {
      const args = ['--import', 'tsx', writer, folder, '0', String(full)];
      const { promised, failures, refusal } = await run(process.execPath, args, { killAfter, folder });
      expect(failures).toEqual([]);
      expect(promised).toBeGreaterThan(promisedBefore);
      promisedBefore = promised;
      expect(refusal).toMatchObject({
        code: 'store-unusable',
        message: expect.stringContaining('in use by process') as unknown,
      });
      const { store, incarnation } = await open(folder);
      expect(incarnation.start).toBe(2 * life + 2);
      expectPrefix(store, promised);
      await store.close();
    }
  });

  test('a write that the disk refuses is an error, so is every later one, and what was done stays', async () => {
    // A limit on the size of files stands in for a full disk.
    const limited = [
      '-c',
      'ulimit -f 4096 && exec "$0" "$@"',
      process.execPath,
      '--import',
      'tsx',
      writer,
      folder,
      '100000',
      String(journalBytes),
    ];
    const { promised, failures } = await run('sh', limited, { killAfter: null, folder });
    expect(promised).toBeGreaterThan(3);
    expect(failures.length).toBeGreaterThan(1);
    expect(new Set(failures)).toEqual(new Set(['store-unusable']));
    const { store } = await open(folder);
    expectPrefix(store, promised);
    expect([...store.range(['left'])].length).toBe(promised);
    await store.close();
  });
});
