import { InvalidArgumentError, Option, type Command } from 'commander';
import { cycleBounds } from '../activation/core/bounds.js';
import { guardsOf, refuseOpenHttp, withHttpFlags, withLogFlags, type HttpFlags } from './binary-flags.js';
import { ending } from './common.js';
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

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `10m`, `1h`, `7d`, or a bare number of milliseconds; returns milliseconds. */
export function intervalDuration(text: string): number {
  const [, digits = '', unit = 'ms'] = /^(\d{1,11})(ms|s|m|h|d)?$/.exec(text) ?? [];
  const durationMs = digits === '' ? NaN : Number(digits) * (unitsMs[unit] ?? NaN);
  if (durationMs >= cycleBounds.minIntervalMs && durationMs <= cycleBounds.maxIntervalMs) return durationMs;
  throw new InvalidArgumentError(
    `Give a duration such as 10m, 1h or 7d, from ${cycleBounds.minIntervalMs}ms to ${cycleBounds.maxIntervalMs / 86_400_000}d.`,
  );
}

/** With a time zone: what a clock on a wall shows isn't the same instant everywhere. */
function instant(text: string): number {
  const isWhole = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const atMs = isWhole ? Date.parse(text) : NaN;
  if (Number.isFinite(atMs)) return atMs;
  throw new InvalidArgumentError('Give an instant with its time zone, such as 2026-12-01T03:00:00Z.');
}
