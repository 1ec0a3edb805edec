import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** The dashboard in a real Chromium: `npm run browser`. Not part of `npm test`, which needs only Node and npm. */
const reportFile = process.env['LOCKSTEP_TEST_REPORT'];

export default defineConfig({
  root: join(import.meta.dirname, '../..'),
  test: {
    include: ['tests/browser/**/*.browser.ts'],
    globalSetup: 'tests/integration/process/compiled.ts',
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
    allowOnly: false,
    reporters: reportFile === undefined ? ['verbose'] : ['verbose', 'json'],
    ...(reportFile === undefined ? {} : { outputFile: { json: reportFile } }),
  },
});
