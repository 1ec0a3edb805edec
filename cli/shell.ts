import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Text and control sequences, as they are. */
  write(text: string): void;
}

/** What a command sees of the process that it runs in. Tests give their own. */
export interface Shell {
  /** Results, one or more lines; a line break is added. */
  out(text: string): void;
  /** Progress and complaints, as they are. */
  err(text: string): void;
  /** True when a person watches `err`: progress is shown then. */
  readonly isInteractive: boolean;
  readonly fetch: typeof fetch;
  /** What `out` is shown on; absent when it is a file or a pipe. */
  readonly terminal?: Terminal;
  /** Aborts when the user asks a command that goes on and on to stop. Absent: it never does. */
  readonly stopSignal?: () => AbortSignal;
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
    ...(process.stdout.isTTY ? { terminal: processTerminal() } : {}),
    stopSignal,
    input: process.stdin,
    exitCode: exitCodes.ok,
  };
}

function processTerminal(): Terminal {
  return {
    get columns() {
      return process.stdout.columns;
    },
    get rows() {
      return process.stdout.rows;
    },
    write: (text) => process.stdout.write(text),
  };
}

/** The first signal asks, and the second one ends the process as if nobody listened. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
