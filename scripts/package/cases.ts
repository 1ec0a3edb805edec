import { deepStrictEqual, ok } from 'node:assert';
import { randomInt } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../tests/integration/process/loopback.js';
import { root, run, type Packed } from './installed.js';

type Case = readonly [title: string, run: (packed: Packed) => Promise<void>];

export async function runCases(packed: Packed): Promise<{ readonly passed: number; readonly failed: number }> {
  let failed = 0;
  for (const [title, check] of cases) {
    const problem = await check(packed).then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (problem !== null) failed += 1;
    console.log(problem === null ? `ok    ${title}` : `FAIL  ${title}\n      ${problem.replaceAll('\n', '\n      ')}`);
  }
  return { passed: cases.length - failed, failed };
}

/** Code, its types, what is read beside it, and nothing that only a developer needs. */
const wanted = [
  /^dist\/(cli|master|slave|activation|shared|tests\/integration\/sim)\/.*\.(js|d\.ts)$/,
  // The dashboard's page, which isn't compiled.
  /^master\/dashboard\/page\/[^/]+\.(html|css|svg|js)$/,
  /^master\/dashboard\/page\/.*\.(html|css|js|svg)$/,
  /^docs\/.*\.(md|png|svg)$/,
  /^deploy\//,
  /^(README|CHANGELOG)\.md$/,
  /^(LICENSE|package\.json)$/,
];
const unwanted = [/\.test\./, /\.example\./, /\.map$/, /\.key$/, /\.tgz$/, /(^|\/)node_modules\//, /(^|\/)data\//];
const mostBytes = 3 * 1024 * 1024;

/** The same program through each entry, typed as strictly as can be. */
const consumer = `
import { Master, keyValue, type ChangeOutcome } from 'lockstep/master';
import { Slave, keyValue as copies } from 'lockstep/slave';
import { simulate, type SimulateResult } from 'lockstep/testing';

interface Price { readonly cents: number }
await using master = await Master.open({ store: './data/master', group: process.argv[2] ?? '' });
await using slave = await Slave.open({ name: 's1', store: './data/s1', group: process.argv[2] ?? '' });
const original = await master.register('prices', keyValue<Price>());
const copy = await slave.register(
  'prices',
  copies<Price>({ validate: (operation) => !('put' in operation) || operation.put[1].cents > 0 || 'cents must be positive' }),
);
const endMs = performance.now() + 20_000;
let outcome: ChangeOutcome;
do {
  // Until the slave has joined there is nobody to vote.
  outcome = await original.change([{ put: ['sku-1', { cents: 999 }] }], { voters: 1 });
  await new Promise((resolve) => setTimeout(resolve, 20));
} while (outcome.kind !== 'committed' && performance.now() < endMs);
if (outcome.kind !== 'committed') throw new Error('the change did not commit');
await copy.reached(outcome.tip.version, { timeoutMs: 20000 });
const price: Price | undefined = copy.get('sku-1');
const refused = await original.change([{ put: ['sku-1', { cents: -1 }] }], { voters: 1 });
const simulated: SimulateResult = await simulate({ seeds: 1 });
console.log(JSON.stringify({ price, refused: refused.kind, simulated: simulated.passed }));
// @ts-expect-error -- types reach this far
const wrong: string = price;
void wrong;
`;

/** Starts the command, asks for the page and for all that it names, and stops the command. */
const dashboardProbe = `
import { spawn } from 'node:child_process';
const child = spawn(
  process.execPath,
  ['node_modules/lockstep/dist/cli/main.js', 'master', '--group', process.argv[2], '--http', '127.0.0.1:0', '--store', './data/dashboard'],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
let said = '';
for await (const chunk of child.stdout) {
  said += chunk;
  if (said.includes('\\n')) break;
}
try {
  const url = /(http:\\/\\/\\S+)/.exec(said)[1];
  const page = await fetch(url + '/');
  const names = [...(await page.text()).matchAll(/(?:src|href)="\\/?(dashboard\\/[^"]+)"/g)].map(([, name]) => name);
  const files = {};
  for (const name of names) files[name] = (await fetch(url + '/' + name)).status;
  console.log(JSON.stringify({ page: page.status, files }));
} finally {
  child.kill('SIGTERM');
}
`;

const cases: readonly Case[] = [
  [
    'the tarball holds what it should, and no more',
    async ({ files, bytes }) => {
      const paths = files.map(({ path }) => path);
      deepStrictEqual(
        paths.filter((path) => !wanted.some((pattern) => pattern.test(path))),
        [],
        'nobody asked for these',
      );
      deepStrictEqual(
        paths.filter((path) => unwanted.some((pattern) => pattern.test(path))),
        [],
        'not to be shipped',
      );
      for (const path of ['README.md', 'LICENSE', 'deploy/wireshark/lockstep.lua']) ok(paths.includes(path), path);
      ok(paths.includes('master/dashboard/page/index.html'), 'the dashboard');
      ok(bytes < mostBytes, `${bytes} bytes are packed`);
    },
  ],
  [
    'each module and each command is there',
    async ({ manifest, installed }) => {
      const targets = Object.values(manifest.exports).flatMap((target) =>
        typeof target === 'string' ? [target] : Object.values(target),
      );
      ok(targets.length >= 7);
      for (const target of targets) ok((await stat(join(installed, target))).isFile(), target);
      for (const target of Object.values(manifest.bin)) {
        const text = await readFile(join(installed, target), 'utf8');
        ok(text.startsWith('#!/usr/bin/env node\n'), `${target} names no interpreter`);
      }
    },
  ],
  [
    'publint finds nothing',
    async ({ tarball, host }) => {
      const ran = await run(
        process.execPath,
        [join(root, 'node_modules/publint/src/cli.js'), 'run', tarball, '--strict'],
        { cwd: host },
      );
      ok(ran.exitCode === 0, `${ran.out}${ran.err}`);
    },
  ],
  [
    'the types resolve as the modules do (node16 and bundlers; this package has ES modules only)',
    async ({ tarball, host }) => {
      const cli = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
      const ran = await run(process.execPath, [cli, tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'], {
        cwd: host,
      });
      ok(ran.exitCode === 0, `${ran.out}${ran.err}`);
    },
  ],
  ...(['nodenext', 'node16', 'bundler'] as const).map((resolution): Case => [
    `a host compiles against it: ${resolution}`,
    async ({ host }) => {
      await writeFile(join(host, 'consumer.ts'), consumer);
      const options = {
        target: 'ES2022',
        lib: ['ES2023', 'ESNext.Disposable'],
        module: resolution === 'bundler' ? 'esnext' : resolution,
        moduleResolution: resolution,
        types: ['node'],
        strict: true,
        exactOptionalPropertyTypes: true,
        // The types of the package itself have to hold too.
        skipLibCheck: false,
        outDir: 'out',
      };
      const config = { compilerOptions: options, files: ['consumer.ts'] };
      await writeFile(join(host, 'tsconfig.json'), JSON.stringify(config));
      const ran = await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], { cwd: host });
      ok(ran.exitCode === 0, `${ran.out}${ran.err}`);
    },
  ]),
  [
    'a host runs: master, slave and simulator, with only the packages that are declared',
    async ({ host }) => {
      const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
      const ran = await run(process.execPath, ['out/consumer.js', group], { cwd: host });
      ok(ran.exitCode === 0, `${ran.out}${ran.err}`);
      deepStrictEqual(JSON.parse(ran.out), { price: { cents: 999 }, refused: 'aborted', simulated: 1 });
    },
  ],
  [
    'the API reference is written without a warning: each export is described, each link leads somewhere',
    async ({ host }) => {
      const cli = join(root, 'node_modules/typedoc/bin/typedoc');
      const ran = await run(process.execPath, [cli, '--out', join(host, 'api')], { cwd: root });
      ok(ran.exitCode === 0, `${ran.out}${ran.err}`);
      const pages = await readdir(join(host, 'api'), { recursive: true });
      ok(pages.filter((page) => page.endsWith('.md')).length > 50, `only ${pages.length} pages`);
    },
  ],
  [
    'a module that is not exported stays inside',
    async ({ host }) => {
      const ran = await run(
        process.execPath,
        ['--input-type=module', '-e', "await import('lockstep/dist/cli/program.js')"],
        { cwd: host },
      );
      ok(ran.exitCode !== 0 && ran.err.includes('ERR_PACKAGE_PATH_NOT_EXPORTED'), ran.err);
    },
  ],
  [
    'the installed master serves its dashboard, page and files',
    async ({ host }) => {
      const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
      await writeFile(join(host, 'dashboard.mjs'), dashboardProbe);
      const ran = await run(process.execPath, ['dashboard.mjs', group], { cwd: host });
      ok(ran.exitCode === 0, `${ran.out}${ran.err}`);
      const { page, files } = JSON.parse(ran.out) as { page: number; files: Readonly<Record<string, number>> };
      ok(page === 200 && Object.keys(files).length >= 3, ran.out);
      for (const [file, status] of Object.entries(files)) ok(status === 200, `${file}: ${status}`);
    },
  ],
  [
    'the command says what it can do, and does it',
    async ({ host, installed, manifest }) => {
      const command = join(installed, manifest.bin['lockstep'] ?? '');
      const help = await run(process.execPath, [command, '--help'], { cwd: host });
      ok(help.exitCode === 0 && help.out.includes('Usage: lockstep'), `${help.out}${help.err}`);
      const keygen = await run(process.execPath, [command, 'keygen', '--out', 'keys'], { cwd: host });
      ok(keygen.exitCode === 0, keygen.err);
      deepStrictEqual((await stat(join(host, 'keys/master.key'))).mode & 0o777, 0o600);
      const status = await run(process.execPath, [command, 'status', '--to', `127.0.0.1:${await freePort()}`], {
        cwd: host,
      });
      deepStrictEqual(status.exitCode, 17, `${status.out}${status.err}`);
    },
  ],
];
