import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addDataServerRoutes } from '../activation/data-server/http/routes.js';
import { CycleCopy, DataServer } from '../activation/index.js';
import { addCycleCopyRoutes } from '../activation/copy/http/api.js';
import { createServer, listen } from '../shared/http/server.js';
import { silentLog } from '../shared/runtime/node-events.js';
import { freePort } from '../tests/integration/process/loopback.js';
import { runLockstep, type CommandRun } from '../tests/support/run-lockstep.js';

let folder: string;
let data: DataServer;
let url: string;
let originMs: number;
const ends: (() => Promise<void>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-cycle-cli-'));
  // Half an hour to the next activation, at whatever time of day this runs.
  originMs = Date.now() - 1_800_000;
  data = await DataServer.open({ store: join(folder, 'data'), intervalMs: 3_600_000, originMs });
  const server = createServer(silentLog);
  addDataServerRoutes(server, data);
  url = await listen(server, { host: '127.0.0.1', port: 0 });
  ends.push(
    () => server.close(),
    () => data.close(),
    () => rm(folder, { recursive: true, force: true }),
  );
});

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function cycle(...parameters: string[]): Promise<CommandRun> {
  return runLockstep(['cycle', ...parameters, '--to', url]);
}

describe('lockstep cycle', () => {
  test('edits production, promotes, activates now, and shows what there is', async () => {
    expect(await cycle('put', 'sku-1', '{"cents": 999}')).toMatchObject({ exitCode: 0, out: 'in production\n' });
    expect(await cycle('put', 'sku-1', '{"cents": 999}')).toMatchObject({ exitCode: 0, out: 'nothing changed\n' });
    expect(await cycle('put', 'sku-2', '5', '--not-before', '2060-01-01T00:00:00Z')).toMatchObject({ exitCode: 0 });
    expect(await cycle('get', 'sku-1')).toMatchObject({ exitCode: 0, out: '{"cents":999}\n' });
    expect((await cycle('get', 'sku-2', '--json')).out).toContain('"notBeforeMs":2840140800000');
    expect(await cycle('get', 'sku-3')).toMatchObject({
      exitCode: 5,
      out: '',
      err: 'lockstep: production has no item "sku-3"\n',
    });
    const promoted = await cycle('promote');
    expect(promoted.out).toMatch(/^1 staged · active is cycle 0; cycle 2 active at .*Z, in \d+ (s|min)\n$/);
    const now = await cycle('activate-now', '--json');
    expect(JSON.parse(now.out)).toMatchObject({ cycle: 3, active: { cycle: 2 }, items: { active: 1 } });
    const { out } = await cycle('status');
    expect(out).toMatch(/^copy +cycle +items\n/);
    expect(out).toMatch(/^active +2 +1 +since \d{4}-/m);
    expect(out).toMatch(/^staged +3 +1 +active at .*Z, in /m);
    expect(out).toMatch(/^production +– +2 +1 not staged yet$/m);
    expect(out).toContain(`\nevery 1h, at ${new Date(originMs).toISOString()} and whole intervals from it\n`);
    expect(out).toContain('no retrieval was reported in the last day');
    expect(await cycle('delete', 'sku-1')).toMatchObject({ exitCode: 0, out: 'removed from production\n' });
    expect(await cycle('delete', 'sku-1')).toMatchObject({ exitCode: 0, out: 'there was no such key\n' });
  });

  test('prints and sets the interval, and refuses one that is shorter than the longest retrieval, with the figure', async () => {
    expect(await cycle('interval')).toMatchObject({ exitCode: 0, out: '1h\n' });
    await data.reportRetrieval({ by: 's7', cycle: 1, durationMs: 90_000 });
    const refused = await cycle('interval', '1m');
    expect([refused.exitCode, refused.out]).toEqual([3, '']);
    expect(refused.err).toMatch(/^lockstep: an interval of 60000 ms is no longer than .* 90000 ms at s7/);
    for (const [by, reachedMs] of [
      ['s1', 1000],
      ['s2', 1003.5],
    ] as const)
      data.reportActivation({ by, cycle: 4, reachedMs, errorMs: 0.75, late: false });
    data.reportActivation({ by: 's3', cycle: 4, reachedMs: 9000, errorMs: 2, late: true });
    expect((await cycle('status')).out).toContain(
      'cycle 4 was shown by 2 servers within 3.5 ms, each known to 0.8 ms, 1 late',
    );
    expect(await cycle('interval', '10m')).toMatchObject({ exitCode: 0, out: 'every 10m, from the next roll on\n' });
    expect((await cycle('status')).out).toContain('longest retrieval of the last day 90s, at s7');
  });

  test('puts the activation to an instant that all can meet, and refuses one that they cannot', async () => {
    const refused = await cycle('activate-now', '--in', '5ms');
    expect([refused.exitCode, refused.out]).toEqual([3, '']);
    const body = JSON.parse((await cycle('activate-now', '--in', '1h', '--json')).out) as { activateAtMs: number };
    expect(body.activateAtMs - Date.now()).toBeGreaterThan(3_500_000);
  });

  test('asks a copy, too, and says what is neither', async () => {
    await using copy = await CycleCopy.open({ name: 's1', from: url });
    await copy.ready({ timeoutMs: 8000 });
    const server = createServer(silentLog);
    addCycleCopyRoutes(server, { copy: () => copy, dataSet: 'default', from: url });
    const at = await listen(server, { host: '127.0.0.1', port: 0 });
    const shown = await runLockstep(['cycle', 'status', '--to', at]);
    expect(shown.out).toMatch(/^node +role +state +shows +staged +next activation +clock error/);
    expect(shown.out).toMatch(/^s1 +copy +current +cycle 0 +/m);
    expect(JSON.parse((await runLockstep(['cycle', 'status', '--to', at, '--json'])).out)).toMatchObject({
      node: 's1',
    });
    await server.close();
    const nobody = await runLockstep(['cycle', 'status', '--to', `http://127.0.0.1:${await freePort()}`]);
    expect([nobody.exitCode, nobody.out]).toEqual([17, '']);
  });

  test.each<[readonly string[], string]>([
    [['interval', '5'], 'Give a duration such as 10m'],
    [['interval', '--origin', '2026-12-01T03:00:00Z'], 'give the interval, too'],
    [['put', 'a', '{'], 'Give JSON'],
    [['put', 'a', '1', '--not-before', 'tomorrow'], 'Give an instant with its time zone'],
    [['activate-now', '--in', 'soon'], 'Give a duration'],
    [['status', '--to', 'ftp://x'], 'Give the HTTP address'],
  ])('%j is refused in one line', async (parameters, text) => {
    const run = await runLockstep(['cycle', ...parameters]);
    expect([run.exitCode, run.out, run.err.trimEnd().split('\n').length]).toEqual([2, '', 1]);
    expect(run.err).toContain(text);
  });
});
