import { randomInt } from 'node:crypto';
import { copyFile, chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import type { StatusBody } from '../../../shared/http/bodies.js';
import { compiledLockstep } from '../process/compiled.js';
import { eventually } from '../process/lockstep-process.js';
import { freePort } from '../process/loopback.js';
import { blocksOf, root } from './code.js';
import { ShellSession } from './shell-session.js';

/**
 * `docs/tutorial.md`, walked through by a shell: every command in its order, each with the output that the page promises. Only
 * addresses differ, so that tests run side by side, and the package is linked instead of installed.
 */

const page = 'docs/tutorial.md';

interface Step {
  readonly command: string;
  /** The lines that the page shows below it. */
  readonly output: readonly string[];
}

function stepsOf(code: string): readonly Step[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const line of code.split('\n')) {
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: [] });
    else steps.at(-1)?.output.push(line);
  }
  return steps;
}

/** The page's line, with any number and any width of a column; `…` at its end stands for whatever follows. */
function patternOf(line: string): RegExp {
  const escaped = line.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  // What stands in quotes is data, and so are epochs and versions: they have to be just so.
  const parts = escaped.split(/("[^"]*":\S*|\be\d+ v\d+\b|\bversion \d+\b)/);
  const loose = parts.map((part, index) =>
    index % 2 === 1 ? part : part.replaceAll(/\d+(\\\.\d+)?/g, '\\d+(\\.\\d+)?').replaceAll(/ +/g, ' +'),
  );
  return new RegExp(`^${loose.join('').replace(/…$/, '.*')}$`);
}

/** How many slaves there should be after this command. */
function slavesAfter(command: string, before: number): number {
  if (/^lockstep slave .*&$/.test(command) || /^node .*&$/.test(command)) return before + 1;
  return /^kill -9 %3$/.test(command) ? before - 1 : before;
}

async function membersAre(url: string, count: number): Promise<true | undefined> {
  const answer = await fetch(`${url}/v1/status`).catch(() => null);
  if (answer?.ok !== true) return undefined;
  const status = (await answer.json()) as StatusBody;
  const dataSet = status.role === 'master' ? status.dataSets[0] : undefined;
  if (dataSet?.mayCommit !== true) return undefined;
  const current = dataSet.members.filter(
    ({ live, state, behind }) => live && state === 'current' && (behind === 0 || dataSet.tip === null),
  );
  return current.length === count ? true : undefined;
}

/** The package, as it would be after `npm install`. */
async function install(folder: string): Promise<void> {
  const main = await compiledLockstep();
  const place = join(folder, 'node_modules/lockstep');
  await mkdir(join(folder, 'node_modules/.bin'), { recursive: true });
  await mkdir(place);
  await copyFile(new URL('package.json', root), join(place, 'package.json'));
  await symlink(dirname(dirname(main)), join(place, 'dist'));
  const command = join(folder, 'node_modules/.bin/lockstep');
  // As npm links it: a script that node runs, in the same process.
  await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  await chmod(command, 0o755);
  await writeFile(join(folder, 'package.json'), '{ "name": "shop", "type": "module" }\n');
}

test('every command of the tutorial does what the page says', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-tutorial-'));
  try {
    await install(folder);
    const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
    const ports = { '7400': await freePort(), '7410': await freePort(), '8080': await freePort() };
    const elsewhere = (text: string): string =>
      text.replaceAll(/127\.0\.0\.1:(7400|7410|8080)/g, (_, port: keyof typeof ports) => `127.0.0.1:${ports[port]}`);
    const url = `http://127.0.0.1:${ports['7400']}`;
    const files = await blocksOf(page, 'js');
    expect(files).toHaveLength(2);
    for (const { code } of files) {
      const [, name = ''] = /^\/\/ (\S+)$/m.exec(code) ?? [];
      const own = code.replace("name: 'shop',", `name: 'shop', group: '${group}',`);
      await writeFile(join(folder, name), own.replace('8080', String(ports['8080'])));
    }
    const path = `${join(folder, 'node_modules/.bin')}:${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`;
    await using shell = new ShellSession({ folder, env: { PATH: path, LOCKSTEP_TO: url } });
    // Whether or not this machine has one: all that the page needs of curl.
    await shell.run(
      `curl() { node -e 'fetch(process.argv[1]).then((a) => a.text()).then((t) => process.stdout.write(t))' "$2"; }`,
    );

    const steps = (await blocksOf(page, 'console')).flatMap(({ code }) => stepsOf(code));
    expect(steps.length).toBeGreaterThanOrEqual(25);
    let slaves = 0;
    let leads = false;
    for (const { command, output } of steps) {
      // What a reader does who sees that it isn't so yet.
      if (leads && /^(lockstep (status|put|members)|curl)/.test(command))
        await eventually(`${slaves} slaves before: ${command}`, () => membersAre(url, slaves), 30_000);
      // The wait is for a lease to end, which is looked for above.
      if (command.startsWith('sleep ')) continue;
      const starts = /^lockstep (master|slave) /.test(command);
      const here = elsewhere(command);
      const typed = !starts
        ? here
        : here.replace(
            ' > ',
            ` --group ${group}${here.includes('--http') ? '' : ` --http 127.0.0.1:${command.includes('master') ? ports['7400'] : 0}`} > `,
          );
      const { out } = await shell.run(typed);
      slaves = slavesAfter(command, slaves);
      if (command.startsWith('lockstep master')) leads = true;
      if (command === 'kill -9 %1') leads = false;
      // Bash's own remarks on its jobs.
      const lines = out
        .split('\n')
        .filter((line) => line.trim() !== '' && !/^\[\d+\]|^bash: line \d+: +\d+ (Killed|Done)/.test(line));
      const wanted: RegExp[] = output.filter((line) => line !== '').map((line) => patternOf(elsewhere(line)));
      if (starts || /^(node|kill|wait)/.test(command)) continue;
      expect(lines.length, `${command}\n${out}`).toBe(wanted.length);
      // Members stand in the order in which they joined.
      for (const line of lines) {
        const found = wanted.findIndex((pattern) => pattern.test(line.trim()));
        expect(found, `${command}\n${out}\nis not what the page shows:\n${output.join('\n')}`).toBeGreaterThanOrEqual(
          0,
        );
        wanted.splice(found, 1);
      }
    }
    // They said goodbye by themselves.
    for (const log of ['a.log', 'b.log', 'service.log'])
      expect(await readFile(join(folder, log), 'utf8')).not.toMatch(/error|bug/i);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 180_000);
