import type { CommandWords, Described, Values } from './completion-words.js';

export function zshScript(commands: readonly CommandWords[]): string {
  return `#compdef lockstep
# Completion of lockstep for zsh: keep it as _lockstep in a folder of $fpath.
_lockstep() {
  local path="" word current="\${words[CURRENT]}" before="\${words[CURRENT-1]}"
  local -i place
  for ((place = 2; place < CURRENT; place++)); do
    word="\${words[place]}"
    case "\${path:+$path }$word" in
      (${commands
        .filter(({ path }) => path !== '')
        .map(({ path }) => quote(path))
        .join('|')}) path="\${path:+$path }$word" ;;
      (*) break ;;
    esac
  done
  local -a subcommands flags
  case "$path:$before" in
${commands.flatMap(flagCases).join('\n')}
  esac
  case "$path" in
${commands.map(commandCase).join('\n')}
  esac
}
_lockstep "$@"
`;
}

function commandCase({ path, subcommands, flags, values }: CommandWords): string {
  return `    (${quote(path)})
      subcommands=(${subcommands.map(described).join(' ')})
      flags=(${flags.map(described).join(' ')})
      if [[ "$current" == -* ]]; then _describe flag flags
      elif (( \${#subcommands} )); then _describe command subcommands
      else ${valueCommand(values)}
      fi ;;`;
}

function flagCases({ path, flags }: CommandWords): readonly string[] {
  return flags.flatMap(({ word, values }) =>
    values === null ? [] : [`    (${quote(`${path}:${word}`)}) ${valueCommand(values)}; return ;;`],
  );
}

function valueCommand(values: Values): string {
  if (values.kind === 'choices') return `compadd -- ${values.choices.map(quote).join(' ')}`;
  return values.kind === 'files' ? '_files' : '_message value';
}

/** Colons part the word from its text. */
function described({ word, text }: Described): string {
  return quote(`${word.replaceAll(':', '\\:')}:${text}`);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
