import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { directory, type Master, type MasterDirectory } from '../../../master/index.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { directory as copyOf, type Slave, type SlaveDirectory } from '../../../slave/index.js';
import { read, temporaryFolder, write } from '../../support/directory-tools.js';
import { readLinks } from '../../support/link-reader.js';
import { Loopback, until } from './loopback.js';

/** A folder that every server shows at one instant: a version is written beforehand, and the links are replaced then. */

const names = ['first.conf', 'sub/second.conf'] as const;
const both = (text: string): Record<string, string> => ({ [names[0]]: text, [names[1]]: text });
const leaseMs = 1000;

interface Shown {
  readonly lateMs: number;
  readonly clockErrorMs: number;
}

interface Place extends AsyncDisposable {
  readonly group: Loopback;
  readonly folder: string;
  readonly node: Master;
  readonly master: MasterDirectory;
  /** By name, as each told it. */
  readonly shown: Map<string, Shown>;
  slave(name: string): Promise<{ readonly slave: Slave; readonly copy: SlaveDirectory }>;
}

/** A master that has published `one`, and whoever is started. */
async function place(): Promise<Place> {
  const temporary = await temporaryFolder();
  const group = await Loopback.start();
  const folder = join(temporary.path, 'conf');
  await write(folder, both('one'));
  const node = await group.master({ leaseMs });
  const master = await node.register('conf', directory({ folder }));
  const shown = new Map<string, Shown>();
  return {
    ...{ group, folder, node, master, shown },
    slave: async (name) => {
      const slave = await group.slave(name);
      for (const event of ['activated', 'activated late'] as const)
        slave.on(event, ({ fields: { lateMs, clockErrorMs } }) =>
          shown.set(name, { lateMs: lateMs ?? NaN, clockErrorMs: clockErrorMs ?? NaN }),
        );
      return { slave, copy: await slave.register('conf', copyOf({ target: join(temporary.path, 'srv', name) })) };
    },
    [Symbol.asyncDispose]: async () => {
      await group[Symbol.asyncDispose]();
      await temporary[Symbol.asyncDispose]();
    },
  };
}

async function current(master: MasterDirectory, copies: readonly SlaveDirectory[]): Promise<void> {
  await until(
    () => master.dataSet.members().length === copies.length && copies.every(({ state }) => state === 'current'),
    'all are current',
    30_000,
  );
}

test('all slaves show all files of a scheduled version at its instant, and no reader finds a mixture', async () => {
  await using at = await place();
  const { master, folder, shown } = at;
  const copies = await Promise.all(['a', 'b', 'c'].map(async (name) => (await at.slave(name)).copy));
  await current(master, copies);
  expect(await master.publish({ voters: 'all', wait: 'exposed', timeoutMs: 20_000 })).toMatchObject({
    kind: 'committed',
  });
  await current(master, copies);

  await write(folder, both('two'));
  const inMs = 5000;
  const instantMs = performance.now() + inMs;
  const armed = await master.publish({ activateAt: { inMs }, voters: 'all', timeoutMs: 4000 });
  expect(armed).toMatchObject({ kind: 'armed', arming: { armed: 3, of: 3 }, files: { changed: [...names] } });
  expect(master.tip?.version, 'the original keeps it to itself').toBe(1);
  const links = copies.map(({ target }) => target);
  const { seen } = await readLinks({ links, names, deadlineMs: 30_000 });
  await write(folder, both('three'));
  const later = master.publish({ voters: 'all', timeoutMs: 30_000 });

  const { switchedMs, texts, looks } = await seen;
  const text = `${switchedMs.map((atMs) => (atMs - instantMs).toFixed(2)).join(', ')} ms after it, in ${looks} looks`;
  expect(
    texts.filter((each) => each !== 'three'),
    text,
  ).toEqual(['one', 'two']);
  expect(Math.min(...switchedMs) - instantMs, text).toBeGreaterThan(-limits.maxClockErrorMs);
  expect(Math.max(...switchedMs), text).toBeLessThan(Infinity);
  expect(await later, 'what queued behind it').toMatchObject({ kind: 'committed', tip: { version: 3 } });
  for (const copy of copies) {
    await copy.reached(3, { timeoutMs: 10_000 });
    expect(await read(copy.target)).toEqual(both('three'));
  }
  // Readers see it before it is told: what is told is never earlier than what was seen, but for the clock's error and one look.
  const lookMs = 50;
  for (const [index, name] of ['a', 'b', 'c'].entries()) {
    const { lateMs, clockErrorMs } = shown.get(name) ?? { lateMs: NaN, clockErrorMs: NaN };
    const seenMs = (switchedMs[index] ?? Infinity) - instantMs;
    expect(lateMs, `${name} told ${lateMs} ms; ${text}`).toBeGreaterThanOrEqual(seenMs - clockErrorMs - lookMs);
  }
  console.log(`three links on loopback switched ${text}`);
});

