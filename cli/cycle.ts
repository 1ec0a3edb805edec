import { InvalidArgumentError, Option, type Command } from 'commander';
import type { CycleBody, EditedBody, ItemBody, PromoteBody } from '../activation/core/bodies.js';
import { errorText, exitCodes, LockstepError, type ExitCode } from '../shared/protocol/kernel/errors.js';
import type { Json } from '../shared/protocol/key-value/operations.js';
import { isCycle } from './cycle-answers.js';
import { durationText, movedText } from './cycle-text.js';
import type { Client } from './client.js';
import { clientOf, ending } from './common.js';
import { instant, intervalDuration } from './cycle-flags.js';
import { duration, keyArgument, nodeUrl } from './flags.js';
import { whatItIs } from './node-status.js';
import type { Shell } from './shell.js';
import { showStatus, withWatchFlags, type WatchFlags } from './status.js';

interface CycleFlags {
  readonly to: URL;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly json?: true;
}

const defaultDataServer = 'http://127.0.0.1:7420';

/** Management of a pull cycle: at the data server's machine, or from anywhere. */
export function addCycle(program: Command, shell: Shell): void {
  const cycle = program.command('cycle').description('show and manage a pull cycle: its table, and production');
  const client = (flags: CycleFlags): Client => clientOf(flags, shell);
  const show = (flags: CycleFlags, body: unknown, text: () => string): ExitCode => {
    shell.out(flags.json === true ? JSON.stringify(body) : text());
    return exitCodes.ok;
  };

  withWatchFlags(
    withCycleFlags(
      cycle
        .command('status')
        .description(
          'show the three copies, the next activation, the lock and the retrievals; of a copy: what it shows',
        ),
    ),
  ).action(
    ending(shell, async (flags: CycleFlags & WatchFlags) =>
      showStatus(shell, flags, (status, url) => {
        if (status.kind === 'node')
          throw new LockstepError(
            'wrong-kind',
            `${whatItIs(status, url)}, and neither a data server nor a copy of a pull cycle; lockstep status shows it`,
          );
      }),
    ),
  );

  withCycleFlags(
    cycle.command('interval').description('print the interval between activations, or set it from the next roll on'),
  )
    .addArgument(cycle.createArgument('[interval]', 'such as 10m, 1h or 7d').argParser(intervalDuration))
    .addOption(
      new Option('--origin <instant>', 'move the grid: activations lie at this instant plus whole intervals').argParser(
        instant,
      ),
    )
    .action(
      ending(shell, async (intervalMs: number | undefined, flags: CycleFlags & { readonly origin?: number }) => {
        if (intervalMs === undefined && flags.origin !== undefined)
          throw new LockstepError('bad-option', '--origin moves the grid of an interval; give the interval, too');
        const asked = client(flags);
        const body =
          intervalMs === undefined
            ? await tableOf(asked)
            : ((await asked.ask('PUT', '/v1/cycle/interval', {
                intervalMs,
                ...(flags.origin === undefined ? {} : { originMs: flags.origin }),
              })) as CycleBody);
        return show(flags, body, () =>
          intervalMs === undefined
            ? durationText(body.intervalMs)
            : `every ${durationText(body.intervalMs)}, from the next roll on`,
        );
      }),
    );

  withCycleFlags(
    cycle
      .command('promote')
      .description('stage what waits in production now, not only with the next roll')
      .argument('[keys...]', 'only these; default: everything that waits and is not dated later'),
  ).action(
    ending(shell, async (keys: readonly string[], flags: CycleFlags) => {
      const body = (await client(flags).ask(
        'POST',
        '/v1/cycle/promote',
        keys.length === 0 ? {} : { keys },
      )) as PromoteBody;
      return show(flags, body, () => `${body.promoted} staged · ${movedText(body)}`);
    }),
  );

  withCycleFlags(
    cycle.command('activate-now').description('activate what is staged now, or at an instant that is near'),
  )
    .addOption(
      new Option(
        '--in <duration>',
        'let all servers switch at one instant: more than they take to ask and to fetch; default: each switches when it next asks',
      ).argParser(duration),
    )
    .action(
      ending(shell, async (flags: CycleFlags & { readonly in?: number }) => {
        const inMs = Math.ceil(flags.in ?? 0);
        const body = (await client(flags).ask('POST', '/v1/cycle/activate-now', { inMs })) as CycleBody;
        return show(flags, body, () => movedText(body));
      }),
    );

  addItems(cycle, shell, { client, show });
}

