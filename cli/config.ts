import { Command, Option } from 'commander';
import { exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import { tokensVariable } from '../shared/http/tokens.js';
import { keysVariable } from './binary-flags.js';
import { ending } from './common.js';
import { parseConfig, readConfigText } from './config-file.js';
import { configKeys, type ConfigKey } from './config-keys.js';
import { applyConfiguration, configVariable, originText, refuseMissing, type Setting } from './config-settings.js';
import type { HostPort } from './flags.js';
import { nearest } from './nearest.js';
import type { Shell } from './shell.js';
import { nothing, tableText } from './table.js';

const roles = ['master', 'slave'] as const;
type Role = (typeof roles)[number];

/** Declares a role's command in a program: what its flags are is read from there. */
export type AddRole = (program: Command, shell: Shell) => void;

/** Texts in the environment that nobody is shown, by the key whose file they stand for. */
const secrets: Readonly<Record<string, string>> = { keys: keysVariable, httpTokens: tokensVariable };
/** Read by others than the nodes, or by tests. */
const otherVariables = [
  'LOCKSTEP_TO',
  'LOCKSTEP_TOKEN',
  'LOCKSTEP_CRASH_POINT',
  configVariable,
  keysVariable,
  tokensVariable,
];

/** Lets `lockstep master` and `lockstep slave` take their flags from a file and from the environment, too. */
export function configureRoles(program: Command): void {
  for (const role of roles) {
    const command = roleIn(program, role);
    addConfigFlag(command);
    command.hook('preAction', () => {
      refuseMissing(applyConfiguration(command, { environment: process.env, other: otherRole(program, role) }));
    });
  }
}

/**
 * Gives `lockstep doctor` what a node on this machine would take from the file and the environment. Such a file is a master's or
 * a slave's: what only a node needs is judged as the node would, and passed over.
 */
export function applyNodeConfiguration(program: Command, command: Command): readonly Setting[] {
  const own = new Map(configKeys(command).map((key) => [key.key, key]));
  const keys = new Map<string, ConfigKey>();
  for (const role of roles)
    for (const key of configKeys(roleIn(program, role))) keys.set(key.key, own.get(key.key) ?? key);
  return applyConfiguration(command, { environment: process.env, other: null, keys: [...keys.values()] });
}

export function addConfig(program: Command, shell: Shell, add: Readonly<Record<Role, AddRole>>): void {
  const config = program.command('config').description('show and check the configuration of nodes');
  const show = config.command('show').description('print what is in force for a node, and where each value came from');
  for (const role of roles) {
    const scratch = new Command();
    for (const each of roles) add[each](scratch, shell);
    const command = roleIn(scratch, role);
    addConfigFlag(command)
      .description(`with the flags, the environment and the file that a ${role} would have`)
      .option('--json', 'print JSON, one line')
      .action(
        ending(shell, async (flags: { readonly json?: true }) => {
          const settings = applyConfiguration(command, {
            environment: process.env,
            other: otherRole(scratch, role),
          }).filter(({ key }) => key.key !== 'json');
          shell.out(flags.json === true ? settingsJson(role, settings) : settingsText(settings));
          for (const line of strangeVariables(settings.map(({ key }) => key))) shell.err(`lockstep: ${line}\n`);
          return exitCodes.ok;
        }),
      );
    show.addCommand(command);
  }
  config
    .command('check')
    .description('say what is wrong in a configuration file, line by line')
    .argument('<file>', 'YAML')
    .addOption(new Option('--for <role>', 'who will read it; default: whichever it fits').choices(roles))
    .option('--json', 'print JSON, one line')
    .action(
      ending(shell, async (file: string, flags: { readonly for?: Role; readonly json?: true }) => {
        const text = readConfigText(file, 'config check');
        const checked = (flags.for === undefined ? roles : [flags.for]).map((role) => ({
          role,
          ...parseConfig(text, {
            keys: configKeys(roleIn(program, role)),
            role,
            other: otherRole(program, role),
          }),
        }));
        const fits = checked.filter(({ problems }) => problems.length === 0).map(({ role }) => role);
        // What it was meant for is rather what it fits better.
        const [best] = [...checked].sort((a, b) => a.problems.length - b.problems.length);
        const problems = best?.problems ?? [];
        if (flags.json === true) shell.out(JSON.stringify({ file, fits, problems }));
        else if (fits.length > 0) shell.out(`${file} is right for a ${fits.join(' and a ')}`);
        else for (const { line, message } of problems) shell.err(`${file} line ${line}: ${message}\n`);
        return fits.length > 0 ? exitCodes.ok : exitCodes.usage;
      }),
    );
}

export function addConfigFlag(command: Command): Command {
  return command.option(
    '--config <file>',
    `YAML that holds flags by their names (dataSet: prices); default: what ${configVariable} names`,
  );
}

function roleIn(program: Command, role: Role): Command {
  const found = program.commands.find((command) => command.name() === role);
  if (found === undefined) throw new LockstepError('bad-option', `there is no command ${role}`);
  return found;
}

function otherRole(program: Command, role: Role): { readonly name: Role; readonly keys: readonly ConfigKey[] } {
  const name = role === 'master' ? 'slave' : 'master';
  return { name, keys: configKeys(roleIn(program, name)) };
}

function settingsText(settings: readonly Setting[]): string {
  const rows = settings.map((setting) => {
    const secret = secretOf(setting);
    if (secret !== null) return [setting.key.key, '(set, not shown)', secret];
    return [setting.key.key, valueText(setting), originText(setting.origin)];
  });
  return tableText(['key', 'value', 'from'], rows);
}

function settingsJson(role: Role, settings: readonly Setting[]): string {
  const rows = settings.map((setting) => {
    const { key, flag, variable } = setting.key;
    const secret = secretOf(setting);
    if (secret !== null)
      return { key, flag, variable, value: null, isSecret: true, from: { kind: 'environment', variable: secret } };
    return {
      key,
      flag,
      variable,
      value: setting.value ?? setting.key.option.defaultValueDescription ?? null,
      from: setting.origin,
    };
  });
  return JSON.stringify({ role, settings: rows });
}

/** The variable that holds its text, when nothing names a file. */
function secretOf({ key, value }: Setting): string | null {
  const variable = secrets[key.key];
  return variable !== undefined && value === undefined && (process.env[variable] ?? '') !== '' ? variable : null;
}

function valueText({ key, value }: Setting): string {
  if (value === undefined) return key.option.isBoolean() ? 'false' : (key.option.defaultValueDescription ?? nothing);
  if (Array.isArray(value)) return value.join(', ');
  if (isHostPort(value)) return `${value.host}:${value.port}`;
  return key.option.flags.includes('<duration>') ? `${textOf(value)} ms` : textOf(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isHostPort(value: unknown): value is HostPort {
  return typeof value === 'object' && value !== null && 'host' in value && 'port' in value;
}

/** A variable with a slip in its name is otherwise passed over in silence. */
function strangeVariables(keys: readonly ConfigKey[]): readonly string[] {
  const known = [...keys.flatMap(({ variable }) => (variable === null ? [] : [variable])), ...otherVariables];
  return Object.keys(process.env)
    .filter((name) => name.startsWith('LOCKSTEP_') && !known.includes(name))
    .flatMap((name) => {
      const meant = nearest(
        name.slice('LOCKSTEP_'.length),
        known.map((each) => each.slice('LOCKSTEP_'.length)),
      );
      return meant === null ? [] : [`${name} is no variable of this command: did you mean LOCKSTEP_${meant}?`];
    });
}
