import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { exitCodes } from '../shared/protocol/kernel/errors.js';
import { problemOf } from '../shared/http/problem.js';
import { errorCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import { runLockstep } from '../tests/support/run-lockstep.js';
import { createProgram } from './program.js';
import type { Shell } from './shell.js';

const cliPage = await readFile(new URL('../docs/cli.md', import.meta.url), 'utf8');
const httpPage = await readFile(new URL('../docs/http.md', import.meta.url), 'utf8');
const shell: Shell = {
  out: () => undefined,
  err: () => undefined,
  isInteractive: false,
  fetch,
  input: (async function* () {})(),
  exitCode: 0,
};

test('docs/cli.md lists exactly the exit codes', () => {
  const rows = [...cliPage.matchAll(/^\| (\d+) \| `(\w+)` \|/gm)].map(([, code, name]) => [name, Number(code)]);
  expect(Object.fromEntries(rows)).toEqual(exitCodes);
  expect(rows).toHaveLength(Object.keys(exitCodes).length);
});

test('docs/cli.md names every command and every flag', () => {
  const program = createProgram(shell);
  expect(program.commands.length).toBeGreaterThanOrEqual(9);
  for (const command of program.commands) {
    expect(cliPage, command.name()).toContain(`lockstep ${command.name()}`);
    for (const option of command.options)
      expect(cliPage, `${command.name()} ${option.long ?? ''}`).toContain(`\`${option.long ?? '?'}`);
  }
});

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  expect(await runLockstep(['--version'])).toEqual({ exitCode: 0, out: `${version}\n`, err: '' });
});

test('every command prints JSON when asked to, but those that run a node and that print a script', () => {
  const leaves = (command: Command, path: string): string[] =>
    command.commands.length > 0
      ? command.commands.flatMap((inner) => leaves(inner, `${path} ${inner.name()}`))
      : command.options.some(({ long }) => long === '--json')
        ? []
        : [path];
  const without = createProgram(shell).commands.flatMap((command) => leaves(command, command.name()));
  expect(without.map((path) => path.split(' ')[0])).toEqual(expect.arrayContaining(['master', 'slave', 'completion']));
  expect(without.filter((path) => !/^(master|slave|completion)/.test(path))).toEqual([]);
});

test('docs/http.md lists every code that a request can be answered with, beside its status', () => {
  const documented = [...httpPage.matchAll(/^\| (\d{3}) \| (`.*?) \|/gm)].flatMap(([, status, codes]) =>
    [...(codes ?? '').matchAll(/`([a-z-]+)`/g)].map(([, code]) => `${status} ${code ?? ''}`),
  );
  for (const code of errorCodes) {
    const problem = problemOf(new LockstepError(code, ''));
    if (problem !== null) expect(documented).toContain(`${problem.status} ${code}`);
  }
});
