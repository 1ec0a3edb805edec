import type { Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { keyArgument } from './flags.js';
import type { Shell } from './shell.js';

export function addGet(program: Command, shell: Shell): void {
  withNodeFlags(program.command('get').description('print the value of a key, as JSON'))
    .argument('<key>', 'the key', keyArgument)
    .action(
      ending(shell, async (key: string, flags: NodeFlags) => {
        const client = clientOf(flags, shell);
        const { entry, message } = await client.read(await dataSetOf(flags, client), key);
        if (entry === null) {
          shell.err(`lockstep: ${message}\n`);
          return exitCodes.notFound;
        }
        shell.out(JSON.stringify(flags.json === true ? entry : entry.value));
        return exitCodes.ok;
      }),
    );
}
