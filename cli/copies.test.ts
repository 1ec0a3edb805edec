import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addMasterRoutes } from '../master/http/api.js';
import { createServer, listen } from '../shared/http/server.js';
import type { Json, Operation } from '../shared/protocol/key-value/operations.js';
import { addSlaveRoutes } from '../slave/http/api.js';
import { FakeCopy, FakeOriginal, RecordingLog } from '../tests/integration/process/http-fakes.js';
import { runLockstep, type CommandRun } from '../tests/support/run-lockstep.js';
import { Client } from './client.js';
import { completionsOf } from './completion-words.js';
import { csvText, ndjsonText } from './export-text.js';
import { followFeed } from './feed.js';
import { createProgram } from './program.js';
import { parseRecords } from './records.js';
import type { Shell } from './shell.js';
import { readSnapshot } from './snapshot.js';

/** The commands that read whole copies or follow them: export, diff, watch. */

let folder: string;
let server: FastifyInstance;
let original: FakeOriginal;
let url: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-copies-'));
  original = new FakeOriginal();
  server = createServer(new RecordingLog());
  addMasterRoutes(server, { node: 'master', dataSets: new Map([['prices', original]]), whyNotLeading: () => null });
  url = await listen(server, { host: '127.0.0.1', port: 0 });
});

afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

async function lockstep(parameters: readonly string[], shell: Partial<Shell> = {}): Promise<CommandRun> {
  return runLockstep([...parameters, '--to', url], shell);
}

async function put(...pairs: readonly (readonly [string, Json])[]): Promise<void> {
  await original.change(pairs.map((pair): Operation<Json> => ({ put: pair })));
}

/** What a data set can hold: a master refuses a property `__proto__`. */
const jsonValue = fc.jsonValue().filter((json) => !JSON.stringify(json).includes('"__proto__"'));

describe('export', () => {
  test('writes what load reads back', async () => {
    await put(['b', { cents: 2 }], ['a', null], ['ключ "q"', ['x', 1.5]]);
    const path = join(folder, 'out.ndjson');
    expect(await lockstep(['export', path])).toEqual({
      exitCode: 0,
      out: ` 3 records · version 1 · ${path}\n`,
      err: '',
    });
    expect(await readFile(path, 'utf8')).toBe(
      '{"key":"a","value":null}\n{"key":"b","value":{"cents":2}}\n{"key":"ключ \\"q\\"","value":["x",1.5]}\n',
    );
    expect(await readdir(folder)).toEqual(['out.ndjson']);
    expect((await lockstep(['export'])).out).toBe(await readFile(path, 'utf8'));
    expect((await lockstep(['load', path])).exitCode).toBe(0);
    expect(JSON.parse((await lockstep(['export', path, '--json'])).out)).toEqual({
      dataSet: 'prices',
      version: 2,
      records: 3,
      file: path,
    });
  });

  test('leaves the old file when it fails', async () => {
    await put(['a', 1]);
    const run = await lockstep(['export', join(folder, 'none', 'out.ndjson')]);
    expect([run.exitCode, run.err]).toEqual([
      2,
      expect.stringMatching(/^lockstep: export .*can't be written \(ENOENT/),
    ]);
  });

  test('any value comes back from NDJSON', () => {
    const rows = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, maxLength: 20 }), jsonValue), {
      selector: ([key]) => key,
    });
    fc.assert(
      fc.property(rows, (list) => {
        const back = parseRecords(Buffer.from(ndjsonText(list as [string, Json][])), { format: 'ndjson' });
        expect(back.map(({ key, value }) => [key, value])).toEqual(JSON.parse(JSON.stringify(list)));
      }),
    );
  });

  test('CSV comes back the same, or is refused', () => {
    // -0 + 0 is 0: JSON has no other.
    const cell = fc.oneof(
      fc.string(),
      fc.constantFrom('1', '007', 'true', ' x', 'a,b', '"', 'a\nb', ''),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
      fc.boolean(),
    );
    const rows = fc.uniqueArray(fc.record({ id: fc.string({ minLength: 1 }), name: cell, 'a,b': cell }), {
      selector: ({ id }) => id,
      minLength: 1,
    });
    let held = 0;
    fc.assert(
      fc.property(rows, (list) => {
        let text: string;
        try {
          text = csvText(list.map((value) => [value.id, value] as const));
        } catch {
          return;
        }
        held += 1;
        const back = parseRecords(Buffer.from(text), { format: 'csv' });
        expect(back.map(({ key, value }) => [key, value])).toEqual(list.map((value) => [value.id, value]));
      }),
      { numRuns: 500 },
    );
    expect(held).toBeGreaterThan(20);
  });

  test.each<[string, Json, RegExp]>([
    ['no object', 5, /k2: its value is no object/],
    [
      'a text that looks like a number',
      { id: 'k2', n: '42' },
      /its field n is the text "42", which CSV reads back as 42/,
    ],
    ['a list', { id: 'k2', n: [1] }, /its field n is \[1\], which CSV reads back as "\[1\]"/],
    ['null', { id: 'k2', n: null }, /its field n is null/],
    ['a field more', { id: 'k2', n: 1, m: 2 }, /it has a field m, which the first record hasn't/],
    ['a field less', { id: 'k2' }, /it has no field n/],
    ['another key', { id: 'k3', n: 1 }, /its field id is not the key/],
  ])('CSV refuses %s, and names the record', (_what, value, message) => {
    expect(() =>
      csvText([
        ['k1', { id: 'k1', n: 1 }],
        ['k2', value],
      ]),
    ).toThrow(message);
  });

  test('CSV takes a column for the keys when it is told its name', () => {
    expect(csvText([['a', { cents: 1 }]], { keyField: 'sku' })).toBe('sku,cents\na,1\n');
    expect(() => csvText([['a', { cents: 1 }]])).toThrow(/--key FIELD adds it as a column/);
  });
});

