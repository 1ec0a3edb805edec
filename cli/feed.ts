import { LockstepError } from '../shared/protocol/kernel/errors.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import type { FeedEndBody, FeedRecordBody } from '../shared/http/bodies.js';
import type { Client } from './client.js';
import { pause } from './pause.js';

/** Nodes say something every 15 s, also when nothing happens: after three silences the connection is dead. */
const idleMs = 45_000;
const firstPauseMs = 250;
const longestPauseMs = 5000;

interface Position {
  readonly version: number;
  /** Names that version's state beyond doubt, once a record was seen. */
  readonly epoch?: number;
  readonly chainId?: string;
}

/**
 * The changes after a version, oldest first, over one connection. Rejects with `history-pruned` when the node can't go back
 * so far, and with `unreachable` when the connection breaks; ends when the node ends it.
 */
export async function* readFeed(
  client: Client,
  dataSet: string,
  {
    since,
    signal,
    onOpen = () => undefined,
  }: { readonly since: Position; readonly signal: AbortSignal; readonly onOpen?: () => void },
): AsyncGenerator<FeedRecordBody> {
  const epoch = since.epoch === undefined ? '' : `&epoch=${since.epoch}`;
  const chainId = since.chainId === undefined ? '' : `&chainId=${since.chainId}`;
  const path = `/v1/feed/${encodeURIComponent(dataSet)}?since=${since.version}${epoch}${chainId}`;
  for await (const line of client.lines(path, { signal, idleMs })) {
    onOpen();
    if (line.trim() === '') continue; // the node is alive, and has nothing to say; it begins with that
    const record = JSON.parse(line) as FeedRecordBody | FeedEndBody;
    if ('error' in record) {
      const { code, message } = record.error;
      if (code.startsWith('history-')) throw new LockstepError('history-pruned', message);
      return;
    }
    yield record;
  }
}

/**
 * The same without end: a connection that breaks is opened again where it was. Only what can't be had any more ends it, and
 * the signal. `onBreak` and `onBack` are told once for each break.
 */
export async function* followFeed(
  client: Client,
  dataSet: string,
  options: {
    readonly since: number;
    readonly signal: AbortSignal;
    readonly onBreak: (reason: string, version: number) => void;
    readonly onBack: () => void;
    readonly wait?: (pauseMs: number, signal: AbortSignal) => Promise<void>;
  },
): AsyncGenerator<FeedRecordBody> {
  const { signal, wait = pause } = options;
  let since: Position = { version: options.since };
  let pauseMs = firstPauseMs;
  let isBroken = false;
  // A node that never answered is rather a wrong address than one that restarts.
  let wasOpen = false;
  const onOpen = (): void => {
    if (isBroken) options.onBack();
    [wasOpen, isBroken, pauseMs] = [true, false, firstPauseMs];
  };
  while (!signal.aborted) {
    let reason = `${client.url} ended the feed`;
    try {
      for await (const record of readFeed(client, dataSet, { since, signal, onOpen })) {
        since = { version: record.version, epoch: record.epoch, chainId: record.chainId };
        yield record;
      }
    } catch (error) {
      if (!wasOpen || !(error instanceof LockstepError && waitable.has(error.code))) throw error;
      reason = error.message;
    }
    if (signal.aborted) return;
    if (!isBroken) options.onBreak(reason, since.version);
    isBroken = true;
    await wait(pauseMs, signal);
    pauseMs = Math.min(2 * pauseMs, longestPauseMs);
  }
}

const waitable: ReadonlySet<string> = new Set(['unreachable', 'closed', 'queue-full', 'not-leading', 'not-current']);

/** What a change does to a state: `null` for a key that is gone. A record without a prior replaces the state. */
export function applyRecord<Value>(
  state: Map<string, Value>,
  record: FeedRecordBody,
  valueOf: (value: Json, version: number) => Value,
): void {
  if (record.prior === null) state.clear();
  for (const operation of record.operations) {
    if ('put' in operation) state.set(operation.put[0], valueOf(operation.put[1], record.version));
    else state.delete(operation.delete);
  }
}
