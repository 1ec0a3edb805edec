import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { limits } from '../shared/protocol/kernel/limits.js';
import type { Phases, VoterPolicy } from '../shared/protocol/kernel/outcome.js';
import {
  dataSetsOf,
  directoryTimeoutMs,
  guardsOf,
  keySourceOf,
  refuseOpenDoors,
  withBinaryFlags,
  type BinaryFlags,
} from './binary-flags.js';
import { ending } from './common.js';
import { duration, nodeName, voterPolicy } from './flags.js';
import type { Shell } from './shell.js';

interface MasterFlags extends BinaryFlags {
  readonly name: string;
  readonly phases: Phases;
  readonly voters: VoterPolicy;
  readonly timeout?: number;
  readonly watch?: true;
  readonly takeOver?: true;
  readonly adoptFrom?: string;
  readonly resetGroup?: true;
  readonly lease: number;
}

const defaultStore = './data/master';
const defaultHttp = { host: '127.0.0.1', port: 7400 };

export function addMaster(program: Command, shell: Shell): void {
  const command = program
    .command('master')
    .description('run a master: the owner of the original, with an HTTP API for reads and changes');
  command.addOption(new Option('--name <name>', "the node's name in the group").default('master').argParser(nodeName));
  withBinaryFlags(command, {
    store: defaultStore,
    http: `${defaultHttp.host}:${defaultHttp.port}`,
    directory: 'replicate this folder instead of keys and values; publish its changes with lockstep publish',
  })
    .option('--watch', 'with --directory: publish by itself when the folder has changed and come to rest')
    .addOption(
      new Option('--phases <phases>', 'one: each applies on arrival; two: all or none')
        .choices(['one', 'two'])
        .default('two'),
    )
    .addOption(
      new Option('--voters <policy>', 'who must say yes: all, live, or how many at least')
        .default('live')
        .argParser(voterPolicy),
    )
    .addOption(
      new Option(
        '--timeout <duration>',
        `a round that is not decided by then aborts; default: ${limits.roundTimeoutMs / 1000}s, with --directory ${directoryTimeoutMs / 1000}s`,
      ).argParser(duration),
    )
    .addOption(
      new Option('--lease <duration>', 'how long a slave may call itself current without hearing the master')
        .default(limits.leaseMs, `${limits.leaseMs / 1000}s`)
        .argParser(duration),
    )
    .option('--take-over', 'lead although another master does; it steps down')
    .addOption(
      new Option(
        '--adopt-from <name>',
        "take this slave's copy as the original, when the store lost its own",
      ).argParser(nodeName),
    )
    .addOption(
      new Option(
        '--reset-group',
        'lead with what is in the store; slaves that hold something else take it over',
      ).conflicts('adoptFrom'),
    )
    .action(
      ending(shell, async (flags: MasterFlags) => {
        if (flags.lease > limits.maxLeaseMs)
          throw new LockstepError(
            'bad-option',
            `--lease ${flags.lease} ms is longer than ${limits.maxLeaseMs / 1000}s, the longest that the protocol allows; give less`,
          );
        const http = flags.http ?? defaultHttp;
        refuseOpenDoors(flags, http);
        const dataSets = dataSetsOf(flags);
        if (flags.watch === true && flags.directory === undefined)
          throw new LockstepError('bad-option', '--watch needs a folder to watch; give --directory, too');
        const store = flags.store ?? defaultStore;
        const isDirectory = flags.directory !== undefined;
        const keys = keySourceOf(flags);
        const guards = guardsOf(flags);
        // Loaded here, so that commands which only ask a node start fast.
        const [{ runBinary }, { runMaster }] = await Promise.all([import('./daemon.js'), import('../master/main.js')]);
        return runBinary(shell, flags, async (context) =>
          runMaster(
            {
              name: flags.name,
              dataSets,
              store,
              ...(flags.directory === undefined
                ? {}
                : {
                    directory: {
                      folder: flags.directory,
                      state: join(store, 'directory'),
                      watch: flags.watch === true,
                    },
                  }),
              http: { ...http, ...guards },
              group: flags.group,
              interface: flags.interface,
              port: flags.port,
              durability: flags.durability,
              insecure: flags.insecure === true,
              ...(keys === undefined ? {} : { keys }),
              leaseMs: flags.lease,
              takeOver: flags.takeOver === true,
              resetGroup: flags.resetGroup === true,
              ...(flags.peers === undefined ? {} : { peers: flags.peers }),
              ...(flags.transport === undefined ? {} : { transport: flags.transport }),
              ...(flags.adoptFrom === undefined ? {} : { adoptFrom: flags.adoptFrom }),
              defaults: {
                phases: flags.phases,
                voters: flags.voters,
                timeoutMs: flags.timeout ?? (isDirectory ? directoryTimeoutMs : limits.roundTimeoutMs),
                ...(isDirectory ? { callbackMs: directoryTimeoutMs } : {}),
              },
            },
            context,
          ),
        );
      }),
    );
}
