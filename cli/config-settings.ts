import type { Command } from 'commander';
import { LockstepError } from '../shared/protocol/kernel/errors.js';
import { parseConfig, readConfigText, type ConfigFile, type FileValue, type OtherRole } from './config-file.js';
import { configKeys, isRequired, parseSwitch, parseTexts, type ConfigKey } from './config-keys.js';

export const configVariable = 'LOCKSTEP_CONFIG';

export type Origin =
  | { readonly kind: 'flag' }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'file'; readonly file: string; readonly line: number }
  | { readonly kind: 'default' };

/** One value that is in force, and where it came from. */
export interface Setting {
  readonly key: ConfigKey;
  /** Undefined: nothing is given, and there is no default. */
  readonly value: unknown;
  readonly origin: Origin;
}

/**
 * Gives a command what its flags left open: from the environment, else from the file of `--config` or `LOCKSTEP_CONFIG`. To be
 * called after the command line was read, and before the command runs. Throws `bad-option` for the first thing that is wrong.
 *
 * `keys`, by default the command's own, are all that may stand there: those that the command doesn't have are judged, too, and
 * passed over.
 */
export function applyConfiguration(
  command: Command,
  {
    environment,
    other,
    keys = configKeys(command),
  }: {
    readonly environment: NodeJS.ProcessEnv;
    readonly other: OtherRole | null;
    readonly keys?: readonly ConfigKey[];
  },
): readonly Setting[] {
  const role = command.name();
  const file = fileOf(command, environment);
  const give = ({ key, option }: ConfigKey, value: unknown, source: 'env' | 'config'): void => {
    if (command.options.includes(option)) command.setOptionValueWithSource(key, value, source);
  };
  const fromFile = file === null ? new Map<string, FileValue>() : valuesOf(file, { keys, role, other });
  const settings = keys.map((key): Setting => {
    const source = command.getOptionValueSource(key.key);
    if (source === 'cli') return { key, value: command.getOptionValue(key.key), origin: { kind: 'flag' } };
    const { variable } = key;
    const text = variable === null ? '' : (environment[variable] ?? '');
    if (variable !== null && text !== '') {
      const value = fromEnvironment(key, variable, text);
      if (value !== undefined) give(key, value, 'env');
      return { key, value, origin: { kind: 'environment', variable } };
    }
    const held = fromFile.get(key.key);
    if (held !== undefined && file !== null) {
      give(key, held.value, 'config');
      return { key, value: held.value, origin: { kind: 'file', file: file.name, line: held.line } };
    }
    return { key, value: command.getOptionValue(key.key), origin: { kind: 'default' } };
  });
  refuseConflicts(settings);
  return settings;
}

/** What has to be given and isn't. Apart from `applyConfiguration`, so that `config show` can show the rest. */
export function refuseMissing(settings: readonly Setting[]): void {
  const missing = settings.find(({ key, value }) => isRequired(key) && value === undefined);
  if (missing === undefined) return;
  const { key, flag, variable, option } = missing.key;
  throw new LockstepError(
    'bad-option',
    `required option '${option.flags}' not specified; give ${flag}, ${variable === null ? '' : `set ${variable}, `}or put ${key} into the configuration file`,
  );
}

export function originText(origin: Origin): string {
  switch (origin.kind) {
    case 'flag':
      return 'flag';
    case 'environment':
      return origin.variable;
    case 'file':
      return `${origin.file}:${origin.line}`;
    case 'default':
      return 'default';
  }
}

function fileOf(
  command: Command,
  environment: NodeJS.ProcessEnv,
): { readonly name: string; readonly where: string } | null {
  const flag: unknown = command.getOptionValue('config');
  if (typeof flag === 'string') return { name: flag, where: '--config' };
  const name = environment[configVariable] ?? '';
  return name === '' ? null : { name, where: configVariable };
}

function valuesOf(
  { name, where }: { readonly name: string; readonly where: string },
  schema: { readonly keys: readonly ConfigKey[]; readonly role: string; readonly other: OtherRole | null },
): ConfigFile['values'] {
  const { values, problems } = parseConfig(readConfigText(name, where), schema);
  const [first, ...others] = problems;
  if (first === undefined) return values;
  const rest = others.length === 0 ? '' : ` (and ${others.length} more; lockstep config check ${name} lists them)`;
  throw new LockstepError('bad-option', `${name} line ${first.line}: ${first.message}${rest}`);
}

function fromEnvironment(key: ConfigKey, variable: string, text: string): unknown {
  if (key.option.isBoolean()) {
    const value = parseSwitch(text);
    if (value === null) throw new LockstepError('bad-option', `${variable} '${text}' is invalid. Give true or false`);
    return value ? true : undefined;
  }
  const texts = key.isList ? text.split(',').map((each) => each.trim()) : [text];
  const read = parseTexts(key, texts);
  if (read.ok) return read.value;
  throw new LockstepError('bad-option', `${variable} ${read.reason}`);
}

/** Commander has looked at the flags; two that exclude each other may also come from different places. */
function refuseConflicts(settings: readonly Setting[]): void {
  const given = settings.filter(({ value, origin }) => value !== undefined && origin.kind !== 'default');
  for (const setting of given) {
    // Commander keeps it there, and its types don't say so.
    const rivals = Reflect.get(setting.key.option, 'conflictsWith') as readonly string[];
    const rival = given.find(({ key }) => rivals.includes(key.key));
    if (rival === undefined) continue;
    throw new LockstepError(
      'bad-option',
      `${setting.key.flag} (${originText(setting.origin)}) cannot be used with ${rival.key.flag} (${originText(rival.origin)}); leave one out`,
    );
  }
}
