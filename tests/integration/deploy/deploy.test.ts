import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createProgram } from '../../../cli/program.js';
import { exitCodes } from '../../../shared/protocol/kernel/errors.js';

/** The files under `deploy/` name flags, exit codes and paths of this repository: here they are held to it. */

const root = join(import.meta.dirname, '../../..');
const program = createProgram({
  out: () => undefined,
  err: () => undefined,
  isInteractive: false,
  fetch,
  input: (async function* () {})(),
  exitCode: 0,
});

async function textOf(path: string): Promise<string> {
  return readFile(join(root, path), 'utf8');
}

/** The command and the flags of `lockstep …` exist, and each flag has a value exactly when it takes one. */
function problemsOf(words: readonly string[]): string[] {
  const [name = '', ...rest] = words;
  const command = program.commands.find((one) => one.name() === name);
  if (command === undefined) return [`there is no command ${name}`];
  const problems: string[] = [];
  for (let index = 0; index < rest.length; index += 1) {
    const word = rest[index] ?? '';
    const [flag = '', value] = word.split(/=(.*)/s);
    const option = command.options.find(({ long }) => long === flag);
    if (option === undefined) problems.push(`${name} has no flag ${word}`);
    else if (option.required && value === undefined) index += 1;
    else if (!option.required && value !== undefined) problems.push(`${flag} takes no value`);
  }
  return problems;
}

describe('deploy/docker', () => {
  test('the Dockerfile copies what there is, runs as somebody else than root, and asks the node itself for its health', async () => {
    const text = (await textOf('deploy/docker/Dockerfile')).replaceAll(/\\\n\s*/g, '');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    const stages = lines
      .filter((line) => line.startsWith('FROM '))
      .map((line) => / AS (\w+)$/.exec(line)?.[1] ?? 'last');
    expect(stages).toEqual(['build', 'last']);
    const built = ['node_modules', 'dist'];
    for (const line of lines.filter((one) => one.startsWith('COPY '))) {
      const words = line.split(' ').slice(1);
      const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
      if (from !== undefined) expect(stages).toContain(from);
      for (const source of words.filter((word) => !word.startsWith('--')).slice(0, -1)) {
        const path = from === undefined ? source : source.replace(/^\/src\//, '');
        if (!built.includes(path)) expect(existsSync(join(root, path)), source).toBe(true);
      }
    }
    const last = lines.slice(lines.lastIndexOf(lines.findLast((line) => line.startsWith('FROM ')) ?? ''));
    expect(last).toContain('USER node');
    expect(last.indexOf('USER node')).toBeLessThan(last.findIndex((line) => line.startsWith('ENTRYPOINT')));
    const health = last.find((line) => line.startsWith('HEALTHCHECK'));
    const [, ...asked] = JSON.parse(/CMD (\[.*\])$/.exec(health ?? '')?.[1] ?? '[]') as string[];
    expect(problemsOf(asked)).toEqual([]);
    expect(asked[0]).toBe('status');
    expect(text).not.toMatch(/(token|secret|password|keys?)=/i);
    const engines = JSON.parse(await textOf('package.json')) as { engines: { node: string } };
    const [, major = ''] = /FROM node:(\d+)-/.exec(text) ?? [];
    expect(Number(major)).toBeGreaterThanOrEqual(Number(/\d+/.exec(engines.engines.node)?.[0]));
  });

  test('no key gets into an image', async () => {
    const ignored = (await textOf('deploy/docker/Dockerfile.dockerignore')).split('\n');
    for (const pattern of ['.git', '**/*.key', '**/keys', '**/*.env', '**/data']) expect(ignored).toContain(pattern);
  });

  interface Compose {
    readonly services: Readonly<
      Record<
        string,
        {
          readonly command: readonly string[];
          readonly secrets: readonly string[];
          readonly volumes: readonly string[];
          readonly build: { readonly context: string; readonly dockerfile: string };
          readonly network_mode?: string;
          readonly networks?: { readonly group: { readonly ipv4_address: string } };
        }
      >
    >;
    readonly secrets: Readonly<Record<string, { readonly file: string }>>;
    readonly volumes: Readonly<Record<string, null>>;
  }

  test.each(['compose.yaml', 'compose.unicast.yaml'])(
    '%s gives flags, keys and volumes that there are',
    async (name) => {
      const compose = parse(await textOf(`deploy/docker/${name}`), { merge: true }) as Compose;
      expect(Object.keys(compose.services).length).toBeGreaterThanOrEqual(2);
      for (const [service, { command, secrets, volumes, build }] of Object.entries(compose.services)) {
        expect(problemsOf(command), service).toEqual([]);
        const key = command.find((word) => word.startsWith('--keys='))?.slice('--keys=/run/secrets/'.length) ?? '';
        expect(key).toBe(`${command[0] ?? ''}.key`);
        expect(secrets).toEqual([key]);
        expect(Object.keys(compose.secrets)).toContain(key);
        for (const volume of volumes) {
          const [from = '', to] = volume.split(':');
          expect(Object.keys(compose.volumes)).toContain(from);
          expect(command).toContain(`--store=${to ?? ''}`);
        }
        const context = join(root, 'deploy/docker', build.context);
        expect(existsSync(join(context, 'package.json')), 'the context is the repository').toBe(true);
        expect(existsSync(join(context, build.dockerfile))).toBe(true);
      }
    },
  );

  test('multicast takes the network of the machine; by unicast, each knows all others at their addresses', async () => {
    const multicast = parse(await textOf('deploy/docker/compose.yaml'), { merge: true }) as Compose;
    for (const service of Object.values(multicast.services)) expect(service.network_mode).toBe('host');
    const unicast = parse(await textOf('deploy/docker/compose.unicast.yaml'), { merge: true }) as Compose;
    const nodes = Object.values(unicast.services).map(({ command, networks }) => {
      const value = (flag: string): string =>
        command.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1) ?? '';
      expect(value('--interface')).toBe(networks?.group.ipv4_address);
      return { self: `${value('--interface')}:${value('--port')}`, peers: value('--peers').split(',') };
    });
    const all = nodes.map(({ self }) => self);
    for (const { self, peers } of nodes) expect([...peers, self].sort()).toEqual([...all].sort());
  });
});

