import type { CommandWords, Values } from './completion-words.js';

/** Needs nothing but bash itself, of version 3.2 or newer. */
export function bashScript(commands: readonly CommandWords[]): string {
  const deepest = Math.max(...commands.map(({ path }) => path.split(' ').length));
  return `# Completion of lockstep for bash: source it, or keep it as ~/.local/share/bash-completion/completions/lockstep
_lockstep() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" path="" word
  COMPREPLY=()
  local depth=0 place
  for ((place = 1; place < COMP_CWORD && depth < ${deepest}; place++)); do
    word="\${COMP_WORDS[place]}"
    case "\${path:+$path }$word" in
      ${commands
        .filter(({ path }) => path !== '')
        .map(({ path }) => quote(path))
        .join(' | ')}) path="\${path:+$path }$word"; depth=$((depth + 1)) ;;
      *) break ;;
    esac
  done
  local subcommands="" flags="" values=""
  case "$path:$before" in
${commands.flatMap(flagCases).join('\n')}
  esac
  case "$path" in
${commands.map(commandCase).join('\n')}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *)
      if [ "$values" = "<files>" ]; then COMPREPLY=($(compgen -f -- "$current"))
      else COMPREPLY=($(compgen -W "$subcommands $values" -- "$current"))
      fi ;;
  esac
}
complete -o filenames -F _lockstep lockstep
`;
}

function commandCase({ path, subcommands, flags, values }: CommandWords): string {
  const words = subcommands.map(({ word }) => word).join(' ');
  const long = flags.map(({ word }) => word).join(' ');
  return `    ${quote(path)}) subcommands="${words}" flags="${long}" values="${valueWords(values)}" ;;`;
}

function flagCases({ path, flags }: CommandWords): readonly string[] {
  return flags.flatMap(({ word, values }) => {
    if (values === null) return [];
    const reply =
      values.kind === 'files'
        ? 'COMPREPLY=($(compgen -f -- "$current")); '
        : values.kind === 'choices'
          ? `COMPREPLY=($(compgen -W "${valueWords(values)}" -- "$current")); `
          : '';
    return [`    ${quote(`${path}:${word}`)}) ${reply}return ;;`];
  });
}

function valueWords(values: Values): string {
  if (values.kind === 'choices') return values.choices.join(' ');
  return values.kind === 'files' ? '<files>' : '';
}

function quote(text: string): string {
  return `'${text}'`;
}
