import type { Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import type { Shell } from './shell.js';
import { versionText } from './status-text.js';

export function addDiscard(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('discard')
      .description("keep a slave's diverged copy aside, and have it take the master's by snapshot"),
  ).action(
    ending(shell, async (flags: NodeFlags) => {
      const client = clientOf(flags, shell);
      const dataSet = await dataSetOf(flags, client);
      const { was } = await client.discard(dataSet);
      shell.out(
        flags.json === true
          ? JSON.stringify({ discarded: dataSet, was })
          : `${dataSet} at ${versionText(was)} goes aside, into the folder "kept" of the slave's store`,
      );
      return exitCodes.ok;
    }),
  );
}
