#!/usr/bin/env node
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { endingOf } from './exit.js';
import { runProgram } from './program.js';
import { processShell } from './shell.js';

// Whatever nobody caught is our own bug: one line to report, never a trace on somebody's terminal.
const onBug = (error: unknown): void => {
  process.stderr.write(endingOf(error).text);
  process.exit(exitCodes.bug);
};
process.on('uncaughtException', onBug);
process.on('unhandledRejection', onBug);
// The reader went away (`lockstep get key | head`): nothing is wrong here.
process.stdout.on('error', (error: Error & { code?: string }) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok);
  onBug(error);
});

const shell = processShell();
const parameters = process.argv.slice(2);
await runProgram(shell, parameters);
process.exitCode = shell.exitCode;
// A node that has closed leaves nothing worth waiting for.
if (['master', 'slave', 'data-server', 'cycle-copy'].includes(parameters[0] ?? '')) process.exit(shell.exitCode);
