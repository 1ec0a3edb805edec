import { LockstepError } from '../shared/protocol/kernel/errors.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import { httpBounds } from '../shared/http/bounds.js';
import type { Client } from './client.js';
import { applyRecord, readFeed } from './feed.js';

export interface Held {
  readonly value: Json;
  /** The version that last changed it. */
  readonly version: number;
}

/** A whole copy, at one version. */
export interface Snapshot {
  readonly version: number;
  /** In no particular order. */
  readonly entries: Map<string, Held>;
}

const attempts = 5;

/**
 * Reads a whole data set at one version, although each page is read at its own: what committed while the pages were read is
 * in the feed, and applying it again to those that have it already changes nothing.
 */
export async function readSnapshot(
  client: Client,
  dataSet: string,
  options: { readonly onProgress?: (entries: number) => void; readonly pageEntries?: number } = {},
): Promise<Snapshot> {
  let reason = '';
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const { first, last, entries } = await readPages(client, dataSet, options);
    try {
      if (last < first) throw new LockstepError('history-pruned', `it went back from version ${first} to ${last}`);
      await bringForward(client, dataSet, { entries, from: first, to: last });
      return { version: last, entries };
    } catch (error) {
      // The history didn't reach back to the first page: all is read again.
      if (!(error instanceof LockstepError && error.code === 'history-pruned')) throw error;
      reason = error.message;
    }
  }
  throw new LockstepError(
    'not-current',
    `${client.url} changes faster than it can be read at one version, ${attempts} times (${reason}); ask a slave, or again when there is less to do`,
  );
}

async function readPages(
  client: Client,
  dataSet: string,
  options: { readonly onProgress?: (entries: number) => void; readonly pageEntries?: number },
): Promise<{ readonly first: number; readonly last: number; readonly entries: Map<string, Held> }> {
  const limit = options.pageEntries ?? httpBounds.pageEntries;
  const entries = new Map<string, Held>();
  let page = await client.page(dataSet, { limit });
  const first = page.version;
  for (;;) {
    for (const { key, value, version } of page.entries) entries.set(key, { value, version });
    options.onProgress?.(entries.size);
    if (page.next === null) return { first, last: page.version, entries };
    page = await client.page(dataSet, { limit, after: page.next });
  }
}

/** Applies what committed after the first page, in order, up to the version of the last one. */
async function bringForward(
  client: Client,
  dataSet: string,
  { entries, from, to }: { readonly entries: Map<string, Held>; readonly from: number; readonly to: number },
): Promise<void> {
  for await (const record of changesBetween(client, dataSet, { from, to }))
    applyRecord(entries, record, (value, version) => ({ value, version }));
}

/** The changes after `from`, up to `to` and not beyond it. */
export async function* changesBetween(
  client: Client,
  dataSet: string,
  { from, to }: { readonly from: number; readonly to: number },
): ReturnType<typeof readFeed> {
  const stop = new AbortController();
  try {
    if (from >= to) return;
    for await (const record of readFeed(client, dataSet, { since: { version: from }, signal: stop.signal })) {
      if (record.version > to) return;
      yield record;
      if (record.version === to) return;
    }
    throw new LockstepError('unreachable', `${client.url} ended the feed before version ${to}; ask again`);
  } finally {
    stop.abort();
  }
}
