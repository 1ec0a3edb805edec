import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addMasterRoutes } from '../../../master/http/api.js';
import { addSlaveRoutes } from '../../../slave/http/api.js';
import { deltaOf, FakeCopy, FakeOriginal, RecordingLog, tipAt } from '../../../tests/integration/process/http-fakes.js';
import { openFeed, type OpenFeed } from '../../../tests/support/open-feed.js';
import type { ErrorBody } from '../bodies.js';
import { httpBounds } from '../bounds.js';
import { createServer, listen } from '../server.js';
import type { FeedBounds } from './feed.js';

let original: FakeOriginal;
let copy: FakeCopy;
let servers: FastifyInstance[];
let feeds: OpenFeed[];

beforeEach(() => {
  original = new FakeOriginal();
  copy = new FakeCopy({}, 4);
  servers = [];
  feeds = [];
});

afterEach(async () => {
  for (const feed of feeds) feed.close();
  await Promise.all(servers.map((server) => server.close()));
});

async function serve(add: (server: FastifyInstance) => void): Promise<string> {
  const server = createServer(new RecordingLog());
  servers.push(server);
  add(server);
  return listen(server, { host: '127.0.0.1', port: 0 });
}

const bounds = (changes: Partial<FeedBounds>): FeedBounds => ({ ...httpBounds, ...changes });
const master = (feedBounds: FeedBounds = httpBounds): Promise<string> =>
  serve((server) =>
    addMasterRoutes(server, {
      node: 'm',
      dataSets: new Map([['prices', original]]),
      whyNotLeading: () => null,
      feedBounds,
    }),
  );
const slave = (): Promise<string> =>
  serve((server) => addSlaveRoutes(server, { node: 's', dataSets: new Map([['prices', copy]]) }));

async function follow(url: string, options: Parameters<typeof openFeed>[1] = {}): Promise<OpenFeed> {
  const feed = await openFeed(url, options);
  feeds.push(feed);
  return feed;
}

const put = (key: string, value: string | number): Promise<unknown> => original.change([{ put: [key, value] }]);
const versions = (feed: OpenFeed): readonly unknown[] => feed.records().map(({ version }) => version);

describe('lines of JSON', () => {
  test('a feed begins with the changes above `since` and goes on with those to come', async () => {
    await put('a', 1);
    await put('b', 2);
    const feed = await follow(`${await master()}/v1/feed/prices?since=1`);
    expect(feed.status).toBe(200);
    expect(feed.response.headers).toMatchObject({
      'content-type': 'application/x-ndjson',
      'cache-control': 'no-store',
      'lockstep-epoch': '3',
      'lockstep-version': '2',
      'lockstep-current': 'true',
    });
    await feed.until(() => feed.records().length === 1);
    await original.change([{ put: ['c', { deep: ['ü'] }] }, { delete: 'a' }, { delete: 'b' }, { put: ['a', null] }]);
    await feed.until(() => feed.records().length === 2);
    expect(feed.records()).toEqual([
      { epoch: 3, version: 2, chainId: tipAt(2).chain, prior: 1, operations: [{ put: ['b', 2] }] },
      {
        epoch: 3,
        version: 3,
        chainId: tipAt(3).chain,
        prior: 2,
        operations: [{ put: ['c', { deep: ['ü'] }] }, { delete: 'a' }, { delete: 'b' }, { put: ['a', null] }],
      },
    ]);
  });

  test('since=0 begins with everything, whose first change starts from nothing', async () => {
    await put('a', 1);
    await put('b', 2);
    const feed = await follow(`${await master()}/v1/feed/prices?since=0`);
    await feed.until(() => feed.records().length === 2);
    expect(feed.records().map(({ prior }) => prior)).toEqual([null, 1]);
  });

  test('without since a feed begins now', async () => {
    await put('a', 1);
    const feed = await follow(`${await master()}/v1/feed/prices`);
    await feed.until((text) => text.includes('\n'));
    await put('b', 2);
    await feed.until(() => feed.records().length === 1);
    expect(versions(feed)).toEqual([2]);
  });

  test('many changes at once arrive in order, each once, at every listener', async () => {
    const url = await master();
    const both = await Promise.all([follow(`${url}/v1/feed/prices?since=0`), follow(`${url}/v1/feed/prices?since=0`)]);
    for (let version = 1; version <= 500; version += 1) await put('a', version);
    for (const feed of both) {
      await feed.until(() => feed.records().length >= 500);
      expect(versions(feed)).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
    }
  });

  test('while nothing happens an empty line says that the connection lives', async () => {
    const feed = await follow(`${await master(bounds({ feedIdleMs: 5 }))}/v1/feed/prices`);
    await feed.until((text) => text.length >= 4);
    expect(feed.text()).toMatch(/^\n+$/);
  });
});

