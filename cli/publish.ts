import type { Command } from 'commander';
import { exitCodes, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { FilesBody, PublishBody } from '../shared/http/bodies.js';
import { changeOptions, clientOf, dataSetOf, ending, withAtFlag, withChangeFlags, type ChangeFlags } from './common.js';
import { exitOfOutcome, outcomeText } from './outcome-text.js';
import type { Shell } from './shell.js';

interface PublishFlags extends ChangeFlags {
  readonly dryRun?: true;
  readonly allowEmpty?: true;
}

export function addPublish(program: Command, shell: Shell): void {
  withAtFlag(
    withChangeFlags(
      program
        .command('publish')
        .description("make the master's folder, as it is now, the next version: on every slave or on none"),
    ),
  )
    .option('--dry-run', 'only say what would change')
    .option('--allow-empty', 'publish a folder without any file, too')
    .action(
      ending(shell, async (flags: PublishFlags): Promise<ExitCode> => {
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        if (flags.dryRun === true) {
          const files = await client.difference(dataSet);
          shell.out(flags.json === true ? JSON.stringify(files) : differenceText(files));
          return exitCodes.ok;
        }
        const options = { ...changeOptions(flags), ...(flags.allowEmpty === true ? { allowEmpty: true } : {}) };
        const body = await client.publish(dataSet, options);
        shell.out(flags.json === true ? JSON.stringify(body) : publishText(body));
        return body.outcome === 'unchanged' ? exitCodes.ok : exitOfOutcome(body);
      }),
    );
}

function publishText(body: PublishBody): string {
  if (body.outcome === 'unchanged') return `nothing to publish: the folder is as in version ${body.version}`;
  const isDecided = body.outcome === 'committed' || body.outcome === 'armed';
  return `${outcomeText(body, [])}${isDecided ? ` · ${countText(body.files)}` : ''}`;
}

/** `+` added, `~` changed, `-` removed; names as JSON where they hold more than plain characters. */
function differenceText(files: FilesBody): string {
  if (files.count === 0) return 'nothing would change';
  const lines = [
    ...files.added.map((path) => `+ ${shown(path)}`),
    ...files.changed.map((path) => `~ ${shown(path)}`),
    ...files.removed.map((path) => `- ${shown(path)}`),
  ];
  const rest = files.count - lines.length;
  return [...lines, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n');
}

function shown(path: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S} ]+$/u.test(path) && !path.includes('"') ? path : JSON.stringify(path);
}

function countText({ added, changed, removed }: FilesBody): string {
  const most = (paths: readonly string[]): string => (paths.length >= 1000 ? 'at least 1000' : String(paths.length));
  return `${most(added)} added, ${most(changed)} changed, ${most(removed)} removed`;
}
