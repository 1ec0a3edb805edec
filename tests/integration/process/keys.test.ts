import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keyValue as masterKeyValue } from '../../../master/index.js';
import { drawKey, keyFileText, masterFile, slaveFileOf, writeKeyFile } from '../../../shared/runtime/key-files.js';
import { rotated } from '../../../cli/key-rotate.js';
import { keyValue as slaveKeyValue } from '../../../slave/index.js';
import { Loopback, until } from './loopback.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lockstep-keys-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Real sockets, real stores, real keys. */
test('keys are replaced while changes go on, over loopback: none aborts, none is lost; strangers see nothing', async () => {
  await using group = await Loopback.start();
  let file = masterFile([drawKey(1, 'current')]);
  const paths = { master: join(folder, 'master.key'), slave: join(folder, 'slave.key') };
  const write = async (fresh: boolean): Promise<void> => {
    await writeKeyFile(paths.master, file, { fresh });
    await writeKeyFile(paths.slave, slaveFileOf(file), { fresh });
  };
  await write(true);
  await copyFile(paths.slave, join(folder, 'old.key'));
  const master = await group.master({ keys: { file: paths.master } });
  const original = await master.register('prices', masterKeyValue<number>());
  const slaves = [
    await group.slave('a', { keys: { file: paths.slave } }),
    await group.slave('b', { keys: { text: keyFileText(slaveFileOf(file)) } }),
  ];
  const copies = await Promise.all(slaves.map((slave) => slave.register('prices', slaveKeyValue<number>())));
  const stranger = await group.slave('stranger');
  const strangers = await stranger.register('prices', slaveKeyValue<number>());
  await original.dataSet.leading();
  const live = (): number => original.dataSet.members().filter((member) => member.live).length;
  await until(() => live() === 2, 'both slaves join');

  let running = true;
  let changes = 0;
  const outcomes = new Set<string>();
  const traffic = (async () => {
    while (running) {
      const outcome = await original.change([{ put: [`key-${changes}`, changes] }], { voters: 'all' });
      outcomes.add(outcome.kind);
      changes += 1;
    }
  })();
  const passed = async (count: number): Promise<void> => {
    const goal = changes + count;
    await until(() => changes >= goal, `${count} more changes`);
  };
  await passed(20);
  for (const step of ['add', 'switch', 'retire'] as const) {
    file = masterFile(rotated(file.keys, step, folder));
    await write(false);
    for (const node of [slaves[0], master]) {
      await node?.reloadKeys();
      await passed(20);
    }
    // One gets the text of the file instead, as where secrets come by the environment.
    await slaves[1]?.reloadKeys({ text: keyFileText(slaveFileOf(file)) });
    await passed(20);
  }
  running = false;
  await traffic;
  expect([...outcomes]).toEqual(['committed']);
  const version = original.tip?.version ?? 0;
  for (const copy of copies) {
    await copy.reached(version);
    expect(copy.stateDigest()).toBe(original.stateDigest());
  }
  expect(original.size).toBe(changes);
  expect(strangers.tip).toBeNull();

  // The key that was retired opens nothing any more.
  const late = await group.slave('late', { keys: { file: join(folder, 'old.key') } });
  const latecomer = await late.register('prices', slaveKeyValue<number>());
  const unknown = (): number =>
    (late.status().counters as { readonly rejected: Readonly<Record<string, number>> }).rejected['unknown-key'] ?? 0;
  await until(() => unknown() >= 3, 'heartbeats under a key that it lacks');
  expect(latecomer.tip).toBeNull();
}, 60_000);
