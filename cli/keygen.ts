import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { errorText, exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import { drawKey, keyFileName, masterFile, slaveFileOf, writeKeyFile } from '../shared/runtime/key-files.js';
import { ending } from './common.js';
import type { Shell } from './shell.js';

export function addKeygen(program: Command, shell: Shell): void {
  program
    .command('keygen')
    .description("make a group's keys: master.key for its masters, slave.key for its slaves")
    .requiredOption('--out <folder>', 'where the two files go; made when it is not there')
    .option('--json', 'print JSON, one line')
    .action(
      ending(shell, async ({ out, json }: { readonly out: string; readonly json?: true }) => {
        try {
          await mkdir(out, { recursive: true, mode: 0o700 });
        } catch (error) {
          throw new LockstepError(
            'bad-option',
            `--out ${out} can't be made: ${errorText(error)}; give another folder`,
            {
              cause: error,
            },
          );
        }
        const file = masterFile([drawKey(1, 'current')]);
        const paths = { master: join(out, keyFileName('master')), slave: join(out, keyFileName('slave')) };
        await writeKeyFile(paths.master, file, { fresh: true });
        await writeKeyFile(paths.slave, slaveFileOf(file), { fresh: true });
        if (json === true) {
          shell.out(JSON.stringify(paths));
          return exitCodes.ok;
        }
        shell.out(`${paths.master}: for masters alone; whoever has it can change the group's data`);
        shell.out(`${paths.slave}: for slaves; whoever has it can read everything, and speak as any slave`);
        return exitCodes.ok;
      }),
    );
}