test('a slave and a master that start again before the instant show the version at it', async () => {
  await using at = await place();
  const { master, folder, group } = at;
  const first = await at.slave('a');
  await current(master, [first.copy]);
  await master.publish({ voters: 'all', wait: 'exposed', timeoutMs: 20_000 });
  await write(folder, both('two'));
  const inMs = 9000;
  const instantMs = performance.now() + inMs;
  expect(await master.publish({ activateAt: { inMs }, voters: 'all', timeoutMs: 4000 })).toMatchObject({
    kind: 'armed',
  });
  await first.slave.close();
  const again = await at.slave('a');
  const target = join(again.copy.target, names[0]);
  expect(readFileSync(target, 'utf8')).toBe('one');
  // Edits on the master after the decision are no part of what is armed.
  await writeFile(join(folder, names[0]), 'never');
  await at.node.close();
  const restarted = await (await group.master({ leaseMs })).register('conf', directory({ folder }));
  await restarted.dataSet.leading();
  expect(restarted.dataSet.armed).toMatchObject({ version: 2 });
  await until(() => restarted.dataSet.armed?.armed === 1, 'armed again', 8000);
  expect(performance.now(), 'this machine was fast enough to see it').toBeLessThan(instantMs - limits.maxClockErrorMs);
  expect([readFileSync(target, 'utf8'), restarted.tip?.version]).toEqual(['one', 1]);
  await again.copy.reached(2, { timeoutMs: 20_000 });
  expect(performance.now()).toBeGreaterThan(instantMs - limits.maxClockErrorMs);
  expect(await read(again.copy.target)).toEqual(both('two'));
  await until(() => restarted.tip?.version === 2, 'the master has published it', 8000);
  expect(await read(restarted.published ?? '')).toEqual(both('two'));
});

test('one that is cancelled leaves nothing behind, and what waits for one has its own deadline', async () => {
  await using at = await place();
  const { master, folder } = at;
  const { copy } = await at.slave('a');
  await current(master, [copy]);
  await master.publish({ voters: 'all', wait: 'exposed', timeoutMs: 20_000 });
  await write(folder, both('two'));
  const later = { activateAt: { inMs: 3_600_000 }, voters: 'all', timeoutMs: 4000 } as const;
  expect(await master.publish(later)).toMatchObject({ kind: 'armed', tip: { version: 2 } });
  await write(folder, both('three'));
  expect(await master.publish({ timeoutMs: 200 })).toMatchObject({
    kind: 'aborted',
    reason: 'behind an armed change',
    refusals: [],
    files: { changed: [...names] },
  });
  const aborted = AbortSignal.timeout(100);
  await expect(master.publish({ timeoutMs: 20_000, signal: aborted })).rejects.toMatchObject({
    code: 'aborted-by-caller',
  });
  const waiting = master.publish({ voters: 'all', timeoutMs: 20_000, wait: 'exposed' });
  expect(await master.dataSet.cancelActivation(2, { timeoutMs: 8000 })).toMatchObject({ kind: 'cancelled' });
  expect(await waiting).toMatchObject({ kind: 'committed', tip: { version: 3 } });
  expect(await read(copy.target)).toEqual(both('three'));
  const versions = join(folder, '..', '.conf.lockstep', 'versions');
  await until(() => readdirSync(versions).length === 3, 'its owner, the version that shows, and the one before', 8000);
});

test('in one phase, and at an instant that is too near, it is refused, and nothing is left of it', async () => {
  await using at = await place();
  const { master, folder } = at;
  const { copy } = await at.slave('a');
  await current(master, [copy]);
  await expect(master.publish({ phases: 'one', activateAt: { inMs: 9000 } })).rejects.toMatchObject({
    code: 'bad-option',
  });
  await expect(master.publish({ activateAt: { inMs: 10 } })).rejects.toMatchObject({
    code: 'instant-too-early',
    earliestAtMs: expect.any(Number) as number,
  });
  expect(readdirSync(join(folder, '..', '.conf.lockstep', 'versions'))).toEqual(['lockstep.json']);
  expect(await master.publish({ voters: 'all', timeoutMs: 20_000 })).toMatchObject({ kind: 'committed' });
});
