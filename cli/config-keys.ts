import { InvalidArgumentError, type Command, type Option } from 'commander';

/** One thing that can be configured: a flag, and by the same declaration a key of the file and an environment variable. */
export interface ConfigKey {
  /** In the file: `dataSet`. */
  readonly key: string;
  /** On the command line: `--data-set`. */
  readonly flag: string;
  /** `LOCKSTEP_DATA_SET`; null for those whose variable holds a secret text in place of a file's name. */
  readonly variable: string | null;
  readonly option: Option;
  readonly isList: boolean;
}

const required = new WeakSet<Option>();

/** It has to be given, by whatever of the three; commander itself would only look at the command line. */
export function mustBeGiven(option: Option): Option {
  required.add(option);
  return option;
}

export function isRequired({ option }: ConfigKey): boolean {
  return required.has(option);
}

/** These name a file on the command line, and hold its text in the environment. */
const secretKeys: ReadonlySet<string> = new Set(['keys', 'httpTokens']);

/** Every flag of the command but those that say where the configuration is. */
export function configKeys(command: Command): readonly ConfigKey[] {
  return command.options
    .filter(({ long }) => long !== undefined && long !== '--config' && long !== '--help')
    .map((option) => {
      const key = option.attributeName();
      const variable = `LOCKSTEP_${key.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
      return {
        key,
        flag: option.long ?? '',
        variable: secretKeys.has(key) ? null : variable,
        option,
        // A parser that is given what came before collects what is repeated.
        isList: (option.parseArg?.length ?? 0) > 1 && option.argChoices === undefined,
      };
    });
}

/** As the command line would take it; a text instead of a value says what is wrong. */
export function parseTexts(
  { option }: ConfigKey,
  texts: readonly string[],
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reason: string } {
  let value: unknown;
  for (const text of texts) {
    try {
      value = option.parseArg === undefined ? text : option.parseArg<unknown>(text, value);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      return { ok: false, reason: `'${text}' is invalid. ${error.message.replace(/\.$/, '')}` };
    }
  }
  return { ok: true, value };
}

/** `true` and `false`, and what else people write into environments for them. Null: neither. */
export function parseSwitch(text: string): boolean | null {
  if (['true', '1', 'yes', 'on'].includes(text.toLowerCase())) return true;
  return ['false', '0', 'no', 'off'].includes(text.toLowerCase()) ? false : null;
}
