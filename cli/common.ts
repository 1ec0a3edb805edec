import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Option } from 'commander';
import { errorText, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { Phases, VoterPolicy } from '../shared/protocol/kernel/outcome.js';
import { Client, type ChangeRequestOptions } from './client.js';
import { dataSetName, duration, instant, nodeUrl, voterPolicy } from './flags.js';
import { fetchTrusting } from './fetch-trusting.js';
import type { Shell } from './shell.js';

export interface NodeFlags {
  readonly to: URL;
  readonly dataSet?: string;
  readonly json?: true;
  readonly tokenFile?: string;
  readonly ca?: string;
}

export interface ChangeFlags extends NodeFlags {
  readonly phases?: Phases;
  readonly timeout?: number;
  readonly voters?: VoterPolicy;
  readonly wait?: 'decided' | 'exposed';
  /** As it was given, and checked. */
  readonly at?: string;
}

export const defaultNode = 'http://127.0.0.1:7400';

/** `--to`, `--data-set`, `--json`: what every command that asks a node takes. */
export function withNodeFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--to <url>', 'HTTP address of the node to ask')
        .env('LOCKSTEP_TO')
        .default(new URL(defaultNode), defaultNode)
        .argParser(nodeUrl),
    )
    .addOption(
      new Option('--data-set <name>', 'data set; default: the only one there is, else "default"').argParser(
        dataSetName,
      ),
    )
    .option('--token-file <file>', 'file that holds the token for the node; default: what LOCKSTEP_TOKEN holds')
    .option('--ca <file>', "certificates (PEM) that the node's TLS certificate is checked with; default: the system's")
    .option('--json', 'print JSON, one line');
}

export function withChangeFlags(command: Command): Command {
  return withNodeFlags(command)
    .addOption(
      new Option(
        '--phases <phases>',
        "one: each applies on arrival; two: all or none; default: the data set's",
      ).choices(['one', 'two']),
    )
    .addOption(
      new Option('--timeout <duration>', "abort when it is not decided by then; default: the data set's").argParser(
        duration,
      ),
    )
    .addOption(
      new Option(
        '--voters <policy>',
        "who must say yes: all, live or how many at least; default: the data set's",
      ).argParser(voterPolicy),
    )
    .addOption(
      new Option('--wait <until>', 'answer when decided, or when the voters show it; default: decided').choices([
        'decided',
        'exposed',
      ]),
    );
}

/** `--at`: what everything that is one change takes besides. */
export function withAtFlag(command: Command): Command {
  return command.addOption(
    new Option(
      '--at <instant>',
      'show it everywhere at this instant, by the clock of the master: 2026-12-01T09:00:00Z, or +5s from now',
    ).argParser(instant),
  );
}

export function changeOptions(flags: ChangeFlags): ChangeRequestOptions {
  return {
    ...(flags.phases === undefined ? {} : { phases: flags.phases }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: Math.ceil(flags.timeout) }),
    ...(flags.voters === undefined ? {} : { voters: flags.voters }),
    ...(flags.wait === undefined ? {} : { wait: flags.wait }),
    ...(flags.at === undefined ? {} : { activateAt: flags.at }),
  };
}

export function clientOf(flags: NodeFlags, shell: Shell): Client {
  const token = tokenOf(flags);
  return new Client({ url: flags.to, fetch: fetchOf(flags, shell), ...(token === undefined ? {} : { token }) });
}

/** Out of the file, or the environment; undefined: there is none. */
export function tokenOf({ tokenFile }: Pick<NodeFlags, 'tokenFile'>): string | undefined {
  const token =
    tokenFile === undefined ? process.env['LOCKSTEP_TOKEN'] : readOption('--token-file', tokenFile).toString();
  return token === undefined || token.trim() === '' ? undefined : token.trim();
}

export function fetchOf({ ca }: Pick<NodeFlags, 'ca'>, shell: Shell): typeof fetch {
  return ca === undefined ? shell.fetch : fetchTrusting(readOption('--ca', ca));
}

function readOption(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new LockstepError('bad-option', `${flag} ${path} can't be read (${errorText(error)})`, { cause: error });
  }
}

export async function dataSetOf(flags: NodeFlags, client: Client): Promise<string> {
  return flags.dataSet ?? client.soleDataSet();
}

/** The command's result becomes the process's exit code. */
export function ending<Parameters extends readonly unknown[]>(
  shell: Shell,
  run: (...parameters: Parameters) => Promise<ExitCode>,
): (...parameters: Parameters) => Promise<void> {
  return async (...parameters) => {
    shell.exitCode = await run(...parameters);
  };
}
