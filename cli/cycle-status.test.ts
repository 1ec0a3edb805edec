import type { FastifyInstance } from 'fastify';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addCycleCopyRoutes } from '../activation/copy/http/api.js';
import { addDataServerRoutes } from '../activation/data-server/http/routes.js';
import { CycleCopy, DataServer } from '../activation/index.js';
import { addMasterRoutes } from '../master/http/api.js';
import { createServer, listen } from '../shared/http/server.js';
import { silentLog } from '../shared/runtime/node-events.js';
import { FakeOriginal } from '../tests/integration/process/http-fakes.js';
import { runLockstep } from '../tests/support/run-lockstep.js';

/** What `lockstep status` and its neighbours make of an address that is of a pull cycle, of a group, or of something else. */

let folder: string;
let data: DataServer;
let copy: CycleCopy;
const servers: FastifyInstance[] = [];
let [dataUrl, copyUrl, masterUrl] = ['', '', ''];

async function serve(add: (server: FastifyInstance) => void): Promise<string> {
  const server = createServer(silentLog);
  servers.push(server);
  add(server);
  return listen(server, { host: '127.0.0.1', port: 0 });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-cycle-status-'));
  data = await DataServer.open({ store: join(folder, 'data'), intervalMs: 3_600_000 });
  await data.edit([{ put: ['sku-1', 5] }]);
  await data.promote();
  await data.activateNow();
  dataUrl = await serve((server) => addDataServerRoutes(server, data));
  copy = await CycleCopy.open({ name: 's1', from: dataUrl });
  await copy.ready({ timeoutMs: 8000 });
  copyUrl = await serve((server) => addCycleCopyRoutes(server, { copy: () => copy, dataSet: 'prices', from: dataUrl }));
  masterUrl = await serve((server) =>
    addMasterRoutes(server, {
      node: 'm1',
      dataSets: new Map([['prices', new FakeOriginal()]]),
      whyNotLeading: () => null,
    }),
  );
});

afterAll(async () => {
  for (const server of servers) await server.close();
  await copy.close();
  await data.close();
  await rm(folder, { recursive: true, force: true });
});

/** Ages move on between two runs. */
function withoutAges(text: string): string {
  return text.replaceAll(/[\d.]+ (ms|s|min|h)\b/g, 'age').replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'instant');
}

describe('lockstep status', () => {
  test.each([
    ['a data server', (): string => dataUrl, /^copy +cycle +items\nactive +/],
    ['a copy', (): string => copyUrl, /^node +role +state +shows .*\ns1 +copy +current +cycle \d+ +/],
  ])('of %s is what lockstep cycle status shows', async (_what, url, pattern) => {
    const [status, cycle] = [
      await runLockstep(['status', '--to', url()]),
      await runLockstep(['cycle', 'status', '--to', url()]),
    ];
    expect(status).toMatchObject({ exitCode: 0, err: '' });
    expect(status.out).toMatch(pattern);
    expect(withoutAges(status.out)).toBe(withoutAges(cycle.out));
  });

  test('of a copy says where it copies from, and what shows when', async () => {
    const { out } = await runLockstep(['status', '--to', copyUrl, '--data-set', 'prices']);
    expect(out).toContain(`\ncopies from the data server ${dataUrl}\n`);
    expect(out).toMatch(/\ncycle \d+ shows at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z\n$/);
  });

  test('--json names the role of each', async () => {
    const roleAt = async (url: string): Promise<unknown> =>
      (JSON.parse((await runLockstep(['status', '--to', url, '--json'])).out) as { role: unknown }).role;
    expect([await roleAt(dataUrl), await roleAt(copyUrl), await roleAt(masterUrl)]).toEqual([
      'data-server',
      'cycle-copy',
      'master',
    ]);
  });

  test.each([[['status']], [['cycle', 'status']]])('--watch of a copy and of a data server: %j', async (command) => {
    const stop = new AbortController();
    const lines: string[] = [];
    const json = await runLockstep([...command, '--watch', '--json', '--every', '1ms', '--to', copyUrl], {
      stopSignal: () => stop.signal,
      out: (text) => {
        if (lines.push(text) === 2) stop.abort();
      },
    });
    expect(json.exitCode).toBe(0);
    expect(lines.map((line) => (JSON.parse(line) as { node: string }).node)).toEqual(['s1', 's1']);
    const closed = new AbortController();
    const written: string[] = [];
    const terminal = {
      columns: 60,
      rows: 6,
      write: (text: string): void => {
        if (written.push(text) === 3) closed.abort();
      },
    };
    const words = [...command, '--watch', '--every', '1ms'];
    await runLockstep([...words, '--to', dataUrl], { terminal, stopSignal: () => closed.signal });
    const screen = (written[1] ?? '').replace('\u001b[H', '').replace('\u001b[J', '').split('\r\n');
    expect(screen).toHaveLength(6);
    expect(screen[3]).toMatch(/^active +/);
    for (const line of screen) expect([...line.replaceAll('\u001b[K', '')].length).toBeLessThanOrEqual(60);
  });
});

