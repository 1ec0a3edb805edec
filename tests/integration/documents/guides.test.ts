import { readdir, readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../../cli/program.js';
import { root } from './code.js';

/** Commands in guides are there to be typed: each exists, with the flags that it is given. */

const program = createProgram({
  out: () => undefined,
  err: () => undefined,
  isInteractive: false,
  fetch,
  input: (async function* () {})(),
  exitCode: 0,
});

const guides = (await readdir(new URL('docs/how-to/', root))).map((name) => `docs/how-to/${name}`);

/** What stands behind `lockstep` on the lines with a prompt, also where a list indents them. */
async function typedIn(document: string): Promise<string[]> {
  const text = await readFile(new URL(document, root), 'utf8');
  const lines = text.split('\n').filter((line) => /^\s*\$ /.test(line));
  return lines.flatMap((line) => [...line.matchAll(/(?:\$|exec master) lockstep (.*)$/g)].map(([, rest = '']) => rest));
}

test.each([...guides, 'docs/tutorial.md', 'deploy/README.md'])(
  '%s names commands and flags that there are',
  async (document) => {
    for (const rest of await typedIn(document)) {
      const [name = '', ...words] =
        rest
          .split(/ [|>&]/)[0]
          ?.trim()
          .split(/\s+/) ?? [];
      const found = program.commands.find((one) => one.name() === name);
      expect(found, `lockstep ${name}`).toBeDefined();
      // `key rotate` and `token new` have commands of their own.
      const inner = found?.commands.find((one: Command) => one.name() === words[0]) ?? found;
      const known = inner?.options.map(({ long }) => long) ?? [];
      for (const word of words.filter((one) => one.startsWith('--')))
        expect(known, `lockstep ${rest}`).toContain(word.split('=')[0]);
    }
  },
);

test('there are guides, and they have commands', async () => {
  expect(guides.length).toBeGreaterThanOrEqual(8);
  const typed = await Promise.all(guides.map(typedIn));
  expect(typed.flat().length).toBeGreaterThanOrEqual(10);
});
