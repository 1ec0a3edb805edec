import { Argument, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { bashScript } from './completion-bash.js';
import { fishScript } from './completion-fish.js';
import { completionsOf } from './completion-words.js';
import { zshScript } from './completion-zsh.js';
import { ending } from './common.js';
import type { Shell } from './shell.js';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

export function addCompletion(program: Command, shell: Shell): void {
  program
    .command('completion')
    .description('print a script that completes commands, flags and their values in a shell')
    .addArgument(new Argument('<shell>', 'whose').choices(Object.keys(scripts)))
    .addHelpText(
      'after',
      `
Put it where the shell looks for it:
  $ lockstep completion bash > ~/.local/share/bash-completion/completions/lockstep
  $ lockstep completion zsh > "\${fpath[1]}/_lockstep"
  $ lockstep completion fish > ~/.config/fish/completions/lockstep.fish`,
    )
    .action(
      ending(shell, async (name: keyof typeof scripts) => {
        shell.out(scripts[name](completionsOf(program)).trimEnd());
        return exitCodes.ok;
      }),
    );
}