describe('at an address of another kind', () => {
  test('a copy serves reads, and says who takes changes', async () => {
    expect(await runLockstep(['get', 'sku-1', '--to', copyUrl])).toMatchObject({ exitCode: 0, out: '5\n' });
    const put = await runLockstep(['put', 'sku-1', '6', '--to', copyUrl]);
    expect([put.exitCode, put.out]).toEqual([2, '']);
    expect(put.err).toContain(`edit production at the data server, ${dataUrl}`);
  });

  test.each<[readonly string[], () => string, RegExp]>([
    [['members'], (): string => copyUrl, /is s1, a copy of a pull cycle, and this command is for masters and slaves/],
    [['members'], (): string => dataUrl, /is a data server of a pull cycle, and this command is for masters/],
    [['get', 'sku-1'], (): string => dataUrl, /is a data server of a pull cycle, .* lockstep cycle --help/],
    [['put', 'sku-1', '6'], (): string => dataUrl, /is a data server of a pull cycle/],
    [['watch'], (): string => copyUrl, /is s1, a copy of a pull cycle/],
    [['history'], (): string => copyUrl, /has nothing of the kind \(no route GET .*lockstep status --to/],
    [['cycle', 'status'], (): string => masterUrl, /is the master m1, and neither a data server nor a copy/],
    [['cycle', 'status', '--watch'], (): string => masterUrl, /is the master m1, and neither/],
    [['cycle', 'interval'], (): string => masterUrl, /has nothing of the kind/],
    [['cycle', 'interval'], (): string => copyUrl, /has nothing of the kind/],
    [['cycle', 'get', 'sku-1'], (): string => masterUrl, /has nothing of the kind/],
    [['cycle', 'put', 'sku-1', '6'], (): string => copyUrl, /has nothing of the kind/],
    [['status', '--data-set', 'routes'], (): string => copyUrl, /--data-set routes isn't at .*; there is prices/],
    [['status', '--data-set', 'routes'], (): string => dataUrl, /a data server has one content, without a name/],
  ])('%j is refused in one line that says what is there', async (parameters, url, pattern) => {
    const run = await runLockstep([...parameters, '--to', url()]);
    expect([run.exitCode, run.out, run.err.trimEnd().split('\n').length]).toEqual([2, '', 1]);
    expect(run.err).toMatch(pattern);
  });
});

describe('what answers with something else', () => {
  const copyBody = {
    ...{
      node: 's1',
      role: 'cycle-copy',
      from: 'x',
      dataSet: 'd',
      state: 'current',
      reason: '',
      active: 1,
      staged: null,
    },
    ...{ entries: 0, stateDigest: null, table: null, armed: null, clock: null, retrieval: null, lastActivation: null },
  };
  const tableBody = {
    ...{ source: 's', cycle: 1, activateAtMs: 1, intervalMs: 1, originMs: 0, waiting: 0, intervalFits: true },
    ...{ lock: null, worstRetrieval: null, clock: { id: 'i', receivedMs: 1, sentMs: 1 } },
    ...{ active: { cycle: 0, activatedAtMs: null }, items: { production: 0, staged: 0, active: 0 } },
  };

  /** Answers `/v1/status`, or 404 there and the table and what was reported at their own routes. */
  function answering(status: unknown, table?: unknown, reported: unknown = { activations: [] }): typeof fetch {
    const json = (body: unknown, code: number): Response => new Response(JSON.stringify(body), { status: code });
    const unknown = { error: { code: 'route-unknown', message: 'no route' } };
    return async (input) => {
      const path = new URL(input instanceof Request ? input.url : input).pathname;
      if (path === '/v1/cycle' && table !== undefined) return json(table, 200);
      if (path === '/v1/cycle/activations' && table !== undefined) return json(reported, 200);
      return path === '/v1/status' && table === undefined ? json(status, 200) : json(unknown, 404);
    };
  }

  test('is shown as long as it has what is shown of it', async () => {
    const ofCopy = await runLockstep(['status'], { fetch: answering(copyBody) });
    expect([ofCopy.exitCode, ofCopy.err]).toEqual([0, '']);
    const ofTable = await runLockstep(['status'], { fetch: answering(null, tableBody) });
    expect([ofTable.exitCode, ofTable.err]).toEqual([0, '']);
  });

  test.each([
    ...[null, [], 'text', 7, {}, { node: 's1' }, { node: 's1', dataSets: 'none' }].map((body) => [body]),
    [{ ...copyBody, armed: {} }],
    [{ ...copyBody, table: 'none' }],
    [{ ...copyBody, clock: undefined }],
    [{ ...copyBody, lastActivation: { reachedMs: 1, errorMs: '2', activateAtMs: null } }],
    [{ ...copyBody, active: 'one' }],
    [null, { ...tableBody, active: null }],
    [null, { ...tableBody, items: { production: 0 } }],
    [null, { ...tableBody, lock: { holder: 'x' } }],
    [null, { ...tableBody, worstRetrieval: 5 }],
    [null, { ...tableBody, clock: {} }],
    [null, tableBody, { activations: 'none' }],
  ] as readonly (readonly [unknown, unknown?, unknown?])[])(
    '%j %j %j is told from a node, in one line',
    async (status, table, reported) => {
      const run = await runLockstep(['status'], { fetch: answering(status, table, reported) });
      expect([run.exitCode, run.out]).toEqual([17, '']);
      expect(run.err).toMatch(/^lockstep: http:\/\/127\.0\.0\.1:7400 is no lockstep node: [^\n]*; check --to\n$/);
    },
  );
});
