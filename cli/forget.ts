import type { Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { nodeName } from './flags.js';
import type { Shell } from './shell.js';

export function addForget(program: Command, shell: Shell): void {
  withNodeFlags(
    program.command('forget').description('drop a member that will not come back, so that nobody waits for it'),
  )
    .argument('<name>', "the member's name", nodeName)
    .action(
      ending(shell, async (name: string, flags: NodeFlags) => {
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        await client.forget(dataSet, name);
        shell.out(
          flags.json === true ? JSON.stringify({ forgotten: name, dataSet }) : `${name} is forgotten in ${dataSet}`,
        );
        return exitCodes.ok;
      }),
    );
}
