import type { CommandWords, Values } from './completion-words.js';

export function fishScript(commands: readonly CommandWords[]): string {
  return `# Completion of lockstep for fish: keep it as ~/.config/fish/completions/lockstep.fish
function __lockstep_at
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim "$path $word")
    contains -- "$next" ${commands
      .filter(({ path }) => path !== '')
      .map(({ path }) => quote(path))
      .join(' ')}; or break
    set path $next
  end
  test "$path" = "$argv[1]"
end
complete -c lockstep -f
${commands.flatMap(lines).join('\n')}
`;
}

function lines({ path, subcommands, flags, values }: CommandWords): readonly string[] {
  const at = `complete -c lockstep -n ${quote(`__lockstep_at "${path}"`)}`;
  return [
    ...subcommands.map(({ word, text }) => `${at} -a ${quote(word)} -d ${quote(text)}`),
    ...(values.kind === 'any' ? [] : [`${at}${valueText(values, ' -a')}`]),
    ...flags.map(({ word, short, text, values: taken }) => {
      const letter = short === null ? '' : ` -s ${short.slice(1)}`;
      return `${at} -l ${word.slice(2)}${letter}${taken === null ? '' : valueText(taken, ' -x -a')} -d ${quote(text)}`;
    }),
  ];
}

function valueText(values: Values, add: string): string {
  if (values.kind === 'choices') return `${add} ${quote(values.choices.join(' '))}`;
  return values.kind === 'files' ? ' -r -F' : ' -x';
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
