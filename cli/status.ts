import { Option, type Command } from 'commander';
import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';
import { clientOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { duration } from './flags.js';
import type { NodeStatus } from './node-status.js';
import { nodeStatusText, ofDataSet } from './node-status-text.js';
import type { Shell } from './shell.js';
import { watchStatus } from './status-watch.js';

export interface WatchFlags {
  readonly watch?: true;
  readonly every: number;
}

export function addStatus(program: Command, shell: Shell): void {
  withWatchFlags(
    withNodeFlags(
      program
        .command('status')
        .description(
          'show every node: its role, state and version, what it voted, what it is in doubt about; of a pull cycle: what it shows, and when the next',
        ),
    ),
  ).action(ending(shell, async (flags: NodeFlags & WatchFlags) => showStatus(shell, flags)));
}

/** `--watch` and `--every`: of what shows a status. */
export function withWatchFlags(command: Command): Command {
  return command
    .option('--watch', 'show it again and again, in place, until it is interrupted; with --json a line each time')
    .addOption(new Option('--every <duration>', 'how often').default(1000, '1s').argParser(duration));
}

/** Once, or again and again. `check` throws for what the command doesn't show. */
export async function showStatus(
  shell: Shell,
  flags: NodeFlags & WatchFlags,
  check: (status: NodeStatus, url: string) => void = () => undefined,
): Promise<ExitCode> {
  const client = clientOf(flags, shell);
  const json = flags.json === true;
  const ask = async (): Promise<NodeStatus> => {
    const status = await client.nodeStatus();
    check(status, client.url);
    return ofDataSet(status, flags.dataSet, client.url);
  };
  if (flags.watch === true) return watchStatus(shell, { url: client.url, ask, json, every: flags.every });
  const status = await ask();
  shell.out(json ? JSON.stringify(status.body) : nodeStatusText(status));
  return exitCodes.ok;
}