describe('deploy/systemd', () => {
  const units = ['lockstep-master.service', 'lockstep-slave@.service'] as const;

  /** Every value of a setting, in order. */
  function settings(text: string, name: string): string[] {
    return [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value);
  }

  test.each(units)(
    '%s starts a node with flags that there are, and not again where that mends nothing',
    async (unit) => {
      const text = await textOf(`deploy/systemd/${unit}`);
      const [start = ''] = settings(text, 'ExecStart');
      const words = start.split(' ');
      expect(words.shift()).toBe('/usr/bin/lockstep');
      expect(problemsOf(words.filter((word) => word !== '$LOCKSTEP_FLAGS'))).toEqual([]);
      // The flags that the comment proposes.
      const [, proposed = ''] = /#\s+LOCKSTEP_FLAGS=(.*)$/m.exec(text) ?? [];
      expect(problemsOf([words[0] ?? '', ...proposed.split(' ')])).toEqual([]);
      const codes = settings(text, 'RestartPreventExitStatus').flatMap((list) => list.split(' ').map(Number));
      const { usage, storeFormat, refusedToLead, steppedDown, nameTaken } = exitCodes;
      const mine = unit.startsWith('lockstep-master')
        ? [usage, storeFormat, refusedToLead, steppedDown, nameTaken]
        : [usage, storeFormat, nameTaken];
      expect(codes).toEqual(mine);
      expect(settings(text, 'User')).toEqual(['lockstep']);
      expect(settings(text, 'CapabilityBoundingSet')).toEqual(['']);
    },
  );

  const analyze = '/usr/bin/systemd-analyze';

  // Reported as skipped where the tool isn't: it reads files, and needs no systemd that runs.
  test.skipIf(!existsSync(analyze)).each(units)(
    '%s is understood by systemd, and exposes little',
    async (unit) => {
      const folder = await mkdtemp(join(tmpdir(), 'lockstep-units-'));
      try {
        const instance = unit.replace('@.', '@a.');
        const text = (await textOf(`deploy/systemd/${unit}`)).replaceAll('/usr/bin/lockstep', process.execPath);
        await writeFile(join(folder, unit), text);
        const run = promisify(execFile);
        const { stderr } = await run(analyze, ['verify', join(folder, basename(instance))]);
        expect(stderr).not.toContain(unit.split('.')[0]);
        // 20 of 100: systemd calls up to 4 of 10 OK. Ends with 1 when it is more.
        await run(analyze, ['security', '--offline=true', '--threshold=20', join(folder, basename(instance))]);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
    60_000,
  );
});
