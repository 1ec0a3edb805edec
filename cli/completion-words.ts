import type { Argument, Command, Option } from 'commander';

/** What one command takes, as far as a shell can complete it. */
export interface CommandWords {
  /** From the program on: `''` for the program itself, `key rotate` for a command below one. */
  readonly path: string;
  readonly subcommands: readonly Described[];
  readonly flags: readonly FlagWords[];
  /** Of its first argument. */
  readonly values: Values;
}

export interface Described {
  readonly word: string;
  readonly text: string;
}

export interface FlagWords extends Described {
  readonly short: string | null;
  /** Null: it takes none. */
  readonly values: Values | null;
}

export type Values =
  { readonly kind: 'choices'; readonly choices: readonly string[] } | { readonly kind: 'files' | 'any' };

/** Read from the program itself, so that it knows no other commands and flags than there are. */
export function completionsOf(program: Command): readonly CommandWords[] {
  return below(program, '');
}

function below(command: Command, path: string): readonly CommandWords[] {
  const help = command.createHelp();
  const subcommands = help.visibleCommands(command);
  const words: CommandWords = {
    path,
    subcommands: subcommands.map((each) => ({ word: each.name(), text: firstClause(each.description()) })),
    flags: help.visibleOptions(command).flatMap(flagWords),
    values: valuesOf(command.registeredArguments[0]),
  };
  const others = command.commands.flatMap((each) => below(each, path === '' ? each.name() : `${path} ${each.name()}`));
  return path === '' ? [words, helpWords(words), ...others] : [words, ...others];
}

/** `help COMMAND`, which commander makes by itself. */
function helpWords({ subcommands }: CommandWords): CommandWords {
  const choices = subcommands.map(({ word }) => word);
  return { path: 'help', subcommands: [], flags: [], values: { kind: 'choices', choices } };
}

function flagWords(option: Option): readonly FlagWords[] {
  if (option.long === undefined || option.hidden) return [];
  const values = option.isBoolean() ? null : valuesOf(option);
  return [{ word: option.long, short: option.short ?? null, text: firstClause(option.description), values }];
}

/** Files where the help says so: `--keys <file>`, `--store <folder>`. */
function valuesOf(taker: Option | Argument | undefined): Values {
  if (taker?.argChoices !== undefined) return { kind: 'choices', choices: taker.argChoices };
  const name = taker === undefined ? '' : 'flags' in taker ? taker.flags : taker.name();
  return { kind: /\b(file|folder)\b/.test(name) ? 'files' : 'any' };
}

/** Descriptions go into a list beside the words: the first clause is enough there. */
function firstClause(description: string): string {
  return description.split(/[;:]/)[0]?.trim() ?? '';
}
