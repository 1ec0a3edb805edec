import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * `npm run crash`: kills a process at every crash point, before and after each step, through the suites that `npm test`
 * takes a part of. Ends with how long each point took, and the count; exit code 1 when one failed.
 */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly duration?: number;
    }[];
  }[];
}

const root = join(import.meta.dirname, '..');

async function main(folder: string): Promise<number> {
  const reportFile = join(folder, 'report.json');
  const child = spawn(
    process.execPath,
    ['node_modules/vitest/vitest.mjs', 'run', 'tests/integration/process/crash-points-'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, LOCKSTEP_CRASH_POINTS: 'all', LOCKSTEP_TEST_REPORT: reportFile },
    },
  );
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve(code ?? 1);
    });
  });
  const text = await readFile(reportFile, 'utf8').catch(() => null);
  if (text === null) {
    console.error(`vitest ended with ${exitCode} and left no report`);
    return 1;
  }
  const report = JSON.parse(text) as Report;
  const points = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  for (const { title, status, duration } of points)
    console.log(`${((duration ?? 0) / 1000).toFixed(1).padStart(6)} s  ${status}  ${title}`);
  // A file that could not even be loaded has no tests, and still is a failure.
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = report.numFailedTests + unloaded.length + (report.numPassedTests === 0 ? 1 : 0);
  console.log(`${report.numPassedTests} passed, ${failed} failed`);
  return exitCode === 0 && failed === 0 ? 0 : 1;
}

const folder = await mkdtemp(join(tmpdir(), 'lockstep-crash-'));
try {
  process.exitCode = await main(folder);
} finally {
  await rm(folder, { recursive: true, force: true });
}
