import { Option, type Command } from 'commander';
import { cycleBounds } from '../activation/core/bounds.js';
import { guardsOf, refuseOpenHttp, withHttpFlags, withLogFlags, type HttpFlags } from './binary-flags.js';
import { ending } from './common.js';
import { instant, intervalDuration } from './cycle-flags.js';
import type { Shell } from './shell.js';

interface DataServerFlags extends HttpFlags {
  readonly store?: string;
  readonly postgresql?: string;
  readonly interval?: number;
  readonly origin?: number;
}

const defaultStore = './data/data-server';
const defaultHttp = { host: '127.0.0.1', port: 7420 };

export function addDataServer(program: Command, shell: Shell): void {
  const command = program
    .command('data-server')
    .description('run a data server: the owner of the three copies of a pull cycle, with an HTTP API');
  command
    .addOption(
      new Option('--store <folder>', `where the three copies are kept; default: ${defaultStore}`)
        .default(undefined, defaultStore)
        .conflicts('postgresql'),
    )
    .addOption(
      new Option(
        '--postgresql <url>',
        'keep them in this PostgreSQL database instead: postgresql://user@host/database; needs the package pg',
      ),
    )
    .addOption(
      new Option(
        '--interval <duration>',
        `between activations, of a new database; later: lockstep cycle interval; default: ${cycleBounds.defaultIntervalMs / 60_000}m`,
      ).argParser(intervalDuration),
    )
    .addOption(
      new Option(
        '--origin <instant>',
        'of a new database: some instant of the grid of activations, such as 2026-12-01T03:00:00Z; default: 1970-01-01T00:00:00Z',
      ).argParser(instant),
    );
  withHttpFlags(command, `${defaultHttp.host}:${defaultHttp.port}`).option(
    '--insecure',
    'serve HTTP on addresses other than loopback without tokens',
  );
  withLogFlags(command).action(
    ending(shell, async (flags: DataServerFlags) => {
      const http = flags.http ?? defaultHttp;
      refuseOpenHttp(flags, http);
      const guards = guardsOf(flags);
      const { postgresql, interval: intervalMs, origin: originMs } = flags;
      // Loaded here, so that commands which only ask a node start fast.
      const [{ runBinary }, { runDataServer }] = await Promise.all([
        import('./daemon.js'),
        import('../activation/data-server/main.js'),
      ]);
      const place = postgresql === undefined ? { store: flags.store ?? defaultStore } : { postgresql };
      return runBinary(shell, flags, async (context) =>
        runDataServer({ ...place, intervalMs, originMs, http: { ...http, ...guards } }, context),
      );
    }),
  );
}
