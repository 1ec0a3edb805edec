import { Option, type Command } from 'commander';
import { ending, withAtFlag, withChangeFlags, type ChangeFlags } from './common.js';
import { keyArgument, wholeNumber } from './flags.js';
import { changeOne } from './put.js';
import type { Shell } from './shell.js';

interface DeleteFlags extends ChangeFlags {
  readonly ifVersion?: number;
}

export function addDelete(program: Command, shell: Shell): void {
  withAtFlag(withChangeFlags(program.command('delete').description('remove a key, on every node or on none')))
    .argument('<key>', 'the key', keyArgument)
    .addOption(
      new Option('--if-version <version>', 'only when the key was last changed by this version').argParser(wholeNumber),
    )
    .action(
      ending(shell, async (key: string, flags: DeleteFlags) =>
        changeOne(shell, flags, {
          delete: key,
          ...(flags.ifVersion === undefined ? {} : { ifVersion: flags.ifVersion }),
        }),
      ),
    );
}
