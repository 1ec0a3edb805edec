import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Address, Bulk } from '../../../shared/runtime/ports.js';
import { failure, settled, type ConformanceTime } from './harness.js';

export interface BulkHarness {
  readonly time: ConformanceTime;
  /** One more node, and where its port is reached. */
  node(): Promise<{ readonly bulk: Bulk; readonly address: Address }>;
  close(): Promise<void>;
}

function unaborted(): AbortSignal {
  return new AbortController().signal;
}

const pattern = Uint8Array.from({ length: 1_000_256 }, (_, at) => at % 251);

/** Chunks that follow each other differ. */
function chunk(index: number, bytes: number): Uint8Array {
  return pattern.subarray(index % 256, (index % 256) + bytes);
}

async function* chunks(sizes: readonly number[]): AsyncIterable<Uint8Array> {
  for (const [index, size] of sizes.entries()) yield chunk(index, size);
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const collected: Uint8Array[] = [];
  for await (const one of stream) collected.push(Uint8Array.from(one));
  return collected;
}

type Ending = Error | null;

/** What every bulk port keeps. */
export function bulkConformance(name: string, makeHarness: () => Promise<BulkHarness>): void {
  describe(`${name}: bulk`, () => {
    let harness: BulkHarness;
    let ended: Ending[];
    beforeEach(async () => {
      harness = await makeHarness();
      ended = [];
    });
    afterEach(async () => {
      await harness.close();
    });
    const onEnd = (error: Ending): void => {
      ended.push(error);
    };

    test('chunks arrive as they were, in order, with their bounds; both ends learn that all is well', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      const sizes = [1, 0, 5, 100_000, 3, 1_000_000];
      server.bulk.offer('token', () => chunks(sizes), 5000, onEnd);
      const got = await settled(
        harness.time,
        collect(client.bulk.fetch(server.address, 'token', unaborted())),
        'the stream',
      );
      expect(got.map((one) => one.byteLength)).toEqual(sizes);
      for (const [index, one] of got.entries()) expect(Buffer.compare(one, chunk(index, one.byteLength))).toBe(0);
      await harness.time.until(() => ended.length > 0, 'the end at the server');
      expect(ended).toEqual([null]);
    });

    test('an empty stream is an end, not an error', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      server.bulk.offer('token', () => chunks([]), 5000, onEnd);
      expect(
        await settled(harness.time, collect(client.bulk.fetch(server.address, 'token', unaborted())), 'the stream'),
      ).toEqual([]);
      await harness.time.until(() => ended.length > 0, 'the end at the server');
      expect(ended).toEqual([null]);
    });

    test('an unknown token is an error, and a token works once', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      server.bulk.offer('token', () => chunks([3]), 5000, onEnd);
      await failure(harness.time, collect(client.bulk.fetch(server.address, 'other', unaborted())), 'an unknown token');
      await settled(harness.time, collect(client.bulk.fetch(server.address, 'token', unaborted())), 'the stream');
      await failure(harness.time, collect(client.bulk.fetch(server.address, 'token', unaborted())), 'a used token');
      await harness.time.until(() => ended.length > 0, 'the end at the server');
      expect(ended).toEqual([null]);
    });

    test('an offer that nobody fetches ends with an error in its time; its source is never asked', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      let asked = 0;
      server.bulk.offer('token', () => ((asked += 1), chunks([1])), 30, onEnd);
      await harness.time.until(() => ended.length > 0, 'the expiry');
      expect(ended).toEqual([expect.any(Error)]);
      await failure(harness.time, collect(client.bulk.fetch(server.address, 'token', unaborted())), 'an expired token');
      expect(asked).toBe(0);
      expect(ended).toHaveLength(1);
    });

    test('a source that fails is an error at both ends, after what it gave', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      async function* failing(): AsyncIterable<Uint8Array> {
        yield chunk(0, 10);
        throw new Error('the disk is gone');
      }
      server.bulk.offer('token', failing, 5000, onEnd);
      const got: Uint8Array[] = [];
      const fetched = (async () => {
        for await (const one of client.bulk.fetch(server.address, 'token', unaborted())) got.push(one);
      })();
      await failure(harness.time, fetched, 'a failed source');
      await harness.time.until(() => ended.length > 0, 'the end at the server');
      expect(got).toHaveLength(1);
      expect(ended).toEqual([expect.any(Error)]);
    });

    test('back-pressure: a fetcher that stops reading stops the source', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      const total = 400;
      let given = 0;
      async function* large(): AsyncIterable<Uint8Array> {
        for (; given < total; given += 1) yield chunk(given, 256 * 1024);
      }
      server.bulk.offer('token', large, 5000, onEnd);
      const stream = client.bulk.fetch(server.address, 'token', unaborted())[Symbol.asyncIterator]();
      await settled(harness.time, stream.next(), 'the first chunk');
      await harness.time.pass(300);
      // What the systems buffer at both ends, and no more: the source has most of it left.
      expect(given).toBeLessThan(total / 2);
      let rest = 0;
      const drained = (async () => {
        while ((await stream.next()).done !== true) rest += 1;
      })();
      await settled(harness.time, drained, 'the rest');
      expect(rest).toBe(total - 1);
    });

    test('aborting ends the fetch, and the source, with an error', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      let isReturned = false;
      async function* endless(): AsyncIterable<Uint8Array> {
        try {
          for (let index = 0; ; index += 1) yield chunk(index, 64 * 1024);
        } finally {
          isReturned = true;
        }
      }
      server.bulk.offer('token', endless, 5000, onEnd);
      const controller = new AbortController();
      const stream = client.bulk.fetch(server.address, 'token', controller.signal)[Symbol.asyncIterator]();
      await settled(harness.time, stream.next(), 'the first chunk');
      controller.abort();
      const fetched = (async () => {
        while ((await stream.next()).done !== true);
      })();
      await failure(harness.time, fetched, 'an aborted fetch');
      await harness.time.until(() => ended.length > 0 && isReturned, 'the end at the server');
      expect(ended).toEqual([expect.any(Error)]);
      const early = new AbortController();
      early.abort();
      await failure(
        harness.time,
        collect(client.bulk.fetch(server.address, 'token', early.signal)),
        'a fetch aborted before',
      );
    });

    test('a consumer that breaks off ends the source', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      server.bulk.offer('token', () => chunks(new Array<number>(100_000).fill(4096)), 5000, onEnd);
      const first = (async () => {
        for await (const one of client.bulk.fetch(server.address, 'token', unaborted())) return one.byteLength;
        return 0;
      })();
      expect(await settled(harness.time, first, 'the first chunk')).toBe(4096);
      await harness.time.until(() => ended.length > 0, 'the end at the server');
      expect(ended).toEqual([expect.any(Error)]);
    });

    test('a server that closes in the middle is an error, never an end', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      async function* stalling(): AsyncIterable<Uint8Array> {
        yield chunk(0, 10);
        await new Promise(() => undefined);
      }
      server.bulk.offer('token', stalling, 5000, onEnd);
      server.bulk.offer('unfetched', () => chunks([1]), 5000, onEnd);
      const stream = client.bulk.fetch(server.address, 'token', unaborted())[Symbol.asyncIterator]();
      await settled(harness.time, stream.next(), 'the first chunk');
      const next = stream.next();
      next.catch(() => undefined);
      await settled(harness.time, server.bulk.close(), 'the close');
      await failure(harness.time, next, 'a cut stream');
      await harness.time.until(() => ended.length === 2, 'both offers end');
      expect(ended).toEqual([expect.any(Error), expect.any(Error)]);
    });

    test('where nobody serves, fetching is an error', async () => {
      const [server, client] = [await harness.node(), await harness.node()];
      await settled(harness.time, server.bulk.close(), 'the close');
      await failure(harness.time, collect(client.bulk.fetch(server.address, 'token', unaborted())), 'nobody serves');
    });
  });
}
