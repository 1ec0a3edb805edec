import { join } from 'node:path';
import { Option, type Command } from 'commander';
import { exitCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
import type { KeyEntry, KeyFile } from '../shared/protocol/secure/keys.js';
import {
  drawKey,
  keyFileIs,
  keyFileName,
  masterFile,
  readKeys,
  slaveFileOf,
  writeKeyFile,
} from '../shared/runtime/key-files.js';
import { ending } from './common.js';
import type { Shell } from './shell.js';

const steps = ['add', 'switch', 'retire'] as const;
type Step = (typeof steps)[number];

interface RotateFlags {
  readonly in: string;
  readonly step: Step;
  readonly json?: true;
}

/** Null: the rotation is at its end. */
const nextOf: Readonly<Record<Step, Step | null>> = { add: 'switch', switch: 'retire', retire: null };

/** `slave.key` always follows from `master.key`: a rotation that was cut between the two is mended by the next run. */
export function addKey(program: Command, shell: Shell): void {
  const key = program.command('key').description("change a group's keys while it runs");
  key
    .command('rotate')
    .description('one of the three steps that replace the keys; between them every node gets its file and a SIGHUP')
    .requiredOption('--in <folder>', 'where master.key and slave.key are')
    .addOption(
      new Option('--step <step>', 'add a new key; switch to it; retire the old one')
        .choices(steps)
        .makeOptionMandatory(),
    )
    .option('--json', 'print JSON, one line')
    .action(
      ending(shell, async ({ in: folder, step, json }: RotateFlags) => {
        const paths = { master: join(folder, keyFileName('master')), slave: join(folder, keyFileName('slave')) };
        const before = await mastersFile(paths.master);
        if (!(await keyFileIs(paths.slave, slaveFileOf(before)))) {
          await writeKeyFile(paths.slave, slaveFileOf(before), { fresh: false });
          shell.err(`lockstep: ${paths.slave} did not match ${paths.master}, and does now\n`);
        }
        const after = masterFile(rotated(before.keys, step, folder));
        await writeKeyFile(paths.master, after, { fresh: false });
        await writeKeyFile(paths.slave, slaveFileOf(after), { fresh: false });
        const next = nextOf[step];
        shell.out(
          json === true
            ? JSON.stringify({ keys: after.keys.map(({ id, state }) => ({ id, state })), next })
            : nextText(after, next, folder),
        );
        return exitCodes.ok;
      }),
    );
}

async function mastersFile(path: string): Promise<KeyFile> {
  const { keys, where } = await readKeys({ file: path });
  if (keys.role === 'master') return keys;
  throw new LockstepError('bad-option', `${where} is a slave's; keys are changed where master.key is`);
}

/** What the step makes of the keys. Throws `bad-option` that names the step to take instead. */
export function rotated(keys: readonly KeyEntry[], step: Step, folder: string): readonly KeyEntry[] {
  const refuse = (what: string, next: Step): never => {
    throw new LockstepError('bad-option', `--step ${step}: ${what}; the next is: ${commandOf(next, folder)}`);
  };
  const current = keys.find(({ state }) => state === 'current');
  if (current === undefined) throw new LockstepError('bad-option', 'no key is current');
  const newest = keys.reduce((a, b) => (isNewer(b.id, a.id) ? b : a));
  switch (step) {
    case 'add':
      if (keys.length > 1) return refuse('a rotation is under way already', newest === current ? 'retire' : 'switch');
      return [current, drawKey((current.id % 65_535) + 1, 'accepted')];
    case 'switch':
      if (keys.length === 1) return refuse('there is no new key to switch to', 'add');
      if (newest === current) return refuse('the newest key is current already', 'retire');
      return keys.map((key) => ({ ...key, state: key === newest ? 'current' : 'accepted' }));
    case 'retire':
      if (keys.length === 1) return refuse('there is no old key to retire', 'add');
      if (newest !== current) return refuse('nobody sends with the new key yet', 'switch');
      return [current];
  }
}

/** Ids go round after 65,535; the two of a rotation follow each other. */
function isNewer(a: number, b: number): boolean {
  return a !== b && (a - b + 65_535) % 65_535 < 32_768;
}

function commandOf(step: Step, folder: string): string {
  return `lockstep key rotate --in ${folder} --step ${step}`;
}

function nextText({ keys }: KeyFile, next: Step | null, folder: string): string {
  const ids = keys.map(({ id, state }) => (state === 'current' ? `${id} (current)` : `${id}`)).join(', ');
  const now = `keys ${ids}. Now copy each file to its nodes and send them a SIGHUP`;
  if (next === null) return `${now}; after that the old key opens nothing.`;
  return `${now}. When every node has logged keys-changed: ${commandOf(next, folder)}`;
}
