import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HttpDataServer } from '../../tests/support/cycle-http.js';
import type { EventRecord } from '../../shared/runtime/ports.js';
import { CycleCopy } from './cycle-copy.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-cycle-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const soon = { timeoutMs: 8000 };

describe.each(['copy', 'swap'] as const)('a copy by %s', (mode) => {
  test('follows a data server over HTTP: takes, retrieves in pages, shows at the instant, and serves at once after a restart', async () => {
    await using server = await HttpDataServer.start({ firstInMs: 1500, intervalMs: 800 });
    const { model } = server;
    server.pageChanges = 7;
    for (let key = 0; key < 30; key += 1) model.put(`k${key}`, key);
    model.contents.set(1, new Map(model.production));
    const store = join(folder, 's1');
    const first = await CycleCopy.open({ name: 's1', from: server.url, store, mode });
    const seen: (number | undefined)[] = [];
    const changes = first.changes();
    const reading = (async () => {
      for await (const { cycle, activation } of changes) {
        seen.push(cycle);
        if (activation !== null) expect(activation).toMatchObject({ cycle });
      }
    })();
    await first.reached(1, soon);
    expect(first.state).toBe('current');
    expect(first.size).toBe(30);
    expect(first.get('k7')).toBe(7);
    expect(first.has('nothing')).toBe(false);
    expect(first.list({ prefix: 'k2', limit: 2 })).toEqual([
      { key: 'k2', value: 2 },
      { key: 'k20', value: 20 },
    ]);
    const activation = first.view().lastActivation;
    expect(activation).toMatchObject({ cycle: 1 });
    // How well a machine with other work keeps time isn't judged here; that what it reports is true is.
    expect(activation?.late).toBe((activation?.reachedMs ?? NaN) - (activation?.activateAtMs ?? NaN) > 50);
    model.put('k7', 'changed');
    model.production.delete('k8');
    await first.reached(3, soon);
    expect(first.get('k7')).toBe('changed');
    expect(first.has('k8')).toBe(false);
    const digest = first.digest();
    await first.close();
    await reading;
    expect(seen.slice(0, 4)).toEqual([0, 1, 2, 3]);
    expect(model.retrievals.length).toBeGreaterThanOrEqual(3);
    await using second = await CycleCopy.open({ name: 's1', from: 'http://127.0.0.1:9', store, mode });
    expect([second.cycle, second.state, second.digest()]).toEqual([3, 'serving', digest]);
  });
});

test('a data server that talks nonsense is asked again, and said once', async () => {
  await using server = await HttpDataServer.start({ firstInMs: 60_000, intervalMs: 60_000 });
  const events: EventRecord[] = [];
  server.nonsense = { status: 200, body: '{"cycle": "one"' };
  await using copy = await CycleCopy.open({
    name: 's1',
    from: server.url,
    token: 'secret',
    log: { record: (event) => void events.push(event) },
  });
  await expect(copy.ready({ timeoutMs: 400 })).rejects.toMatchObject({ code: 'timed-out' });
  expect(copy.state).toBe('catching up');
  expect(server.requests.length).toBeGreaterThan(1);
  expect(events.filter(({ name }) => name === 'data server unreached')).toMatchObject([
    { fields: { reason: `the data server ${server.url} answered 200 without a table of cycles` } },
  ]);
  server.nonsense = null;
  await copy.ready(soon);
  expect(copy.state).toBe('current');
  expect(new Set(server.authorizations)).toEqual(new Set(['Bearer secret']));
});

test('what waits ends: by its time, by its signal, and by close', async () => {
  await using server = await HttpDataServer.start({ firstInMs: 60_000, intervalMs: 60_000 });
  const copy = await CycleCopy.open({ name: 's1', from: server.url });
  await copy.ready(soon);
  const stop = new AbortController();
  const aborted = copy.reached(9, { signal: stop.signal });
  // For longer than a system timer can hold: it doesn't end at once.
  const closed = copy.reached(9, { timeoutMs: 2 ** 31 });
  await expect(copy.reached(9, { timeoutMs: 30 })).rejects.toMatchObject({ code: 'timed-out' });
  const changes = copy.changes({ signal: stop.signal });
  stop.abort();
  await expect(aborted).rejects.toMatchObject({ code: 'aborted-by-caller' });
  expect(await changes.next()).toEqual({ done: true, value: undefined });
  const settled = expect(closed).rejects.toMatchObject({ code: 'closed' });
  await copy.close();
  await settled;
  await expect(copy.reached(9)).rejects.toMatchObject({ code: 'closed' });
  await expect(CycleCopy.open({ name: 's1', from: server.url, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'aborted-by-caller',
  });
});

test.each([
  [{ name: 'a/b' }, "name 'a/b' can't name a copy"],
  [{ from: 'ftp://x' }, "from 'ftp://x' is no HTTP address"],
  [{ from: 'http://x/path' }, 'is no HTTP address'],
  [{ mode: 'move' as 'copy' }, "mode 'move' is none"],
  [{ maxClockErrorMs: NaN }, 'maxClockErrorMs must be'],
])('%j is refused with what to do', async (wrong, message) => {
  const opening = CycleCopy.open({ name: 's1', from: 'http://127.0.0.1:1', ...wrong });
  await expect(opening).rejects.toMatchObject({
    code: 'bad-option',
    message: expect.stringContaining(message) as string,
  });
});

test("a store of another's is refused, and stays as it is", async () => {
  const store = join(folder, 'store');
  await (await CycleCopy.open({ name: 's1', from: 'http://127.0.0.1:1', store })).close();
  await expect(CycleCopy.open({ name: 's2', from: 'http://127.0.0.1:1', store })).rejects.toMatchObject({
    code: 'store-foreign',
    message: expect.stringContaining("belongs to the cycle copy 's1'") as string,
  });
});
