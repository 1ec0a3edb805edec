import { userInfo } from 'node:os';
import { Argument, Option, type Command } from 'commander';
import { exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import { clientOf, dataSetOf, ending, withNodeFlags, type NodeFlags } from './common.js';
import type { Shell } from './shell.js';

interface ResolveFlags extends NodeFlags {
  readonly by?: string;
  readonly iUnderstand?: true;
}

export function addResolve(program: Command, shell: Shell): void {
  withNodeFlags(
    program
      .command('resolve')
      .description('decide a round that a slave is in doubt about, when no master can tell its outcome any more'),
  )
    .argument('<round>', 'as `lockstep status` at that slave names it')
    .addArgument(new Argument('<outcome>', 'what becomes of it at that slave').choices(['commit', 'abort']))
    .addOption(new Option('--by <name>', 'who decides, for the record; default: the user of this machine'))
    .option('--i-understand', 'needed: a master that comes back may have decided otherwise')
    .action(
      ending(shell, async (round: string, outcome: 'commit' | 'abort', flags: ResolveFlags) => {
        if (flags.iUnderstand !== true) {
          throw new LockstepError(
            'bad-option',
            `resolve decides in the master's place: if it decided otherwise, this copy and the group disagree; start the master if you can, else say --i-understand`,
          );
        }
        const client = clientOf(flags, shell);
        const dataSet = await dataSetOf(flags, client);
        const resolved = await client.resolve(dataSet, round, { outcome, by: flags.by ?? userInfo().username });
        shell.out(
          flags.json === true
            ? JSON.stringify(resolved)
            : `round ${resolved.round} (version ${resolved.version}) is ${resolved.outcome} at this slave, by ${resolved.by}`,
        );
        return exitCodes.ok;
      }),
    );
}
