import { randomUUID } from 'node:crypto';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { errorText, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { Json, Operation } from '../shared/protocol/key-value/operations.js';
import { changeOptions, clientOf, dataSetOf, ending, withAtFlag, withChangeFlags, type ChangeFlags } from './common.js';
import { keyArgument, wholeNumber } from './flags.js';
import { exitOfOutcome, outcomeText } from './outcome-text.js';
import type { Shell } from './shell.js';

interface PutFlags extends ChangeFlags {
  readonly ifVersion?: number;
  readonly ifAbsent?: true;
}

export function addPut(program: Command, shell: Shell): void {
  withAtFlag(withChangeFlags(program.command('put').description('give a key a value, on every node or on none')))
    .argument('<key>', 'the key, 1 to 512 bytes', keyArgument)
    .argument('<json>', 'the value, as JSON: \'{"cents": 999}\', 5, \'"text"\'', jsonArgument)
    .addOption(
      new Option('--if-version <version>', 'only when the key was last changed by this version')
        .argParser(wholeNumber)
        .conflicts('ifAbsent'),
    )
    .option('--if-absent', 'only when there is no such key')
    .action(
      ending(shell, async (key: string, value: { readonly json: Json }, flags: PutFlags) => {
        const condition = {
          ...(flags.ifVersion === undefined ? {} : { ifVersion: flags.ifVersion }),
          ...(flags.ifAbsent === undefined ? {} : { ifAbsent: flags.ifAbsent }),
        };
        return changeOne(shell, flags, { put: [key, value.json], ...condition });
      }),
    );
}

/** One operation as one change: what `put` and `delete` do. */
export async function changeOne(shell: Shell, flags: ChangeFlags, operation: Operation<Json>): Promise<ExitCode> {
  const client = clientOf(flags, shell);
  const dataSet = await dataSetOf(flags, client);
  const operations = [operation];
  const outcome = await client.change({
    dataSet,
    operations,
    options: changeOptions(flags),
    idempotencyKey: randomUUID(),
  });
  shell.out(flags.json === true ? JSON.stringify(outcome) : outcomeText(outcome, operations));
  return exitOfOutcome(outcome);
}

/** Wrapped, since `null` and `false` are values too. */
function jsonArgument(text: string): { readonly json: Json } {
  try {
    return { json: JSON.parse(text) as Json };
  } catch (error) {
    throw new InvalidArgumentError(`${errorText(error)}. Give JSON; a text needs its own quotes: '"text"'.`);
  }
}
