import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Where a machine-readable report goes; `.ci/run` sets it and sums up from there. */
const reportFile = process.env['LOCKSTEP_TEST_REPORT'];

export default defineConfig({
  // As `paths` in tsconfig.json: examples import the package by its name.
  resolve: {
    alias: {
      'lockstep/master': join(import.meta.dirname, 'master/index.ts'),
      'lockstep/slave': join(import.meta.dirname, 'slave/index.ts'),
      'lockstep/activation': join(import.meta.dirname, 'activation/index.ts'),
      'lockstep/testing': join(import.meta.dirname, 'tests/integration/sim/index.ts'),
    },
  },
  test: {
    include: ['{master,slave,activation,shared,cli,scripts,examples}/**/*.test.ts', 'tests/integration/**/*.test.ts'],
    // Where tests that start `lockstep` keep it compiled.
    globalSetup: 'tests/integration/process/compiled.ts',
    // Processes, not threads: the native store and the sockets of one test file can't disturb another's.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    passWithNoTests: false,
    dangerouslyIgnoreUnhandledErrors: false,
    allowOnly: false,
    restoreMocks: true,
    reporters: reportFile === undefined ? ['default'] : ['default', 'json'],
    ...(reportFile === undefined ? {} : { outputFile: { json: reportFile } }),
  },
});
