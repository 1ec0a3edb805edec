import { Option, type Command } from 'commander';
import { ending, withAtFlag, withChangeFlags } from './common.js';
import { wholeNumber } from './flags.js';
import type { LoadFlags } from './load-records.js';
import type { Shell } from './shell.js';

const defaultBatchRecords = 1000;

export function addLoad(program: Command, shell: Shell): void {
  withAtFlag(
    withChangeFlags(
      program.command('load').description('put every record of a file; a malformed line means that nothing is applied'),
    ),
  )
    .argument('<file>', 'NDJSON or CSV with a header; - reads standard input')
    .addOption(
      new Option('--format <format>', 'default: csv for a name that ends so, else ndjson').choices(['ndjson', 'csv']),
    )
    .option('--key <field>', 'the field that is the key; default: key, id or sku, in CSV else the first column')
    .option('--text', 'CSV: leave every cell a text; default: plain numbers, true and false become what they look like')
    .option('--atomic', 'one change for the whole file: all of it or nothing; --at implies it')
    .addOption(
      new Option('--batch <records>', 'records of one change')
        .argParser(wholeNumber)
        .default(defaultBatchRecords)
        .conflicts(['atomic', 'at']),
    )
    .action(
      ending(shell, async (file: string, flags: LoadFlags) => {
        const { loadRecords } = await import('./load-records.js');
        return loadRecords(shell, file, flags);
      }),
    );
}