describe('a copy that changes while it is read', () => {
  test('is read at one version', async () => {
    await put(
      ...Array.from({ length: 30 }, (_, index): [string, Json] => [`k${String(index).padStart(2, '0')}`, index]),
    );
    let pages = 0;
    const client = new Client({
      url: new URL(url),
      // Between any two pages something commits, before and behind what was read.
      fetch: async (input, init) => {
        if (urlOf(input).includes('/v1/data/') && pages++ > 0)
          await original.change([
            { put: ['k00', `new ${pages}`] },
            { delete: `k${String(pages).padStart(2, '0')}` },
            { put: [`z${pages}`, pages] },
          ]);
        return fetch(input, init);
      },
    });
    const snapshot = await readSnapshot(client, 'prices', { pageEntries: 10 });
    expect(pages).toBeGreaterThan(2);
    expect(snapshot.version).toBe(original.version);
    const held = [...snapshot.entries].map(([key, { value, version }]) => ({ key, value, version }));
    expect(held.sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual(original.list());
  });
});

describe('diff', () => {
  test('of two nodes names what the other has more, otherwise and less', async () => {
    await put(['same', 1], ['changed', { cents: 1 }], ['gone', 'x']);
    const slave = createServer(new RecordingLog());
    const copies = new Map([['prices', new FakeCopy({ same: 1, changed: { cents: 2 }, more: true }, 7)]]);
    addSlaveRoutes(slave, { node: 's1', dataSets: copies });
    const other = await listen(slave, { host: '127.0.0.1', port: 0 });
    try {
      expect(await lockstep(['diff', '--with', other])).toEqual({
        exitCode: 6,
        out: '~ changed  {"cents":1} → {"cents":2}\n- gone  "x"\n+ more  true\n 3 keys differ · version 1 and 7\n',
        err: '',
      });
      expect(JSON.parse((await lockstep(['diff', '--with', other, '--json'])).out)).toEqual({
        dataSet: 'prices',
        versions: { [url]: 1, [other]: 7 },
        differences: [
          { key: 'changed', change: 'changed', was: { cents: 1 }, value: { cents: 2 } },
          { key: 'gone', change: 'removed', was: 'x' },
          { key: 'more', change: 'added', value: true },
        ],
      });
    } finally {
      await slave.close();
    }
    expect(await lockstep(['diff', '--with', url])).toEqual({
      exitCode: 0,
      out: ' no difference · 3 records · version 1\n',
      err: '',
    });
  });

  test('of two versions names what was put and deleted between them', async () => {
    for (const value of [1, 2, 3]) await put(['k', value], [`k${value}`, value]);
    await original.change([{ delete: 'k1' }]);
    await put(['late', 1]);
    expect(await lockstep(['diff', '--from', '1', '--until', '4'])).toEqual({
      exitCode: 6,
      out: '* k  3  (v3)\n- k1  (v4)\n* k2  2  (v2)\n* k3  3  (v3)\n 4 keys differ · versions 1 to 4\n',
      err: '',
    });
    expect((await lockstep(['diff', '--from', '5'])).exitCode).toBe(0);
    expect((await lockstep(['diff', '--from', '4', '--until', '2'])).err).toMatch(/--until 2 is before --from 4/);
    expect((await lockstep(['diff', '--from', '4', '--until', '9'])).err).toMatch(
      /--until 9 doesn't exist yet: .* is at version 5/,
    );
    expect((await lockstep(['diff'])).err).toMatch(/give --with URL, or --from VERSION/);
    expect((await lockstep(['diff', '--from', '1', '--with', url])).exitCode).toBe(2);
  });

  test('of versions that the history has lost exits with 5', async () => {
    original.version = 10;
    original.dataSet.deltas.begin(original.tip);
    const run = await lockstep(['diff', '--from', '3']);
    expect([run.exitCode, run.err]).toEqual([5, expect.stringContaining('no longer in')]);
  });
});

describe('watch', () => {
  test('prints each change as a line, from a version on, and ends when it is told to', async () => {
    await put(['a', 1]);
    await put(['b', 2]);
    const all = await lockstep(['watch', '--since', '0', '--count', '2']);
    expect(all.exitCode).toBe(0);
    expect(
      all.out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { operations: unknown }).operations),
    ).toEqual([[{ put: ['a', 1] }], [{ put: ['b', 2] }]]);
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = lockstep(['watch'], {
      fetch: async (input, init) => {
        const answer = await fetch(input, init);
        // It listens from now on.
        if (urlOf(input).includes('/v1/feed/')) setImmediate(() => void put(['c', 3]));
        return answer;
      },
      stopSignal: () => stop.signal,
      out: (text) => {
        seen.push(text);
        stop.abort();
      },
    });
    expect((await watching).exitCode).toBe(0);
    expect(seen.map((line) => (JSON.parse(line) as { version: number }).version)).toEqual([3]);
  });

  test('goes on where it was when the connection breaks', async () => {
    await put(['a', 1]);
    let connections = 0;
    const stop = new AbortController();
    const proxy = createHttpServer((request, response) => {
      connections += 1;
      const isFirst = connections === 1;
      void fetch(`${url}${request.url ?? ''}`, { signal: stop.signal })
        .then(async (answer) => {
          response.writeHead(answer.status, { 'content-type': 'application/x-ndjson' });
          for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
            response.write(chunk);
            // Cut in the middle of the life of a feed, after it has brought something.
            if (isFirst && Buffer.from(chunk).includes('"version":1,')) setImmediate(() => request.socket.destroy());
          }
        })
        .catch(() => undefined);
    });
    const to = await listening(proxy);
    const told: string[] = [];
    const waited: number[] = [];
    const versions: number[] = [];
    const client = new Client({ url: new URL(to), fetch });
    const changes = followFeed(client, 'prices', {
      since: 0,
      signal: stop.signal,
      onBreak: (reason, version) => told.push(`${reason.includes('cut the connection')} after ${version}`),
      onBack: () => told.push('back'),
      wait: async (pauseMs) => {
        waited.push(pauseMs);
        await put(['b', 2]);
      },
    });
    for await (const { version } of changes) {
      versions.push(version);
      if (versions.length === 2) break;
    }
    stop.abort();
    proxy.closeAllConnections();
    proxy.close();
    expect(versions).toEqual([1, 2]);
    expect(told).toEqual(['true after 1', 'back']);
    expect(waited).toEqual([250]);
  });

  test('a node that was never there, and a history that is lost, are errors', async () => {
    original.version = 10;
    original.dataSet.deltas.begin(original.tip);
    const lost = await lockstep(['watch', '--since', '2']);
    expect([lost.exitCode, lost.out]).toEqual([5, '']);
    await server.close();
    expect((await lockstep(['watch', '--since', '2', '--data-set', 'prices'])).exitCode).toBe(17);
  });
});

