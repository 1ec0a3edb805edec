import { exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { StatusBody } from '../shared/http/bodies.js';
import { clientOf, type NodeFlags } from './common.js';
import { timeText } from './history.js';
import { pause } from './pause.js';
import type { Shell, Terminal } from './shell.js';
import { selectDataSet, statusText } from './status-text.js';

/** The screen beside the one that the user works on, which comes back as it was. */
const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const top = '\u001b[H';
const clearLine = '\u001b[K';
const clearBelow = '\u001b[J';
/** Besides the members: the line on top, an empty one, the head, the master, and the line that counts the others. */
const otherRows = 5;

/**
 * Shows the status again and again: in place on a terminal, else one after the other. The first answer has to come; after it,
 * a node that is away is told of, and asked again.
 */
export async function watchStatus(shell: Shell, flags: NodeFlags & { readonly every: number }): Promise<ExitCode> {
  const client = clientOf(flags, shell);
  const signal = shell.stopSignal?.() ?? new AbortController().signal;
  const ask = async (): Promise<StatusBody> => selectDataSet(await client.status(), flags.dataSet);
  let status = await ask();
  const terminal = flags.json === true ? undefined : shell.terminal;
  terminal?.write(enter);
  try {
    for (let failure: LockstepError | null = null; !signal.aborted;) {
      if (flags.json === true)
        shell.out(
          JSON.stringify(failure === null ? status : { error: { code: failure.code, message: failure.message } }),
        );
      else if (terminal === undefined) shell.out(failure === null ? `${statusText(status)}\n` : `${failure.message}\n`);
      else terminal.write(screenOf(terminal, { url: client.url, status, failure }));
      await pause(flags.every, signal);
      if (signal.aborted) break;
      try {
        status = await ask();
        failure = null;
      } catch (error) {
        if (!(error instanceof LockstepError)) throw error;
        failure = error;
      }
    }
  } finally {
    terminal?.write(leave);
  }
  return exitCodes.ok;
}

function screenOf(
  terminal: Terminal,
  {
    url,
    status,
    failure,
  }: { readonly url: string; readonly status: StatusBody; readonly failure: LockstepError | null },
): string {
  const { rows, columns } = terminal;
  const maxMembers = Math.max(1, Math.floor((rows - 1) / status.dataSets.length) - otherRows);
  const lines = [
    `${url} · ${timeText(new Date())}${failure === null ? '' : ` · ${failure.message}; this is what it said before`}`,
    '',
    ...statusText(status, { maxMembers }).split('\n'),
  ];
  const shown = lines.slice(0, rows - 1).map((line) => `${[...line].slice(0, columns).join('')}${clearLine}`);
  return `${top}${shown.join('\r\n')}\r\n${clearBelow}`;
}
