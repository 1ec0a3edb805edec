import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Option, type Command } from 'commander';
import { errorText, exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { csvText, ndjsonText } from './export-text.js';
import { Progress } from './progress.js';
import type { RecordFormat } from './records.js';
import type { Shell } from './shell.js';
import { readSnapshot } from './snapshot.js';

interface ExportFlags extends NodeFlags {
  readonly format?: RecordFormat;
  readonly key?: string;
}

export function addExport(program: Command, shell: Shell): void {
  withNodeFlags(
    program.command('export').description('write every record, all at one version, so that load reads them back'),
  )
    .argument('[file]', 'made or replaced as a whole; - writes to standard output', '-')
    .addOption(
      new Option('--format <format>', 'default: csv for a name that ends so, else ndjson').choices(['ndjson', 'csv']),
    )
    .option('--key <field>', 'CSV: the column of the keys; default: key, id or sku, whichever holds them')
    .addHelpText(
      'after',
      `
Examples:
  $ lockstep export prices.ndjson
  $ lockstep export --to b:7400 | sort | sha256sum`,
    )
    .action(
      ending(shell, async (file: string, flags: ExportFlags) => {
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        const progress = new Progress(shell);
        const snapshot = await readSnapshot(client, dataSet, {
          onProgress: (entries) => progress.show(`${entries} records read`),
        }).finally(() => progress.clear());
        const rows = [...snapshot.entries]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([key, { value }]) => [key, value] as const);
        const format = flags.format ?? (file.toLowerCase().endsWith('.csv') ? 'csv' : 'ndjson');
        const text =
          format === 'ndjson'
            ? ndjsonText(rows)
            : csvText(rows, flags.key === undefined ? {} : { keyField: flags.key });
        if (file === '-') {
          if (text !== '') shell.out(text.slice(0, -1));
          return exitCodes.ok;
        }
        await writeWhole(file, text);
        const { version } = snapshot;
        shell.out(
          flags.json === true
            ? JSON.stringify({ dataSet, version, records: rows.length, file })
            : ` ${rows.length} records · version ${version} · ${file}`,
        );
        return exitCodes.ok;
      }),
    );
}

/** Whoever opens the file finds the old one or the new one, and both whole. */
async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.draft`;
  try {
    const handle = await open(draft, 'wx');
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    const folder = await open(dirname(file), 'r');
    await folder.sync().finally(() => folder.close());
  } catch (error) {
    await rm(draft, { force: true });
    throw new LockstepError('bad-option', `export ${file}: can't be written (${errorText(error)})`, { cause: error });
  }
}
