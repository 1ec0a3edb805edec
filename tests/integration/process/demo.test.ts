import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually } from './lockstep-process.js';

const demo = fileURLToPath(new URL('../../../scripts/demo.ts', import.meta.url));
/** The demo ends within 90 s by itself; the rest is for starting it on a busy machine. */
const limitMs = 120_000;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-demo-test-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Its temporary files go to a folder of the test's own, which must be empty afterwards. */
function start(parameters: readonly string[]): {
  readonly out: () => string;
  readonly ended: Promise<number | null>;
  readonly signal: (name: NodeJS.Signals) => void;
} {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), demo, ...parameters], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  return {
    out: () => out,
    ended: new Promise((resolve) => child.once('close', resolve)),
    signal: (name) => child.kill(name),
  };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What tsx keeps beside is its own. */
async function leftovers(): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('lockstep-'));
}

test('every step of the demo holds, and it leaves nothing behind', { timeout: limitMs }, async () => {
  const run = start(['--json']);
  const exitCode = await run.ended;
  const report = JSON.parse(run.out()) as {
    readonly ok: boolean;
    readonly steps: readonly { readonly title: string; readonly checks: readonly { ok: boolean; text: string }[] }[];
  };
  expect(report.steps.flatMap(({ checks }) => checks.filter(({ ok }) => !ok))).toEqual([]);
  expect(report.steps).toHaveLength(6);
  expect(report.ok).toBe(true);
  expect(exitCode).toBe(0);
  expect(await leftovers()).toEqual([]);
});

test('interrupted, it ends its processes and leaves nothing behind', { timeout: limitMs }, async () => {
  const input = join(folder, 'shop.csv');
  await writeFile(input, 'sku,title,price\np1,One,5\np2,Two,7\n');
  const run = start(['--input', input]);
  const pids = await eventually(
    'the processes of the demo',
    () => {
      const found = [...run.out().matchAll(/process (\d+)/g)].map((match) => Number(match[1]));
      return found.length === 4 ? found : undefined;
    },
    25_000,
    run.out,
  );
  run.signal('SIGINT');
  expect(await run.ended).toBe(130);
  await eventually('the end of its processes', () => (pids.some(isRunning) ? undefined : true));
  expect(await leftovers()).toEqual([]);
});

test('a file that is none is refused by name, and nothing is started', { timeout: limitMs }, async () => {
  const input = join(folder, 'broken.ndjson');
  await writeFile(input, '{"key":"a","value":1}\n{"key":\n');
  const run = start(['--input', input]);
  expect(await run.ended).toBe(1);
  expect(run.out()).toBe('');
  expect(await leftovers()).toEqual([]);
});
