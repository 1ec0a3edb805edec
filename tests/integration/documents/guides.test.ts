import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../../cli/program.js';
import { pages, root } from './code.js';

/** Commands on pages are there to be typed: each exists, with the flags that it is given. */

const program = createProgram({
  out: () => undefined,
  err: () => undefined,
  isInteractive: false,
  fetch,
  input: (async function* () {})(),
  exitCode: 0,
});

const all = await pages();
const guides = all.filter((name) => name.startsWith('docs/how-to/'));

/** What stands behind `lockstep` on the lines with a prompt, also where a list indents them. */
async function typedIn(document: string): Promise<string[]> {
  const text = await readFile(new URL(document, root), 'utf8');
  const lines = text.split('\n').filter((line) => /^\s*\$ /.test(line));
  const prompt = /(?:\$|exec master|[a-z]\w*=\S*) (?:npx |npm run )?lockstep (?:-- )?(.*)$/gi;
  return lines.flatMap((line) => [...line.matchAll(prompt)].map(([, rest = '']) => rest));
}

test.each(all)('%s names commands and flags that there are', async (document) => {
  for (const rest of await typedIn(document)) {
    const [name = '', ...words] =
      rest
        .split(/ [|>&]/)[0]
        ?.trim()
        .split(/\s+/) ?? [];
    const found = program.commands.find((one) => one.name() === name);
    expect(found, `lockstep ${name}`).toBeDefined();
    // `key rotate`, `token new` and `config show slave` have commands of their own.
    const inner = deepest(found, words);
    const known = inner?.options.map(({ long }) => long) ?? [];
    for (const word of words.filter((one) => one.startsWith('--')))
      expect(known, `lockstep ${rest}`).toContain(word.split('=')[0]);
  }
});

function deepest(command: Command | undefined, words: readonly string[]): Command | undefined {
  const inner = command?.commands.find((one) => one.name() === words[0]);
  return inner === undefined ? command : deepest(inner, words.slice(1));
}

test('there are guides, and they have commands', async () => {
  expect(guides.length).toBeGreaterThanOrEqual(8);
  const typed = await Promise.all(guides.map(typedIn));
  expect(typed.flat().length).toBeGreaterThanOrEqual(10);
  expect((await typedIn('README.md')).length).toBeGreaterThanOrEqual(10);
  expect(await typedIn('docs/configuration.md')).toEqual(['config show slave --config node.yaml --port 7402']);
});
