import { afterEach, expect, test } from 'vitest';
import { addMasterRoutes } from '../../../master/http/api.js';
import { keyValue as original } from '../../../master/index.js';
import { createServer, listen } from '../../../shared/http/server.js';
import type { Json } from '../../../shared/protocol/key-value/operations.js';
import { addSlaveRoutes } from '../../../slave/http/api.js';
import { keyValue as copy } from '../../../slave/index.js';
import { openFeed, type OpenFeed } from '../../support/open-feed.js';
import { RecordingLog } from './http-fakes.js';
import { Loopback } from './loopback.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const keysOf = (feed: OpenFeed): readonly unknown[] => feed.records().map(({ operations }) => operations);

test('master and slave tell the same changes, and nothing of a change that was vetoed', async () => {
  const group = await Loopback.start();
  closing.push(() => group[Symbol.asyncDispose]());
  const master = await group.master();
  const slave = await group.slave('a');
  const prices = await master.register('prices', original<Json>());
  const copied = await slave.register(
    'prices',
    copy<Json>({ validate: (operation) => !('put' in operation) || operation.put[1] !== 'bad' || 'it is bad' }),
  );
  await prices.dataSet.leading();
  const open = async (add: (server: ReturnType<typeof createServer>) => void): Promise<OpenFeed> => {
    const server = createServer(new RecordingLog());
    add(server);
    closing.push(() => server.close());
    return openFeed(`${await listen(server, { host: '127.0.0.1', port: 0 })}/v1/feed/prices?since=0`);
  };
  await expect.poll(() => prices.dataSet.members().some(({ live }) => live), { timeout: 8000 }).toBe(true);
  const feeds = [
    await open((server) =>
      addMasterRoutes(server, { node: 'master', dataSets: new Map([['prices', prices]]), whyNotLeading: () => null }),
    ),
    await open((server) => addSlaveRoutes(server, { node: 'a', dataSets: new Map([['prices', copied]]) })),
  ];
  const outcomes = [
    await prices.change([{ put: ['k', 1] }]),
    await prices.change([{ put: ['k', 'bad'] }]),
    await prices.change([{ put: ['k', 2] }, { delete: 'j' }]),
    await prices.change([{ put: ['l', 3] }], { phases: 'one' }),
  ];
  expect(outcomes.map(({ kind }) => kind)).toEqual(['committed', 'aborted', 'committed', 'committed']);
  for (const feed of feeds) {
    await feed.until(() => feed.records().length === 3);
    expect(keysOf(feed)).toEqual([[{ put: ['k', 1] }], [{ put: ['k', 2] }, { delete: 'j' }], [{ put: ['l', 3] }]]);
  }
  expect(feeds[0]?.records()).toEqual(feeds[1]?.records());
});