describe('server-sent events', () => {
  const sse = { accept: 'text/event-stream' };

  test('an event is a change, and its id is the version', async () => {
    await put('a', 1);
    const feed = await follow(`${await master()}/v1/feed/prices?since=0`, { headers: sse });
    expect(feed.response.headers['content-type']).toBe('text/event-stream');
    await feed.until((text) => text.includes('data:'));
    const data = JSON.stringify({
      epoch: 3,
      version: 1,
      chainId: tipAt(1).chain,
      prior: null,
      operations: [{ put: ['a', 1] }],
    });
    expect(feed.text()).toBe(`: at version 0\n\nid: 1\ndata: ${data}\n\n`);
  });

  test('Last-Event-ID resumes, also when the address still says an older since', async () => {
    for (const key of ['a', 'b', 'c']) await put(key, 1);
    const feed = await follow(`${await master()}/v1/feed/prices?since=0`, {
      headers: { ...sse, 'last-event-id': '2' },
    });
    await feed.until((text) => text.includes('data:'));
    expect(feed.text().match(/^id: .*$/gm)).toEqual(['id: 3']);
  });

  test('its end is an event of its own', async () => {
    const feed = await follow(`${await master()}/v1/feed/prices`, { headers: sse });
    await servers[0]?.close();
    await feed.untilEnd();
    expect(feed.text()).toMatch(/event: end\ndata: \{"error":\{"code":"closed",.*\},"since":0\}\n\n$/);
  });
});

describe('where a feed can begin', () => {
  async function refused(url: string): Promise<[number, string, string | undefined, string]> {
    const answer = await fetch(url);
    const { error } = (await answer.json()) as ErrorBody;
    return [answer.status, error.code, error.field, error.message];
  }

  test('a since older than the history is 410 and says what to do', async () => {
    const url = await slave();
    expect(await refused(`${url}/v1/feed/prices?since=3`)).toEqual([
      410,
      'history-pruned',
      'since',
      "since: the changes after version 3 are no longer in this node's history (it begins after version 4); read everything with GET /v1/data/prices, then follow with since= the version that its header Lockstep-Version names",
    ]);
    expect((await follow(`${url}/v1/feed/prices?since=4`)).status).toBe(200);
  });

  test('the master says of a since above its newest version that it is of another history', async () => {
    await put('a', 1);
    const [status, code, , message] = await refused(`${await master()}/v1/feed/prices?since=2`);
    expect([status, code]).toEqual([410, 'history-switched']);
    expect(message).toContain('the newest version of this master is 1');
  });

  test('a slave waits for a since that is still to come', async () => {
    const feed = await follow(`${await slave()}/v1/feed/prices?since=6`);
    for (const version of [5, 6, 7]) copy.dataSet.deltas.push(deltaOf(version, [{ put: ['a', version] }]));
    await feed.until(() => feed.records().length === 1);
    expect(versions(feed)).toEqual([7]);
  });

  test('epoch and chainId say what the version is: another state is 410', async () => {
    await put('a', 1);
    await put('b', 1);
    const url = `${await master()}/v1/feed/prices?since=1`;
    expect((await follow(`${url}&epoch=3&chainId=${tipAt(1).chain}`)).status).toBe(200);
    expect((await refused(`${url}&chainId=${tipAt(2).chain}`)).slice(0, 3)).toEqual([410, 'history-switched', 'since']);
    expect((await refused(`${url}&epoch=2`)).slice(0, 2)).toEqual([410, 'history-switched']);
  });

  test('a version that comes later, and is another state than the one named, ends the feed', async () => {
    const feed = await follow(`${await slave()}/v1/feed/prices?since=6&chainId=${'f'.repeat(32)}`);
    for (const version of [5, 6, 7]) copy.dataSet.deltas.push(deltaOf(version, [{ put: ['a', version] }]));
    await feed.untilEnd();
    expect(feed.records()).toMatchObject([{ error: { code: 'history-switched' }, since: 6 }]);
  });

  test.each([
    ['?since=x', 'since'],
    ['?since=-1', 'since'],
    ['?after=1', 'after'],
    ['?since=1&chainId=zz', 'chainId'],
    ['?epoch=1', 'since'],
  ])('%s is refused, naming %s', async (query, field) => {
    expect((await refused(`${await master()}/v1/feed/prices${query}`)).slice(0, 3)).toEqual([400, 'bad-input', field]);
  });

  test('an unknown data set is 404, and so is a HEAD', async () => {
    const url = await master();
    expect((await refused(`${url}/v1/feed/nothing`)).slice(0, 2)).toEqual([404, 'data-set-unknown']);
    expect((await fetch(`${url}/v1/feed/prices`, { method: 'HEAD' })).status).toBe(404);
  });
});

