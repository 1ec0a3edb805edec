import { exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import { timeText } from './history.js';
import type { NodeStatus } from './node-status.js';
import { nodeStatusText } from './node-status-text.js';
import { pause } from './pause.js';
import type { Shell, Terminal } from './shell.js';

/** The screen beside the one that the user works on, which comes back as it was. */
const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
const top = '\u001b[H';
const clearLine = '\u001b[K';
const clearBelow = '\u001b[J';
/** Besides the members: the line on top, an empty one, the head, the master, and the line that counts the others. */
const otherRows = 5;

export interface StatusWatch {
  readonly url: string;
  readonly ask: () => Promise<NodeStatus>;
  readonly json: boolean;
  /** Milliseconds. */
  readonly every: number;
}

/**
 * Shows the status again and again: in place on a terminal, else one after the other. The first answer has to come; after it,
 * a node that is away is told of, and asked again.
 */
export async function watchStatus(shell: Shell, { url, ask, json, every }: StatusWatch): Promise<ExitCode> {
  const signal = shell.stopSignal?.() ?? new AbortController().signal;
  let status = await ask();
  const terminal = json ? undefined : shell.terminal;
  terminal?.write(enter);
  try {
    for (let failure: LockstepError | null = null; !signal.aborted;) {
      if (json)
        shell.out(
          JSON.stringify(failure === null ? status.body : { error: { code: failure.code, message: failure.message } }),
        );
      else if (terminal === undefined)
        shell.out(failure === null ? `${nodeStatusText(status)}\n` : `${failure.message}\n`);
      else terminal.write(screenOf(terminal, { url, status, failure }));
      await pause(every, signal);
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
  }: { readonly url: string; readonly status: NodeStatus; readonly failure: LockstepError | null },
): string {
  const { rows, columns } = terminal;
  const tables = status.kind === 'node' ? status.body.dataSets.length : 1;
  const maxMembers = Math.max(1, Math.floor((rows - 1) / tables) - otherRows);
  const lines = [
    `${url} · ${timeText(new Date())}${failure === null ? '' : ` · ${failure.message}; this is what it said before`}`,
    '',
    ...nodeStatusText(status, { maxMembers }).split('\n'),
  ];
  const shown = lines.slice(0, rows - 1).map((line) => `${[...line].slice(0, columns).join('')}${clearLine}`);
  return `${top}${shown.join('\r\n')}\r\n${clearBelow}`;
}
