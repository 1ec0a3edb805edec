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
 * unbroken copy runs the same seeds and test files first and has to pass, or a failure would prove nothing.
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
  await using copies = new Copies(options.root);
  const unbroken = new Map<string, Promise<RunResult>>();
  const judge = async (mutation: Mutation): Promise<DrillResult> => {
    const startedMs = performance.now();
    const command = unbrokenCommandFor(mutation.caughtBy, options.mutations);
    const key = command.join(' ');
    const baseline = unbroken.get(key) ?? copies.use((copy) => run(copy, command, options.timeoutMs));
    unbroken.set(key, baseline);
    const problem = unbrokenProblem(await baseline, mutation.caughtBy);
    const { verdict, detail } =
      problem === null
        ? await copies.use((copy) => verdictOn(copy, mutation, options.timeoutMs))
        : { verdict: 'did not run' as const, detail: `the unbroken tree: ${problem}` };
    const result = { mutation, verdict, detail, seconds: (performance.now() - startedMs) / 1000 };
    options.onResult?.(result);
    return result;
  };
  return await Promise.all(options.mutations.map((mutation) => queue.add(() => judge(mutation))));
}

/** Null when the unbroken copy passes without naming the checker. */
function unbrokenProblem({ exitCode, output }: RunResult, caughtBy: CaughtBy): string | null {
  if (exitCode !== 0) return `fails by itself (exit code ${exitCode}): ${lastLines(output)}`;
  if (caughtBy.kind === 'checker' && nameIn(caughtBy).test(output)) return `names ${caughtBy.id} although it passes`;
  return null;
}

async function verdictOn(
  copy: string,
  mutation: Mutation,
  timeoutMs: number,
): Promise<{ verdict: Verdict; detail: string }> {
  const whole = new Map<string, string>();
  try {
    for (const edit of mutation.edits) {
      const path = join(copy, edit.file);
      if (!existsSync(path)) return { verdict: 'not applied', detail: `there is no ${edit.file}` };
      const text = await readFile(path, 'utf8');
      const applied = applyEdit(text, edit);
      if (!applied.ok) return { verdict: 'not applied', detail: `${edit.file}: ${applied.reason}` };
      if (!whole.has(path)) whole.set(path, text);
      await writeFile(path, applied.text);
    }
    return judged(await run(copy, brokenCommandFor(mutation.caughtBy), timeoutMs), mutation.caughtBy);
  } finally {
    for (const [path, text] of whole) await writeFile(path, text);
  }
}

function judged({ exitCode, output }: RunResult, caughtBy: CaughtBy): { verdict: Verdict; detail: string } {
  if (exitCode === 0) return { verdict: 'survived', detail: lastLines(output) };
  if (!hasFailedCount(output)) return { verdict: 'did not run', detail: `exit code ${exitCode}: ${lastLines(output)}` };
  if (!nameIn(caughtBy).test(output)) return { verdict: 'caught by another', detail: lastLines(output) };
  const line = output.split('\n').find((candidate) => nameIn(caughtBy).test(candidate)) ?? '';
  return { verdict: 'caught', detail: line.trim() };
}

/** Copies of the tree, one for each that works at the same time: whole whenever nobody uses them. */
class Copies implements AsyncDisposable {
  readonly #root: string;
  readonly #made: string[] = [];
  readonly #free: string[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  async use<Result>(work: (copy: string) => Promise<Result>): Promise<Result> {
    const copy = this.#free.pop() ?? (await this.#make());
    try {
      return await work(copy);
    } finally {
      this.#free.push(copy);
    }
  }

  async #make(): Promise<string> {
    const copy = await mkdtemp(join(tmpdir(), 'lockstep-mutant-'));
    this.#made.push(copy);
    for (const name of [...codeFolders, ...copiedFiles]) {
      if (existsSync(join(this.#root, name))) await cp(join(this.#root, name), join(copy, name), { recursive: true });
    }
    await symlink(join(this.#root, 'node_modules'), join(copy, 'node_modules'));
    return copy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const copy of this.#made) await rm(copy, { recursive: true, force: true });
  }
}

/** Stops at the first seed that the named checker fails in, and runs the named test alone: the others would say nothing more. */
function brokenCommandFor(caughtBy: CaughtBy): readonly string[] {
  return caughtBy.kind === 'checker'
    ? [...simulation(caughtBy.seeds, caughtBy.args), '--until', caughtBy.id]
    : [...testRun(caughtBy.file), '--testNamePattern', escaped(caughtBy.title)];
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
  return ['--import', 'tsx', 'scripts/sim.ts', '--processes', '1', '--seeds', String(seeds), '--even', ...args];
}

function testRun(file: string): readonly string[] {
  // What is translated is kept beside the copy, by content: of one run to the next a file or two differ.
  const cache = ['--experimental.fsModuleCache', '--experimental.fsModuleCachePath=.translated'];
  return ['node_modules/vitest/vitest.mjs', 'run', file, ...cache];
}

/** How the output names what caught it. A test is named on the line that marks its failure. */
function nameIn(caughtBy: CaughtBy): RegExp {
  return caughtBy.kind === 'checker'
    ? // As a failure is printed; the table of coverage names every guarantee.
      new RegExp(`\\b${escaped(caughtBy.id)} at \\d`)
    : new RegExp(`(?:FAIL|×).*${escaped(caughtBy.title)}`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
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
