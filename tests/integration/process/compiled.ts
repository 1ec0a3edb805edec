import { execFile } from 'node:child_process';
import { access, copyFile, mkdir, mkdtemp, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

/**
 * The `lockstep` command as the JavaScript that the package ships, for tests that start it hundreds of times: through tsx,
 * a node takes nearly three times the processor time until it serves. Compiled once in a test run, by the first test file
 * that asks; types are for `npm run check`.
 */
const folderVariable = 'LOCKSTEP_COMPILED';
const root = join(import.meta.dirname, '../../..');
const waitMs = 60_000;

/** Vitest's global set-up: a folder for this run alone, which goes away with it. */
export async function setup(): Promise<void> {
  process.env[folderVariable] = await mkdtemp(join(tmpdir(), 'lockstep-compiled-'));
}

export async function teardown(): Promise<void> {
  const folder = process.env[folderVariable];
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}

/** The path of the main module. Several test files may ask at once, each in a process of its own: one of them compiles. */
export async function compiledLockstep(): Promise<string> {
  const folder = process.env[folderVariable];
  if (folder === undefined)
    throw new Error(`${folderVariable} is not set: vitest.config.ts has to name ${import.meta.filename}`);
  const compiling = join(folder, 'compiling');
  const compiled = join(folder, 'compiled');
  const main = join(compiled, 'cli', 'main.js');
  const succeeds = (attempt: Promise<unknown>): Promise<boolean> => attempt.then(() => true, () => false); // prettier-ignore
  if (await succeeds(access(main))) return main;
  if (await succeeds(mkdir(compiling))) {
    await compileInto(compiling);
    await rename(compiling, compiled);
    return main;
  }
  const endMs = performance.now() + waitMs;
  while (!(await succeeds(access(main)))) {
    if (performance.now() > endMs) throw new Error(`another test file did not compile ${main} within ${waitMs} ms`);
    await wait(25);
  }
  return main;
}

async function compileInto(target: string): Promise<void> {
  await symlink(join(root, 'node_modules'), join(target, 'node_modules'));
  await copyFile(join(root, 'package.json'), join(target, 'package.json'));
  // The dashboard is served as it is written.
  await mkdir(join(target, 'master', 'dashboard'), { recursive: true });
  await symlink(join(root, 'master', 'dashboard', 'page'), join(target, 'master', 'dashboard', 'page'));
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['-p', 'tsconfig.build.json', '--noCheck', '--declaration', 'false', '--outDir', target];
  await promisify(execFile)(process.execPath, [tsc, ...options], { cwd: root });
}