describe('how a feed ends', () => {
  test('a snapshot in place of the copy', async () => {
    const feed = await follow(`${await slave()}/v1/feed/prices`);
    copy.dataSet.deltas.begin(tipAt(9));
    await feed.untilEnd();
    expect(feed.records()).toMatchObject([{ error: { code: 'history-pruned' }, since: 4 }]);
    expect(feed.text()).toContain('now at version 9');
  });

  test('a change that is no key-value change', async () => {
    const feed = await follow(`${await slave()}/v1/feed/prices`);
    copy.dataSet.deltas.push({ ...deltaOf(5, []), bytes: Uint8Array.of(1) });
    await feed.untilEnd();
    expect(feed.records()).toMatchObject([{ error: { code: 'internal' }, since: 4 }]);
  });

  test('a shutdown ends it with a last line, and does not wait for the client', async () => {
    await put('a', 1);
    const feed = await follow(`${await master()}/v1/feed/prices`);
    await servers[0]?.close();
    await feed.untilEnd();
    expect(feed.records()).toMatchObject([{ error: { code: 'closed' }, since: 1 }]);
  });

  test('a listener that takes nothing is cut, is told where it was, and loses nothing when it resumes', async () => {
    const count = 15;
    const url = await master(bounds({ feedStallMs: 2000 }));
    const slow = await follow(`${url}/v1/feed/prices?since=0`, { paused: true });
    const quick = await follow(`${url}/v1/feed/prices?since=0`);
    // More than the sockets hold, and less than the history.
    const value = 'x'.repeat(1024 * 1024);
    for (let version = 1; version <= count; version += 1) {
      await put('a', value);
      await quick.until((text) => text.length > version * value.length && text.endsWith(']}\n'));
    }
    expect(versions(quick), 'nobody waits for the slow one').toHaveLength(count);
    await expect.poll(() => original.dataSet.deltas.listeners, { timeout: 8000 }).toBe(1);
    slow.response.resume();
    await slow.untilEnd();
    const last = slow.records().at(-1);
    expect(last?.error?.code).toBe('too-slow');
    const since = last?.since ?? 0;
    expect(since, 'it was cut long before the end').toBeLessThan(count);
    expect(versions(slow).slice(0, -1)).toEqual(Array.from({ length: since }, (_, index) => index + 1));
    const resumed = await follow(`${url}/v1/feed/prices?since=${since}`);
    await resumed.until((text) => text.length > (count - since) * value.length && text.endsWith(']}\n'));
    expect(versions(resumed)[0]).toBe(since + 1);
  });

  test('more listeners than are allowed are told to come again', async () => {
    const url = await master(bounds({ feedListeners: 2 }));
    const [first] = await Promise.all([follow(`${url}/v1/feed/prices`), follow(`${url}/v1/feed/prices`)]);
    const refused = await fetch(`${url}/v1/feed/prices`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(((await refused.json()) as ErrorBody).error.code).toBe('queue-full');
    first?.close();
    await expect.poll(async () => (await follow(`${url}/v1/feed/prices`)).status, { timeout: 8000 }).toBe(200);
  });
});
