import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../tests/integration/process/loopback.js';
import { Program } from '../../tests/support/program.js';

test('prints what its README shows', { timeout: 60_000 }, async () => {
  const readme = await readFile(join(import.meta.dirname, 'README.md'), 'utf8');
  const [, shown] = /```console\n\$ npx tsx (?:\S+)\n([^`]+)```/.exec(readme) ?? [];
  await using program = new Program(
    'examples/schema-veto/run.ts',
    `239.255.${randomInt(1, 255)}.1:${await freePort()}`,
  );
  expect(await program.endInput(), program.err).toBe(0);
  expect(program.out).toBe(shown);
});
