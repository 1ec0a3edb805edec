import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import PQueue from 'p-queue';
import { codeFolders } from '../checks/files.js';
import { applyEdit } from './mutation.js';
import type { CaughtBy, Mutation } from './mutation.js';

/**
 * The mutation drill: breaks each guarantee on purpose, in a copy of the tree, and sees the named checker fail. The
 * unbroken copy runs the same commands first and has to pass, or a failure would prove nothing.
 */

export type Verdict = 'caught' | 'survived' | 'caught by another' | 'not applied' | 'did not run';

export interface DrillResult {
  readonly mutation: Mutation;
  readonly verdict: Verdict;
  readonly detail: string;
  readonly seconds: number;
}

export interface DrillOptions {
  /** The tree that is copied. */
  readonly root: string;
  readonly mutations: readonly Mutation[];
  readonly timeoutMs: number;
  /** How many run at the same time. */
  readonly workers: number;
  readonly onResult?: (result: DrillResult) => void;
}

interface RunResult {
  readonly exitCode: number;
  readonly output: string;
}

const copiedFiles = ['package.json', 'tsconfig.json', 'vitest.config.ts'] as const;

export async function runDrill(options: DrillOptions): Promise<DrillResult[]> {
  const queue = new PQueue({ concurrency: options.workers });
  const unbroken = new Map<string, Promise<RunResult>>();
  const judge = async (mutation: Mutation): Promise<DrillResult> => {
    const startedMs = performance.now();
    const command = unbrokenCommandFor(mutation.caughtBy, options.mutations);
    const key = command.join(' ');
    const baseline = unbroken.get(key) ?? inCopy(options.root, (copy) => run(copy, command, options.timeoutMs));
    unbroken.set(key, baseline);
    const problem = unbrokenProblem(await baseline, mutation.caughtBy);
    const { verdict, detail } =
      problem === null
        ? await verdictOn(options, mutation)
        : { verdict: 'did not run' as const, detail: `the unbroken tree: ${problem}` };
    const result = { mutation, verdict, detail, seconds: (performance.now() - startedMs) / 1000 };
    options.onResult?.(result);
    return result;
  };
  return Promise.all(options.mutations.map((mutation) => queue.add(() => judge(mutation))));
}

/** Null when the unbroken copy passes without naming the checker. */
function unbrokenProblem({ exitCode, output }: RunResult, caughtBy: CaughtBy): string | null {
  if (exitCode !== 0) return `fails by itself (exit code ${exitCode}): ${lastLines(output)}`;
  if (caughtBy.kind === 'checker' && nameIn(caughtBy).test(output)) return `names ${caughtBy.id} although it passes`;
  return null;
}

async function verdictOn(options: DrillOptions, mutation: Mutation): Promise<{ verdict: Verdict; detail: string }> {
  return inCopy(options.root, async (copy) => {
    for (const edit of mutation.edits) {
      const path = join(copy, edit.file);
      if (!existsSync(path)) return { verdict: 'not applied', detail: `there is no ${edit.file}` };
      const applied = applyEdit(await readFile(path, 'utf8'), edit);
      if (!applied.ok) return { verdict: 'not applied', detail: `${edit.file}: ${applied.reason}` };
      await writeFile(path, applied.text);
    }

    const { exitCode, output } = await run(copy, commandOf(mutation.caughtBy), options.timeoutMs);
    if (exitCode === 0) return { verdict: 'survived', detail: lastLines(output) };
    if (!hasFailedCount(output))
      return { verdict: 'did not run', detail: `exit code ${exitCode}: ${lastLines(output)}` };
    if (!nameIn(mutation.caughtBy).test(output)) return { verdict: 'caught by another', detail: lastLines(output) };
    const line = output.split('\n').find((candidate) => nameIn(mutation.caughtBy).test(candidate)) ?? '';
    return { verdict: 'caught', detail: line.trim() };
  });
}

async function inCopy<Result>(root: string, work: (copy: string) => Promise<Result>): Promise<Result> {
  const copy = await mkdtemp(join(tmpdir(), 'lockstep-mutant-'));
  try {
    for (const name of [...codeFolders, ...copiedFiles]) {
      if (existsSync(join(root, name))) await cp(join(root, name), join(copy, name), { recursive: true });
    }
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    return await work(copy);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** Stops at the first seed that the named checker fails in: the others would say nothing more. */
function commandOf(caughtBy: CaughtBy): readonly string[] {
  return caughtBy.kind === 'checker'
    ? [...simulation(caughtBy.seeds, caughtBy.args), '--even', '--until', caughtBy.id]
    : testRun(caughtBy.file);
}

/** The unbroken tree runs once for all mutations of a kind: every seed that any of them is judged by. */
function unbrokenCommandFor(caughtBy: CaughtBy, mutations: readonly Mutation[]): readonly string[] {
  if (caughtBy.kind === 'test') return testRun(caughtBy.file);
  const args = (caughtBy.args ?? []).join(' ');
  const seeds = mutations.flatMap(({ caughtBy: other }) =>
    other.kind === 'checker' && (other.args ?? []).join(' ') === args ? [other.seeds] : [],
  );
  return simulation(Math.max(caughtBy.seeds, ...seeds), caughtBy.args);
}

function simulation(seeds: number, args: readonly string[] = []): readonly string[] {
  return ['--import', 'tsx', 'scripts/sim.ts', '--processes', '1', '--seeds', String(seeds), ...args];
}

function testRun(file: string): readonly string[] {
  return ['node_modules/vitest/vitest.mjs', 'run', file];
}

/** How the output names what caught it. A test is named on the line that marks its failure. */
function nameIn(caughtBy: CaughtBy): RegExp {
  const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return caughtBy.kind === 'checker'
    ? // As a failure is printed; the table of coverage names every guarantee.
      new RegExp(`\\b${escaped(caughtBy.id)} at \\d`)
    : new RegExp(`(?:FAIL|×).*${escaped(caughtBy.title)}`);
}

/** A run that only crashed (a syntax error, say) proves nothing: it has to have counted a failure. */
function hasFailedCount(output: string): boolean {
  return /\b[1-9]\d* failed\b/.test(output);
}

function lastLines(output: string): string {
  return output
    .trimEnd()
    .split('\n')
    .slice(-3)
    .map((line) => line.trim())
    .join(' · ')
    .slice(-300);
}

function run(folder: string, command: readonly string[], timeoutMs: number): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    // Its own process group, so that a run past its time ends with all of its workers.
    const child = spawn(process.execPath, [...command], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', LOCKSTEP_TEST_REPORT: undefined },
    });
    const chunks: Buffer[] = [];
    const end = setTimeout(() => {
      chunks.push(Buffer.from(`\nran longer than ${timeoutMs} ms`));
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (exitCode) => {
      clearTimeout(end);
      resolve({ exitCode: exitCode ?? 1, output: Buffer.concat(chunks).toString('utf8') });
    });
  });
}