describe('completion', () => {
  /** What bash would offer for these words, the last one being typed. */
  async function offered(...words: string[]): Promise<readonly string[]> {
    const { out: script } = await runLockstep(['completion', 'bash']);
    const asking = `${script}\nCOMP_WORDS=(lockstep ${words.map((word) => `'${word}'`).join(' ')})\nCOMP_CWORD=${words.length}\n_lockstep\nprintf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['--norc', '-c', asking], { cwd: folder, encoding: 'utf8' }).trim().split('\n');
  }

  test('offers commands, flags, and the values of flags and arguments', async () => {
    expect(await offered('st')).toEqual(['status']);
    expect(await offered('')).toEqual(expect.arrayContaining(['master', 'status', 'completion', 'help']));
    expect(await offered('key', 'r')).toEqual(['rotate']);
    expect(await offered('status', '--wa')).toEqual(['--watch']);
    expect(await offered('put', '--phases', '')).toEqual(['one', 'two']);
    expect(await offered('key', 'rotate', '--step', 'sw')).toEqual(['switch']);
    expect(await offered('completion', 'f')).toEqual(['fish']);
    expect(await offered('help', 'load')).toEqual(['load']);
    expect(await offered('--he')).toEqual(['--help']);
    expect(await offered('get', '--phases')).toEqual(['']);
  });

  test('offers files where a file is wanted', async () => {
    await put(['a', 1]);
    await lockstep(['export', join(folder, 'out.ndjson')]);
    expect(await offered('load', 'ou')).toEqual(['out.ndjson']);
    expect(await offered('master', '--keys', 'ou')).toEqual(['out.ndjson']);
    expect(await offered('get', 'ou')).toEqual(['']);
  });

  test.each(['bash', 'zsh', 'fish'])('%s knows every command and every flag there is', async (shell) => {
    const { out, exitCode } = await runLockstep(['completion', shell]);
    expect(exitCode).toBe(0);
    const commands = completionsOf(createProgram({ ...silent }));
    expect(commands.length).toBeGreaterThan(20);
    for (const { path, flags, subcommands } of commands)
      for (const { word } of [...flags, ...subcommands])
        expect(out, `${path} ${word}`).toContain(word.replace(/^--/, ''));
  });
});

function urlOf(input: Parameters<typeof fetch>[0]): string {
  return input instanceof Request ? input.url : input.toString();
}

const silent: Shell = {
  out: () => undefined,
  err: () => undefined,
  isInteractive: false,
  fetch,
  input: (async function* () {})(),
  exitCode: 0,
};

async function listening(proxy: Server): Promise<string> {
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}
