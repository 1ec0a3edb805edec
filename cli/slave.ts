import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Option, type Command } from 'commander';
import { errorText, LockstepError } from '../shared/protocol/kernel/errors.js';
import type { ShellValidator } from '../slave/main.js';
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
import { mustBeGiven } from './config-keys.js';
import { nodeName } from './flags.js';
import type { Shell } from './shell.js';

interface SlaveFlags extends BinaryFlags {
  readonly name: string;
  readonly validate?: string;
  readonly check?: string;
}

/** Several slaves run on one machine: each takes any free port and says which. */
const defaultHttp = { host: '127.0.0.1', port: 0 };

export function addSlave(program: Command, shell: Shell): void {
  const command = program
    .command('slave')
    .description("run a slave: a copy of the master's data, with an HTTP API for reads");
  command.addOption(
    mustBeGiven(new Option('--name <name>', "the node's name, unique in the group").argParser(nodeName)),
  );
  withBinaryFlags(command, {
    store: './data/NAME',
    http: '127.0.0.1 and any free port',
    directory: 'show the replicated folder here, as a symbolic link that is replaced with each version',
  })
    .option(
      '--validate <file.mjs>',
      'module whose export "validate" judges each operation: true accepts, a text refuses',
    )
    .option(
      '--check <command>',
      'with --directory: shell command that judges a new version in the folder $LOCKSTEP_STAGED; exit code 0 accepts',
    )
    .action(
      ending(shell, async (flags: SlaveFlags) => {
        const http = flags.http ?? defaultHttp;
        refuseOpenDoors(flags, http);
        const dataSets = dataSetsOf(flags);
        refuseMixedKinds(flags);
        const keys = keySourceOf(flags);
        const guards = guardsOf(flags);
        const store = flags.store ?? defaultStore(flags.name);
        const validate = flags.validate === undefined ? null : await loadValidator(flags.validate);
        const [{ runBinary }, { runSlave }] = await Promise.all([import('./daemon.js'), import('../slave/main.js')]);
        return runBinary(shell, flags, async (context) =>
          runSlave(
            {
              name: flags.name,
              dataSets,
              ...(flags.directory === undefined
                ? {}
                : {
                    directory: {
                      target: flags.directory,
                      check: flags.check ?? null,
                      callbackMs: directoryTimeoutMs,
                    },
                  }),
              store,
              http: { ...http, ...guards },
              group: flags.group,
              interface: flags.interface,
              port: flags.port,
              durability: flags.durability,
              insecure: flags.insecure === true,
              ...(keys === undefined ? {} : { keys }),
              ...(flags.peers === undefined ? {} : { peers: flags.peers }),
              ...(flags.transport === undefined ? {} : { transport: flags.transport }),
              validate,
            },
            context,
          ),
        );
      }),
    );
}

function refuseMixedKinds(flags: SlaveFlags): void {
  if (flags.directory !== undefined && flags.validate !== undefined)
    throw new LockstepError(
      'bad-option',
      `--validate ${flags.validate} judges keys and values; for a folder give --check`,
    );
  if (flags.directory === undefined && flags.check !== undefined)
    throw new LockstepError(
      'bad-option',
      '--check judges a folder; give --directory, or --validate for keys and values',
    );
}

function defaultStore(name: string): string {
  if (name === '.' || name === '..')
    throw new LockstepError('bad-option', `--name ${name} makes no folder of its own; give --store too`);
  return `./data/${name}`;
}

async function loadValidator(file: string): Promise<ShellValidator> {
  let module: unknown;
  try {
    module = await import(pathToFileURL(resolve(file)).href);
  } catch (error) {
    throw new LockstepError(
      'bad-option',
      `--validate ${file} can't be loaded: ${errorText(error)}; give an ES module that exports validate(operation, { current, dataSet })`,
      { cause: error },
    );
  }
  const found = exportOf(module, 'validate') ?? exportOf(module, 'default');
  if (found !== undefined) return found;
  throw new LockstepError(
    'bad-option',
    `--validate ${file} exports no function named validate; export function validate(operation, { current, dataSet }) that returns true or a reason`,
  );
}

function exportOf(module: unknown, name: string): ShellValidator | undefined {
  const value: unknown = typeof module === 'object' && module !== null ? Reflect.get(module, name) : undefined;
  // What it returns is checked for each operation: whatever isn't `true` refuses.
  return typeof value === 'function' ? (value as ShellValidator) : undefined;
}
