import { runProgram } from '../../cli/program.js';
import type { Shell } from '../../cli/shell.js';
import type { ExitCode } from '../../shared/protocol/kernel/errors.js';

export interface CommandRun {
  readonly exitCode: ExitCode;
  readonly out: string;
  readonly err: string;
}

/** One command line, in this process, with what it prints. */
export async function runLockstep(parameters: readonly string[], shell: Partial<Shell> = {}): Promise<CommandRun> {
  let out = '';
  let err = '';
  const whole: Shell = {
    isInteractive: false,
    fetch,
    input: (async function* () {})(),
    exitCode: 0,
    ...shell,
    out: (text) => {
      out += `${text}\n`;
      shell.out?.(text);
    },
    err: (text) => {
      err += text;
      shell.err?.(text);
    },
  };
  await runProgram(whole, parameters);
  return { exitCode: whole.exitCode, out, err };
}
