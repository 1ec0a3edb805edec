import { Option, type Command } from 'commander';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { newToken, roles, type Role } from '../shared/http/tokens.js';
import { ending } from './common.js';
import type { Shell } from './shell.js';

export function addToken(program: Command, shell: Shell): void {
  program
    .command('token')
    .description('make tokens for the HTTP API')
    .command('new')
    .description('print a new token, and the line for the file that nodes read with --http-tokens')
    .addOption(
      new Option('--role <role>', 'read; write, which reads too; admin, which does everything')
        .choices(roles)
        .makeOptionMandatory(),
    )
    .option('--json', 'print JSON, one line')
    .action(
      ending(shell, async (flags: { readonly role: Role; readonly json?: true }) => {
        const { token, line } = newToken(flags.role);
        shell.out(flags.json === true ? JSON.stringify({ token, line }) : `token: ${token}\nline:  ${line}`);
        return exitCodes.ok;
      }),
    );
}
