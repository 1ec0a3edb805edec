import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createProgram } from '../../../cli/program.js';
import type { Shell } from '../../../cli/shell.js';
import { keyValue as originals } from '../../../master/index.js';
import type { Outcome } from '../../../shared/protocol/kernel/outcome.js';
import type { SlaveKeyValue } from '../../../slave/index.js';
import { keyValue as copies } from '../../../slave/index.js';
import { RouteTable } from '../../../master/user/route-table.example.js';
import { Loopback } from '../process/loopback.js';
import { blocksOf, callable, pages, typeProblems } from './code.js';

/** Code in documents is a promise: it compiles against the real API, and does what the text around it says. */

const readme = await blocksOf('README.md', 'ts');
const userLayer = await blocksOf('docs/user-layer.md', 'ts');
const embedding = await blocksOf('docs/embedding.md', 'ts');

/** What a block without imports of its own takes for granted. */
const granted = `
import { keyValue, type Master, type MasterDataSet, type PutOperation } from 'lockstep/master';
import { keyValue as copies, type Slave } from 'lockstep/slave';
interface Price { readonly cents: number }
declare const master: Master;
declare const slave: Slave;
declare function isPrice(operation: unknown): boolean;
export type { MasterDataSet, PutOperation };
void keyValue; void copies;
`;

/** What a block uses, and an earlier block of its page has made. */
const made: Readonly<Record<string, string>> = {
  prices: "import type { MasterKeyValue } from 'lockstep/master'; declare const prices: MasterKeyValue<Price>;",
  copy: "import type { SlaveKeyValue } from 'lockstep/slave'; declare const copy: SlaveKeyValue<Price>;",
  version: 'declare const version: number;',
  core: "import type { SlaveCore } from '../slave/service/core/slave-core.js'; declare const core: SlaveCore;",
  input: "import type { SlaveInput } from '../slave/service/core/io.js'; declare const input: SlaveInput;",
  nowMs: 'declare const nowMs: number;',
  signal: 'declare const signal: AbortSignal;',
};

function madeFor(code: string): string {
  return Object.entries(made)
    .filter(([name]) => new RegExp(`\\b${name}\\b`).test(code) && !new RegExp(`const ${name}\\b`).test(code))
    .map(([, declaration]) => `${declaration}\n`)
    .join('');
}

