import { Option, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { followFeed } from './feed.js';
import { versionNumber, wholeNumber } from './flags.js';
import type { Shell } from './shell.js';
import { selectDataSet } from './status-text.js';

interface WatchFlags extends NodeFlags {
  readonly since?: number;
  readonly count?: number;
}

export function addWatch(program: Command, shell: Shell): void {
  withNodeFlags(
    program.command('watch').description('print every committed change as a line of JSON, until it is interrupted'),
  )
    .addOption(
      new Option(
        '--since <version>',
        'begin after this version; 0: with all there is; default: with what comes from now on',
      ).argParser(versionNumber),
    )
    .addOption(new Option('--count <changes>', 'end after so many').argParser(wholeNumber))
    .addHelpText(
      'after',
      `
A connection that breaks is opened again, and goes on where it was. Ctrl-C ends it with 0.

  $ lockstep watch --since 40 | jq -c '.operations[]'
  {"put":["sku-1",{"cents":999}]}`,
    )
    .action(
      ending(shell, async (flags: WatchFlags) => {
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        const since = flags.since ?? tipOf(selectDataSet(await client.status(), dataSet).dataSets[0]);
        const signal = shell.stopSignal?.() ?? new AbortController().signal;
        let left = flags.count ?? Infinity;
        const changes = followFeed(client, dataSet, {
          since,
          signal,
          onBreak: (reason, version) => {
            shell.err(`lockstep: ${reason}; trying again, from version ${version} on\n`);
          },
          onBack: () => {
            shell.err(`lockstep: ${client.url} is back\n`);
          },
        });
        for await (const change of changes) {
          shell.out(JSON.stringify(change));
          left -= 1;
          if (left === 0) break;
        }
        return exitCodes.ok;
      }),
    );
}

function tipOf(dataSet: { readonly tip: { readonly version: number } | null } | undefined): number {
  return dataSet?.tip?.version ?? 0;
}
