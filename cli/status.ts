import { Option, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { clientOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { duration } from './flags.js';
import type { Shell } from './shell.js';
import { selectDataSet, statusText } from './status-text.js';
import { watchStatus } from './status-watch.js';

interface StatusFlags extends NodeFlags {
  readonly watch?: true;
  readonly every: number;
}

export function addStatus(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('status')
      .description('show every node: its role, state and version, what it voted, what it is in doubt about'),
  )
    .option('--watch', 'show it again and again, in place, until it is interrupted; with --json a line each time')
    .addOption(new Option('--every <duration>', 'how often').default(1000, '1s').argParser(duration))
    .action(
      ending(shell, async (flags: StatusFlags) => {
        if (flags.watch === true) return watchStatus(shell, flags);
        const status = selectDataSet(await clientOf(flags, shell).status(), flags.dataSet);
        shell.out(flags.json === true ? JSON.stringify(status) : statusText(status));
        return exitCodes.ok;
      }),
    );
}
