import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromiumPath } from '../tests/browser/chromium.js';

/**
 * `npm run browser [-- VITEST FLAGS]`: the dashboard in a real Chromium. Ends with "N passed, N failed". Where there is no
 * Chromium nothing is tested: that is said, and in CI it is a failure.
 */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const root = join(import.meta.dirname, '..');

process.exit(chromiumPath() === null ? withoutBrowser() : await run());

function withoutBrowser(): number {
  const inCi = process.env['CI'] !== undefined && process.env['CI'] !== '';
  console.error('NOTHING WAS TESTED: the dashboard needs Chromium, and there is none on this machine.');
  console.error(
    'Install it (Debian: apt-get install chromium), or name it: CHROMIUM=/path/to/chromium npm run browser',
  );
  console.log(inCi ? '0 passed, 1 failed' : '0 passed, 0 failed');
  return inCi ? 1 : 0;
}

async function run(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-browser-report-'));
  const report = join(folder, 'report.json');
  try {
    const vitest = spawn(
      process.execPath,
      [
        join(root, 'node_modules/vitest/vitest.mjs'),
        ...['run', '--config', join(root, 'tests/browser/vitest.config.ts')],
        ...process.argv.slice(2),
      ],
      { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, LOCKSTEP_TEST_REPORT: report } },
    );
    const [exitCode] = (await once(vitest, 'close')) as [number | null];
    const { passed, failed } = await countsOf(report);
    // A run that broke off after its last test has failed as well.
    const failures = exitCode === 0 || failed > 0 ? failed : 1;
    console.log(`${passed} passed, ${failures} failed`);
    return failures === 0 && passed > 0 ? 0 : 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function countsOf(report: string): Promise<{ readonly passed: number; readonly failed: number }> {
  const text = await readFile(report, 'utf8').catch(() => null);
  if (text === null) return { passed: 0, failed: 1 };
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(text) as Report;
  // A file that could not even be loaded has no tests, and still is a failure.
  const unloaded = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length;
  return { passed: numPassedTests, failed: numFailedTests + unloaded };
}