interface Parts {
  readonly client: (flags: CycleFlags) => Client;
  readonly show: (flags: CycleFlags, body: unknown, text: () => string) => ExitCode;
}

/** Production, item by item. */
function addItems(cycle: Command, shell: Shell, { client, show }: Parts): void {
  withCycleFlags(cycle.command('put').description('edit production: give a key a value'))
    .argument('<key>', 'the key, 1 to 512 bytes', keyArgument)
    .argument('<json>', 'the value, as JSON: \'{"cents": 999}\', 5, \'"text"\'', jsonArgument)
    .addOption(
      new Option('--not-before <instant>', 'active with the first activation at or after it').argParser(instant),
    )
    .action(
      ending(
        shell,
        async (key: string, value: { readonly json: Json }, flags: CycleFlags & { readonly notBefore?: number }) => {
          const dated = flags.notBefore === undefined ? {} : { notBeforeMs: flags.notBefore };
          const body = (await client(flags).ask('PUT', itemPath(key), { value: value.json, ...dated })) as EditedBody;
          return show(flags, body, () => (body.changed === 0 ? 'nothing changed' : 'in production'));
        },
      ),
    );

  withCycleFlags(cycle.command('delete').description('edit production: remove a key'))
    .argument('<key>', 'the key', keyArgument)
    .action(
      ending(shell, async (key: string, flags: CycleFlags) => {
        const body = (await client(flags).ask('DELETE', itemPath(key))) as EditedBody;
        return show(flags, body, () => (body.changed === 0 ? 'there was no such key' : 'removed from production'));
      }),
    );

  withCycleFlags(cycle.command('get').description('print the value that a key has in production, as JSON'))
    .argument('<key>', 'the key', keyArgument)
    .action(
      ending(shell, async (key: string, flags: CycleFlags) => {
        const item = await itemOf(client(flags), key);
        if (item !== null) return show(flags, item, () => JSON.stringify(item.value));
        shell.err(`lockstep: production has no item ${JSON.stringify(key)}\n`);
        return exitCodes.notFound;
      }),
    );
}

function withCycleFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--to <url>', 'HTTP address of the data server')
        .env('LOCKSTEP_DATA_SERVER')
        .default(new URL(defaultDataServer), defaultDataServer)
        .argParser(nodeUrl),
    )
    .option('--token-file <file>', 'file that holds the token for it; default: what LOCKSTEP_TOKEN holds')
    .option('--ca <file>', "certificates (PEM) that its TLS certificate is checked with; default: the system's")
    .option('--json', 'print JSON, one line');
}

async function tableOf(client: Client): Promise<CycleBody> {
  const body = await client.ask('GET', '/v1/cycle');
  if (isCycle(body)) return body;
  throw new LockstepError('unreachable', `${client.url} is no data server of a pull cycle; check --to`);
}

/** Null: there is no such key. */
async function itemOf(client: Client, key: string): Promise<ItemBody | null> {
  try {
    return (await client.ask('GET', itemPath(key))) as ItemBody;
  } catch (error) {
    if (error instanceof LockstepError && error.code === 'bad-input') return null;
    throw error;
  }
}

function itemPath(key: string): string {
  return `/v1/items/${encodeURIComponent(key)}`;
}

/** Wrapped, since `null` and `false` are values too. */
function jsonArgument(text: string): { readonly json: Json } {
  try {
    return { json: JSON.parse(text) as Json };
  } catch (error) {
    throw new InvalidArgumentError(`${errorText(error)}. Give JSON; a text needs its own quotes: '"text"'.`);
  }
}
