import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { BinaryContext } from '../shared/binary/serve.js';
import { createLogger } from '../shared/runtime/logging.js';
import type { BinaryFlags } from './binary-flags.js';
import { oneLine } from './exit.js';
import type { Shell } from './shell.js';

const exitOfSecondSignal = 130;
/** Callbacks of a user layer may take 10 s, and then the last answers leave. */
const longestStopMs = 20_000;

/**
 * Runs a binary until it ends or a signal asks it to: the first one lets it settle and say goodbye, the second ends the
 * process at once.
 */
export async function runBinary(
  shell: Shell,
  flags: Pick<BinaryFlags, 'logLevel' | 'logFormat'>,
  run: (context: BinaryContext) => Promise<ExitCode>,
): Promise<ExitCode> {
  const signals = ['SIGTERM', 'SIGINT'] as const;
  let asked = false;
  let onSignal: (signal: string) => void = () => undefined;
  const stop = new Promise<string>((resolve) => {
    onSignal = (signal) => {
      if (asked) process.exit(exitOfSecondSignal);
      asked = true;
      resolve(signal);
      // Not kept alive for: it only ends what hangs.
      setTimeout(() => {
        shell.err(`lockstep: ${signal} did not bring an end within ${longestStopMs} ms; ending now\n`);
        process.exit(exitCodes.bug);
      }, longestStopMs).unref();
    };
  });
  for (const signal of signals) process.on(signal, onSignal);
  const reloads: (() => void)[] = [];
  try {
    return await run({
      log: createLogger({ level: flags.logLevel, format: flags.logFormat }),
      announce: (line) => {
        shell.out(line);
      },
      complain: (line) => {
        shell.err(`lockstep: ${oneLine(line)}\n`);
      },
      stop,
      onReload: (reload) => {
        reloads.push(reload);
        process.on('SIGHUP', reload);
      },
    });
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
    for (const reload of reloads) process.off('SIGHUP', reload);
  }
}