function blockWith(blocks: readonly { readonly code: string }[], text: string): string {
  const found = blocks.filter(({ code }) => code.includes(text));
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} blocks contain ${text}`);
  return found[0].code;
}

describe('the code in README.md', () => {
  test('and on every other page compiles against the real API', async () => {
    const all = (await Promise.all((await pages()).map((page) => blocksOf(page, 'ts')))).flat();
    const blocks = all.map(({ document, line, code }) => {
      const own = /^import /m.test(code);
      const missing =
        /new RouteTable/.test(code) && !/class RouteTable/.test(code)
          ? "import { RouteTable } from '../master/user/route-table.example.js';\n"
          : '';
      // Two sides in one block, as the text says in a comment: each has a keyValue of its own.
      const sides = code.replaceAll(/(slave\.register\('prices', )keyValue/g, '$1copies');
      return {
        name: `${document.replaceAll(/\W/g, '-')}-${line}`,
        code: own ? code : `${granted}${missing}${madeFor(code)}${sides}`,
      };
    });
    expect(readme.length).toBeGreaterThanOrEqual(2);
    expect(userLayer.length).toBeGreaterThanOrEqual(4);
    expect(embedding.length).toBeGreaterThanOrEqual(6);
    expect(all.filter(({ document }) => document === 'docs/metrics.md')).toHaveLength(1);
    const wrong = {
      name: 'wrong',
      code: "import { Master } from 'lockstep/master';\nawait Master.open({ stores: 1 });\nexport {};",
    };
    const problems = typeProblems([...blocks, wrong]);
    expect(problems.filter((problem) => !problem.startsWith('wrong.ts'))).toEqual([]);
    expect(problems, 'the check bites').toHaveLength(1);
  }, 120_000);

  test('runs: the slave shows what the master changed', async () => {
    await using group = await Loopback.start();
    const logged: unknown[][] = [];
    let shown: (value: unknown) => void = () => undefined;
    const seen = new Promise<unknown>((resolve) => {
      shown = resolve;
    });
    const slave = callable(
      blockWith(readme, "from 'lockstep/slave'"),
      {
        Slave: { open: ({ name }: { readonly name: string }) => group.slave(name) },
        keyValue: copies,
        console: { log: (...values: unknown[]) => void logged.push(values) },
        shown,
      },
      "await prices.reached(1, { timeoutMs: 20000 }); shown(prices.get('sku-1'));",
    );
    const master = callable(
      blockWith(readme, "from 'lockstep/master'"),
      { Master: { open: () => group.master() }, keyValue: originals, seen },
      "return { outcome, value: await seen, again: await prices.change([{ put: ['sku-2', { cents: -1 }] }], { voters: 1 }) };",
    );
    const [ended] = await Promise.all([
      master() as Promise<{ outcome: Outcome; value: unknown; again: Outcome }>,
      slave(),
    ]);
    expect(ended.outcome.kind).toBe('committed');
    expect(ended.value).toEqual({ cents: 999 });
    expect(logged).toHaveLength(1);
    // The second change is put to a slave that has left by now, or that vetoes it: it never commits.
    expect(ended.again.kind).toBe('aborted');
  });

  test('names commands that there are', async () => {
    const shell: Shell = {
      out: () => undefined,
      err: () => undefined,
      isInteractive: false,
      fetch,
      input: (async function* () {})(),
      exitCode: 0,
    };
    const commands = createProgram(shell).commands.map((command) => command.name());
    const used = (await blocksOf('README.md', 'console')).flatMap(({ code }) =>
      [...code.matchAll(/(?:npx lockstep|npm run lockstep --) (\w+)/g)].map(([, name]) => name ?? ''),
    );
    expect(used.length).toBeGreaterThanOrEqual(5);
    for (const name of used) expect(commands).toContain(name);
  });
});

describe('the code in docs/user-layer.md', () => {
  test('runs: key-value on both sides', async () => {
    await using group = await Loopback.start();
    const run = callable(
      blockWith(userLayer, 'const copy = await').replace(
        "slave.register('prices', keyValue",
        "slave.register('prices', copies",
      ),
      {
        master: await group.master(),
        slave: await group.slave('s1'),
        keyValue: originals,
        copies,
        isPrice: () => true,
      },
      "await copy.reached(1, { timeoutMs: 20000 }); return copy.get('sku-1');",
    );
    expect(await run()).toEqual({ cents: 999 });
  });

  test('runs: the table of routes', async () => {
    await using group = await Loopback.start();
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-routes-'));
    try {
      const run = callable(
        blockWith(userLayer, 'new RouteTable'),
        {
          master: await group.master(),
          RouteTable: class extends RouteTable {
            constructor(file: string) {
              super(join(folder, file));
            }
          },
        },
        'return { outcome, routes: table.routes };',
      );
      expect(await run()).toMatchObject({ outcome: { kind: 'committed' }, routes: { '10.0.0.0/8': '192.0.2.1' } });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('the code in docs/embedding.md', () => {
  test('runs: open, read, reach, listen, follow, refuse', async () => {
    await using group = await Loopback.start();
    const said: unknown[][] = [];
    const controller = new AbortController();
    const followed = (...values: unknown[]): void => {
      said.push(values);
      controller.abort();
    };
    const master = await group.master();
    const handle = { register: master.register.bind(master), [Symbol.asyncDispose]: () => Promise.resolve() };
    const granted = {
      master,
      slave: await group.slave('s1'),
      Master: { open: () => Promise.resolve(handle) },
      keyValue: originals,
      copies,
      signal: controller.signal,
      console: { log: followed, warn: (...values: unknown[]) => void said.push(values) },
    };
    const code = [
      blockWith(embedding, 'const copy = await'),
      'const following = (async () => {',
      blockWith(embedding, 'copy.changes('),
      '})();',
      blockWith(embedding, "master.on('vetoed'"),
      // In a function of its own: it opens and closes a master, which here is another handle of the one above.
      'const outcome = await (async () => {',
      blockWith(embedding, 'const prices = await'),
      'return outcome; })();',
      'await copy.reached(1, { timeoutMs: 20000 }); await following;',
    ].join('\n');
    const run = callable(code, granted, 'return { outcome, total, value: copy.get("sku-1") };');
    expect(await run()).toMatchObject({ outcome: { kind: 'committed' }, total: 0, value: { cents: 999 } });
    expect(said).toEqual([[['sku-1', { cents: 999 }]]]);
  });

  test('runs: the refusal of what is ten times the old price', async () => {
    await using group = await Loopback.start();
    const master = await group.master();
    const prices = await master.register('prices', originals<{ cents: number }>());
    const run = callable(
      blockWith(embedding, 'const careful = await'),
      { slave: await group.slave('s1'), copies },
      'return careful;',
    );
    const careful = (await run()) as SlaveKeyValue<{ cents: number }>;
    await prices.change([{ put: ['sku-1', { cents: 5 }] }]);
    await careful.reached(1, { timeoutMs: 20_000 });
    expect(await prices.change([{ put: ['sku-1', { cents: 50 }] }], { voters: 'all' })).toMatchObject({
      kind: 'aborted',
      refusals: [{ node: 's1', reason: 'put sku-1: ten times the old price' }],
    });
    expect((await prices.change([{ put: ['sku-1', { cents: 49 }] }], { voters: 'all' })).kind).toBe('committed');
  });

  test('runs: the subscription to a diagnostics channel', async () => {
    await using group = await Loopback.start();
    const said: unknown[] = [];
    let stop = (): void => undefined;
    const subscribeForNow = (name: string, subscriber: (message: unknown) => void): void => {
      subscribe(name, subscriber);
      stop = () => void unsubscribe(name, subscriber);
    };
    const block = blockWith(embedding, "from 'node:diagnostics_channel'");
    await callable(
      block,
      { subscribe: subscribeForNow, console: { log: (text: string) => void said.push(text) } },
      '',
    )();
    try {
      const slave = await group.slave('s1');
      const copy = await slave.register('prices', copies());
      const prices = await (await group.master()).register('prices', originals());
      await prices.change([{ put: ['sku-1', { cents: 999 }] }]);
      await copy.reached(1, { timeoutMs: 20_000 });
    } finally {
      stop();
    }
    expect(said).toEqual(['s1 shows version 1']);
  });
});

describe('the validator in docs/cli.md', () => {
  test('accepts and refuses as it says', async () => {
    const [block] = await blocksOf('docs/cli.md', 'js');
    const module = (await import(`data:text/javascript,${encodeURIComponent(block?.code ?? '')}`)) as {
      validate: (operation: object, context: { readonly current?: unknown; readonly dataSet: string }) => unknown;
    };
    expect(module.validate({ put: ['sku-1', { cents: 5 }] }, { dataSet: 'default' })).toBe(true);
    expect(module.validate({ put: ['sku-1', { cents: 0 }] }, { dataSet: 'default' })).toBe('cents must be positive');
    expect(module.validate({ delete: 'sku-1' }, { dataSet: 'default' })).toBe(true);
  });
});

describe('the JSON in docs/http.md', () => {
  test('is JSON', async () => {
    const blocks = await blocksOf('docs/http.md', 'json');
    expect(blocks.length).toBeGreaterThan(0);
    for (const { code } of blocks) expect(() => JSON.parse(code) as unknown).not.toThrow();
  });
});
