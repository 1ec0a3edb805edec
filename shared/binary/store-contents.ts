import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText, LockstepError } from '../protocol/kernel/errors.js';

/**
 * Which data sets a binary's store holds, and of which kind, in a small file beside the data: a store that was made for one
 * data set, or for keys and values, is refused for another before anything of it is opened, so that a wrong `--store` or a
 * forgotten `--directory` costs nothing.
 */
const fileName = 'data-sets.json';

const contentKinds = ['key-value', 'directory'] as const;
type ContentKind = (typeof contentKinds)[number];

/** What a binary is told to serve: every data set of it is of one kind. */
export interface AskedContents {
  readonly dataSets: readonly string[];
  /** The folder of `--directory`; null: keys and values. */
  readonly directory: string | null;
}

interface HeldContents {
  readonly dataSets: readonly string[];
  /** Null for what a version before kinds has written. */
  kindOf(dataSet: string): ContentKind | null;
}

/**
 * Reads only. Rejects with `store-foreign`, naming both, when the store holds data sets and none of those asked for, or one of
 * them as another kind; with `store-unusable` when it can't be read.
 */
export async function checkStoreContents(folder: string, asked: AskedContents): Promise<void> {
  const held = await heldContents(folder);
  const kind = kindOf(asked);
  for (const dataSet of asked.dataSets) {
    const before = held.kindOf(dataSet);
    if (before !== null && before !== kind) throw otherKind(folder, dataSet, asked);
  }
  if (held.dataSets.length === 0 || asked.dataSets.some((name) => held.dataSets.includes(name))) return;
  throw new LockstepError(
    'store-foreign',
    `--store ${folder} holds the data set ${held.dataSets.join(', ')}, not ${asked.dataSets.join(', ')}; give another --store, or --data-set ${held.dataSets[0] ?? ''}; nothing was touched`,
  );
}

/** Adds the names and their kind to the file, in one atomic step. */
export async function recordStoreContents(folder: string, asked: AskedContents): Promise<void> {
  const held = await heldContents(folder);
  if (asked.dataSets.every((name) => held.kindOf(name) !== null)) return;
  const dataSets = [...new Set([...held.dataSets, ...asked.dataSets])].sort();
  const kinds = Object.fromEntries(
    dataSets.flatMap((name) => {
      const kind = held.kindOf(name) ?? (asked.dataSets.includes(name) ? kindOf(asked) : null);
      return kind === null ? [] : [[name, kind]];
    }),
  );
  const path = join(folder, fileName);
  const draft = `${path}.${process.pid}.draft`;
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(draft, `${JSON.stringify({ format: 1, dataSets, kinds })}\n`);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw unusable(folder, error);
  }
}

function kindOf({ directory }: AskedContents): ContentKind {
  return directory === null ? 'key-value' : 'directory';
}

function otherKind(folder: string, dataSet: string, { directory }: AskedContents): LockstepError {
  const text =
    directory === null
      ? `--store ${folder} holds ${dataSet} as a folder of files; give its --directory, or another --store for keys and values`
      : `--store ${folder} holds ${dataSet} as keys and values, which --directory ${directory} is not; give another --store, or leave --directory out`;
  return new LockstepError('store-foreign', `${text}; nothing was touched`);
}

async function heldContents(folder: string): Promise<HeldContents> {
  let text: string;
  try {
    text = await readFile(join(folder, fileName), 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ENOENT') return { dataSets: [], kindOf: () => null };
    throw unusable(folder, error);
  }
  const contents = contentsIn(text);
  if (contents !== null) return contents;
  throw new LockstepError(
    'store-format',
    `--store ${folder} has a ${fileName} that this version can't read; give another --store, or the version that wrote it`,
  );
}

function contentsIn(text: string): HeldContents | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || !('format' in value) || value.format !== 1) return null;
  const names: unknown = 'dataSets' in value ? value.dataSets : null;
  const kinds: unknown = 'kinds' in value ? value.kinds : {};
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) return null;
  if (typeof kinds !== 'object' || kinds === null) return null;
  const byName = new Map<string, unknown>(Object.entries(kinds));
  if (![...byName.values()].every(isContentKind)) return null;
  return { dataSets: names, kindOf: (name) => (byName.get(name) as ContentKind | undefined) ?? null };
}

function isContentKind(value: unknown): value is ContentKind {
  return contentKinds.some((kind) => kind === value);
}

function unusable(folder: string, error: unknown): LockstepError {
  return new LockstepError(
    'store-unusable',
    `--store ${folder} can't be used: ${errorText(error)}; give a folder that this user may write`,
    { cause: error },
  );
}
