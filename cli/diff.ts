import { isDeepStrictEqual } from 'node:util';
import { Option, type Command } from 'commander';
import { exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import type { Client } from './client.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import { applyRecord } from './feed.js';
import { nodeUrl, versionNumber } from './flags.js';
import { Progress } from './progress.js';
import type { Shell } from './shell.js';
import { changesBetween, readSnapshot, type Snapshot } from './snapshot.js';
import { selectDataSet } from './status-text.js';

interface DiffFlags extends NodeFlags {
  readonly with?: URL;
  readonly from?: number;
  readonly until?: number;
}

/** What it takes to get from the one to the other. */
export type Difference =
  | { readonly key: string; readonly change: 'added'; readonly value: Json }
  | { readonly key: string; readonly change: 'changed'; readonly was: Json; readonly value: Json }
  | { readonly key: string; readonly change: 'removed'; readonly was: Json }
  /** Between two versions of one node, which tells what was put and not what was there before. */
  | { readonly key: string; readonly change: 'put'; readonly value: Json; readonly version: number }
  | { readonly key: string; readonly change: 'deleted'; readonly version: number };

export function addDiff(program: Command, shell: Shell): void {
  withNodeFlags(program.command('diff').description('compare the copies of two nodes, or two versions of one'))
    .addOption(
      new Option('--with <url>', 'the other node: what it has more (+), otherwise (~) and less (-) than --to')
        .argParser(nodeUrl)
        .conflicts(['from', 'until']),
    )
    .addOption(new Option('--from <version>', 'what changed after this version').argParser(versionNumber))
    .addOption(new Option('--until <version>', 'up to this one; default: the newest').argParser(versionNumber))
    .addHelpText(
      'after',
      `
Exits with 0 when there is no difference, and with ${exitCodes.different} when there is one. Two nodes are each read at the version that they
are at; versions in the answer tell whether one of them is only behind.

  $ lockstep diff --to a:7401 --with b:7402
  ~ sku-1  {"cents":999} → {"cents":950}
  - sku-2  {"cents":5}
  $ lockstep diff --from 10 --until 20`,
    )
    .action(
      ending(shell, async (flags: DiffFlags) => {
        const client = clientOf(flags, shell);
        if (flags.with !== undefined)
          return diffNodes(shell, flags, [client, clientOf({ ...flags, to: flags.with }, shell)]);
        if (flags.from === undefined)
          throw new LockstepError(
            'bad-option',
            'diff compares two nodes or two versions; give --with URL, or --from VERSION',
          );
        return diffVersions(shell, client, { ...flags, from: flags.from });
      }),
    );
}

async function diffNodes(shell: Shell, flags: DiffFlags, [one, other]: readonly [Client, Client]): Promise<ExitCode> {
  const dataSet = await dataSetOf(flags, one);
  const progress = new Progress(shell);
  const read = (client: Client): Promise<Snapshot> =>
    readSnapshot(client, dataSet, { onProgress: (entries) => progress.show(`${entries} records read`) });
  const [ours, theirs] = await Promise.all([read(one), read(other)]).finally(() => progress.clear());
  const differences = differencesOf(ours, theirs);
  const summary = { dataSet, versions: { [one.url]: ours.version, [other.url]: theirs.version } };
  const at = `version ${ours.version}${ours.version === theirs.version ? '' : ` and ${theirs.version}`}`;
  return report(shell, flags, {
    differences,
    summary,
    equal: `no difference · ${ours.entries.size} records · ${at}`,
    at,
  });
}

async function diffVersions(
  shell: Shell,
  client: Client,
  flags: DiffFlags & { readonly from: number },
): Promise<ExitCode> {
  const dataSet = await dataSetOf(flags, client);
  const newest = selectDataSet(await client.status(), dataSet).dataSets[0]?.tip?.version ?? 0;
  const { from, until = newest } = flags;
  if (until < from) throw new LockstepError('bad-option', `--until ${until} is before --from ${from}; swap them`);
  if (until > newest)
    throw new LockstepError('bad-option', `--until ${until} doesn't exist yet: ${client.url} is at version ${newest}`);
  const put = new Map<string, { readonly value: Json; readonly version: number }>();
  const touched = new Map<string, number>();
  for await (const record of changesBetween(client, dataSet, { from, to: until })) {
    if (record.prior === null && from > 0)
      throw new LockstepError(
        'history-pruned',
        `version ${record.version} is a whole state, which says nothing of version ${from}`,
      );
    applyRecord(put, record, (value, version) => ({ value, version }));
    for (const operation of record.operations)
      touched.set('put' in operation ? operation.put[0] : operation.delete, record.version);
  }
  const differences = [...touched].map(([key, version]): Difference => {
    const held = put.get(key);
    return held === undefined ? { key, change: 'deleted', version } : { key, change: 'put', ...held };
  });
  differences.sort((a, b) => (a.key < b.key ? -1 : 1));
  const at = `versions ${from} to ${until}`;
  return report(shell, flags, { differences, summary: { dataSet, from, until }, equal: `no difference · ${at}`, at });
}

function differencesOf(ours: Snapshot, theirs: Snapshot): readonly Difference[] {
  const differences: Difference[] = [];
  for (const [key, { value: was }] of ours.entries) {
    const held = theirs.entries.get(key);
    if (held === undefined) differences.push({ key, change: 'removed', was });
    else if (!isDeepStrictEqual(was, held.value)) differences.push({ key, change: 'changed', was, value: held.value });
  }
  for (const [key, { value }] of theirs.entries)
    if (!ours.entries.has(key)) differences.push({ key, change: 'added', value });
  return differences.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function report(
  shell: Shell,
  flags: DiffFlags,
  {
    differences,
    summary,
    equal,
    at,
  }: {
    readonly differences: readonly Difference[];
    readonly summary: object;
    readonly equal: string;
    readonly at: string;
  },
): ExitCode {
  if (flags.json === true) shell.out(JSON.stringify({ ...summary, differences }));
  else {
    const count = `${differences.length} ${differences.length === 1 ? 'key differs' : 'keys differ'} · ${at}`;
    shell.out(differences.length === 0 ? ` ${equal}` : `${differences.map(lineOf).join('\n')}\n ${count}`);
  }
  return differences.length === 0 ? exitCodes.ok : exitCodes.different;
}

function lineOf(difference: Difference): string {
  const { key } = difference;
  switch (difference.change) {
    case 'added':
      return `+ ${key}  ${JSON.stringify(difference.value)}`;
    case 'changed':
      return `~ ${key}  ${JSON.stringify(difference.was)} → ${JSON.stringify(difference.value)}`;
    case 'removed':
      return `- ${key}  ${JSON.stringify(difference.was)}`;
    case 'put':
      return `* ${key}  ${JSON.stringify(difference.value)}  (v${difference.version})`;
    case 'deleted':
      return `- ${key}  (v${difference.version})`;
  }
}
