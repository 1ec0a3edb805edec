import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';

/** What a command sees of the process that it runs in. Tests give their own. */
export interface Shell {
  /** Results, one or more lines; a line break is added. */
  out(text: string): void;
  /** Progress and complaints, as they are. */
  err(text: string): void;
  /** True when a person watches `err`: progress is shown then. */
  readonly isInteractive: boolean;
  readonly fetch: typeof fetch;
  /** What `load -` reads. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Set by the command that ran. */
  exitCode: ExitCode;
}

export function processShell(): Shell {
  return {
    out: (text) => process.stdout.write(`${text}\n`),
    err: (text) => process.stderr.write(text),
    isInteractive: process.stderr.isTTY,
    fetch: (...parameters) => fetch(...parameters),
    input: process.stdin,
    exitCode: exitCodes.ok,
  };
}
