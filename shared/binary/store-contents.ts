import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';

/**
 * Which data sets a binary's store holds, in a small file beside the data: a store that was made for one data set is
 * refused for another before anything of it is opened, so that a wrong `--store` costs nothing.
 */
const fileName = 'data-sets.json';

/**
 * Reads only. Rejects with `store-foreign`, naming both, when the store holds data sets and none of those asked for; with
 * `store-unusable` when it can't be read.
 */
export async function checkStoreContents(folder: string, asked: readonly string[]): Promise<void> {
  const held = await heldDataSets(folder);
  if (held.length === 0 || asked.some((name) => held.includes(name))) return;
  throw new LockstepError(
    'store-foreign',
    `--store ${folder} holds the data set ${held.join(', ')}, not ${asked.join(', ')}; give another --store, or --data-set ${held[0] ?? ''}; nothing was touched`,
  );
}

/** Adds the names to the file, in one atomic step. */
export async function recordStoreContents(folder: string, asked: readonly string[]): Promise<void> {
  const held = await heldDataSets(folder);
  const all = [...new Set([...held, ...asked])].sort();
  if (all.length === held.length) return;
  const path = join(folder, fileName);
  const draft = `${path}.${process.pid}.draft`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(draft, `${JSON.stringify({ format: 1, dataSets: all })}\n`);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw unusable(folder, error);
  }
}

async function heldDataSets(folder: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(join(folder, fileName), 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ENOENT') return [];
    throw unusable(folder, error);
  }
  const names = namesIn(text);
  if (names !== null) return names;
  throw new LockstepError(
    'store-format',
    `--store ${folder} has a ${fileName} that this version can't read; give another --store, or the version that wrote it`,
  );
}

function namesIn(text: string): readonly string[] | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== 1) return null;
    if (!('dataSets' in value) || !Array.isArray(value.dataSets)) return null;
    return value.dataSets.every((name) => typeof name === 'string') ? value.dataSets : null;
  } catch {
    return null;
  }
}

function unusable(folder: string, error: unknown): LockstepError {
  return new LockstepError(
    'store-unusable',
    `--store ${folder} can't be used: ${errorText(error)}; give a folder that this user may write`,
    { cause: error },
  );
}
