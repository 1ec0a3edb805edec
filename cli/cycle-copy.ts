import { Option, type Command } from 'commander';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { limits } from '../shared/protocol/kernel/limits.js';
import type { ActivationMode } from '../activation/index.js';
import { guardsOf, refuseOpenHttp, withHttpFlags, withLogFlags, type HttpFlags } from './binary-flags.js';
import { ending, fetchOf, tokenOf } from './common.js';
import { mustBeGiven } from './config-keys.js';
import { dataSetName, duration, nodeName, nodeUrl } from './flags.js';
import type { Shell } from './shell.js';

interface CycleCopyFlags extends HttpFlags {
  readonly name: string;
  readonly from: URL;
  readonly store?: string;
  readonly mode: ActivationMode;
  readonly maxClockError: number;
  readonly dataSet: string;
  readonly tokenFile?: string;
  readonly ca?: string;
}

/** Several run on one machine: each takes any free port and says which. */
const defaultHttp = { host: '127.0.0.1', port: 0 };

export function addCycleCopy(program: Command, shell: Shell): void {
  const command = program
    .command('cycle-copy')
    .description(
      "run a server of the pull cycle: a copy that shows what the data server's table says, when it says it",
    );
  command
    .addOption(mustBeGiven(new Option('--from <url>', 'HTTP address of the data server').argParser(nodeUrl)))
    .addOption(mustBeGiven(new Option('--name <name>', "its name, for the data server's accounts").argParser(nodeName)))
    .addOption(
      new Option('--store <folder>', 'where the copies are kept; default: ./data/NAME').default(
        undefined,
        './data/NAME',
      ),
    )
    .addOption(
      new Option(
        '--mode <mode>',
        'how the staged copy becomes the active one: what differs is copied, or two are swapped',
      )
        .choices(['copy', 'swap'])
        .default('copy'),
    )
    .addOption(
      new Option('--max-clock-error <duration>', 'with a larger one it waits until the instant has certainly passed')
        .default(limits.maxClockErrorMs, `${limits.maxClockErrorMs}ms`)
        .argParser(duration),
    )
    .addOption(
      new Option('--data-set <name>', 'what the content is called over HTTP').default('default').argParser(dataSetName),
    )
    .option('--token-file <file>', 'file that holds the token for the data server; default: what LOCKSTEP_TOKEN holds')
    .option('--ca <file>', "certificates (PEM) that the data server's is checked with; default: the system's");
  withHttpFlags(command, '127.0.0.1 and any free port').option(
    '--insecure',
    'serve HTTP on addresses other than loopback without tokens',
  );
  withLogFlags(command).action(
    ending(shell, async (flags: CycleCopyFlags) => {
      const http = flags.http ?? defaultHttp;
      refuseOpenHttp(flags, http);
      const guards = guardsOf(flags);
      const token = tokenOf(flags);
      const [{ runBinary }, { runCycleCopy }] = await Promise.all([
        import('./daemon.js'),
        import('../activation/copy/main.js'),
      ]);
      return runBinary(shell, flags, async (context) =>
        runCycleCopy(
          {
            name: flags.name,
            from: flags.from,
            store: flags.store ?? defaultStore(flags.name),
            mode: flags.mode,
            maxClockErrorMs: flags.maxClockError,
            dataSet: flags.dataSet,
            fetch: fetchOf(flags, shell),
            token,
            http: { ...http, ...guards },
          },
          context,
        ),
      );
    }),
  );
}

function defaultStore(name: string): string {
  if (name === '.' || name === '..')
    throw new LockstepError('bad-option', `--name ${name} makes no folder of its own; give --store too`);
  return `./data/${name}`;
}
