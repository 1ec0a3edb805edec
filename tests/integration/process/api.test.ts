import { describe, expect, it } from 'vitest';
import { keyValue as originals } from '../../../master/index.js';
import type { MasterDataSet } from '../../../master/index.js';
import { keyValue as copies } from '../../../slave/index.js';
import type { SlaveDataSet } from '../../../slave/index.js';
import { freePort, Loopback, TextCopy, TextOriginal, until } from './loopback.js';

/** The public API over the real adapters: loopback multicast, the real store, real time. */

interface Price {
  readonly cents: number;
}

/** A slave votes from its first status on. */
async function joined(dataSet: MasterDataSet, count: number): Promise<void> {
  await until(
    () => dataSet.members().filter(({ live, state }) => live && state !== null).length === count,
    `${count} members with a status`,
  );
}

describe('a key-value data set', () => {
  it('commits a change at every slave, and shows it to their readers', async () => {
    await using group = await Loopback.start();
    const prices = await (await group.master()).register('prices', originals<Price>());
    const one = await (await group.slave('s1')).register('prices', copies<Price>());
    const two = await (await group.slave('s2')).register('prices', copies<Price>());
    await joined(prices.dataSet, 2);
    const seen = one.changes()[Symbol.asyncIterator]();

    const outcome = await prices.change([{ put: ['sku-1', { cents: 999 }] }]);

    if (outcome.kind !== 'committed') throw new Error(JSON.stringify(outcome));
    expect(outcome).toMatchObject({ votes: { yes: 2, no: 0, silent: 0 }, durable: true });
    await one.reached(outcome.tip.version, { timeoutMs: 3000 });
    await two.reached(outcome.tip.version, { timeoutMs: 3000 });
    expect([one.get('sku-1'), two.get('sku-1'), prices.get('sku-1')]).toEqual([
      { cents: 999 },
      { cents: 999 },
      { cents: 999 },
    ]);
    expect([one.tip, two.tip]).toEqual([prices.tip, prices.tip]);
    expect((await seen.next()).value).toEqual({
      tip: outcome.tip,
      skipped: 0,
      operations: [{ put: ['sku-1', { cents: 999 }] }],
    });
    await until(() => one.state === 'current', 's1 is current');
  });

  it('aborts for all what one slave vetoes, names it, and goes on', async () => {
    await using group = await Loopback.start();
    const prices = await (await group.master()).register('prices', originals<Price>());
    const lenient = await (await group.slave('s1')).register('prices', copies<Price>());
    const strict = await (
      await group.slave('s2')
    ).register(
      'prices',
      copies<Price>({
        validate: (operation) => ('put' in operation && operation.put[1].cents <= 0 ? 'cents must be positive' : true),
      }),
    );
    await joined(prices.dataSet, 2);

    const vetoed = await prices.change([{ put: ['sku-1', { cents: -5 }] }]);
    expect(vetoed).toMatchObject({
      kind: 'aborted',
      reason: 'refused',
      refusals: [{ node: 's2', reason: expect.stringContaining('cents must be positive') as string }],
    });
    const fine = await prices.change([{ put: ['sku-2', { cents: 5 }] }]);
    if (fine.kind !== 'committed') throw new Error(JSON.stringify(fine));
    for (const copy of [lenient, strict]) {
      await copy.reached(fine.tip.version, { timeoutMs: 3000 });
      expect([copy.get('sku-1'), copy.get('sku-2')]).toEqual([undefined, { cents: 5 }]);
    }
  });

  it('reaches a slave that joins late', async () => {
    await using group = await Loopback.start();
    const prices = await (await group.master()).register('prices', originals<Price>());
    for (const cents of [1, 2, 3])
      expect(await prices.change([{ put: [`sku-${cents}`, { cents }] }])).toMatchObject({ kind: 'committed' });
    const late = await (await group.slave('s1')).register('prices', copies<Price>());
    await late.reached(prices.tip?.version ?? 0, { timeoutMs: 8000 });
    expect(late.list()).toEqual(prices.list());
    expect(late.tip).toEqual(prices.tip);
  });

  it('shares its socket with others, each with versions of its own', async () => {
    await using group = await Loopback.start();
    const master = await group.master();
    const slave = await group.slave('s1');
    const names = ['prices', 'routes', 'flags'];
    const pairs = await Promise.all(
      names.map(async (name) => ({
        original: await master.register(name, originals<string>()),
        copy: await slave.register(name, copies<string>()),
      })),
    );
    for (const { original } of pairs) await joined(original.dataSet, 1);
    await Promise.all(
      pairs.map(async ({ original, copy }, index) => {
        for (let count = 0; count <= index; count += 1)
          await original.change([{ put: ['own', `${names[index] ?? ''} ${count}`] }]);
        await copy.reached(original.tip?.version ?? 0, { timeoutMs: 3000 });
      }),
    );
    expect(pairs.map(({ copy }) => copy.get('own'))).toEqual(['prices 0', 'routes 1', 'flags 2']);
    expect(master.status().dataSets.map(({ name }) => name)).toEqual(names);
    await master.unregister('routes');
    expect(master.status().dataSets.map(({ name }) => name)).toEqual(['prices', 'flags']);
    expect(await pairs[0]?.original.change([{ put: ['own', 'still'] }])).toMatchObject({ kind: 'committed' });
  });

  it('is there again after the master restarts, and leads on', async () => {
    await using group = await Loopback.start();
    const first = await group.master();
    const before = await first.register('prices', originals<Price>());
    const copy = await (await group.slave('s1')).register('prices', copies<Price>());
    await joined(before.dataSet, 1);
    expect(await before.change([{ put: ['sku-1', { cents: 1 }] }])).toMatchObject({ kind: 'committed' });
    await first.close();
    const after = await (await group.master()).register('prices', originals<Price>());
    expect(after.get('sku-1')).toEqual({ cents: 1 });
    const outcome = await after.change([{ put: ['sku-2', { cents: 2 }] }], { timeoutMs: 15_000 });
    if (outcome.kind !== 'committed') throw new Error(JSON.stringify(outcome));
    expect(outcome.tip.epoch.number).toBeGreaterThan(1);
    await copy.reached(outcome.tip.version, { timeoutMs: 5000 });
    expect(copy.get('sku-2')).toEqual({ cents: 2 });
  });

  it('goes by unicast where there is no multicast', async () => {
    await using group = await Loopback.start();
    const [masterPort, slavePort] = [await freePort(), await freePort()];
    const master = await group.master({ port: masterPort, peers: [`127.0.0.1:${slavePort}`] });
    const slave = await group.slave('s1', { port: slavePort, peers: [`127.0.0.1:${masterPort}`] });
    const prices = await master.register('prices', originals<Price>());
    const copy = await slave.register('prices', copies<Price>());
    await joined(prices.dataSet, 1);
    const outcome = await prices.change([{ put: ['sku-1', { cents: 7 }] }]);
    expect(outcome).toMatchObject({ kind: 'committed', votes: { yes: 1 } });
    await copy.reached(prices.tip?.version ?? 0, { timeoutMs: 3000 });
    expect(copy.get('sku-1')).toEqual({ cents: 7 });
  });
});

describe('a user layer of the host', () => {
  async function pair(
    group: Loopback,
  ): Promise<{ original: TextOriginal; copy: TextCopy; dataSet: MasterDataSet; slave: SlaveDataSet }> {
    const original = new TextOriginal();
    const copy = new TextCopy();
    const dataSet = await (await group.master()).register('text', original);
    const slave = await (await group.slave('s1')).register('text', copy);
    await joined(dataSet, 1);
    return { original, copy, dataSet, slave };
  }

  it('replicates in one phase and in two; deltas are given, or asked for', async () => {
    await using group = await Loopback.start();
    const { original, copy, dataSet, slave } = await pair(group);
    expect(await dataSet.replicate({ version: 10, delta: Buffer.from('a') })).toMatchObject({
      kind: 'committed',
      votes: { yes: 1 },
    });
    // Within its lease it votes even when it hasn't acknowledged the newest state yet.
    await until(() => slave.state === 'current', 's1 is current');
    expect(await dataSet.replicate({ version: 20, prior: 10, delta: Buffer.from('b'), phases: 'one' })).toMatchObject({
      kind: 'committed',
    });
    expect(original.deltasAsked).toBe(0);
    original.append(21, 'c');
    expect(await dataSet.replicate({ version: 21, wait: 'exposed' })).toMatchObject({
      kind: 'committed',
      votes: { yes: 1 },
    });
    expect(original.deltasAsked).toBeGreaterThan(0);
    expect([original.text, copy.text, copy.versions]).toEqual(['abc', 'abc', [10, 20, 21]]);
    expect(copy.tip).toEqual(dataSet.tip);
    await expect(dataSet.replicate({ version: 21, delta: Buffer.from('d') })).rejects.toMatchObject({
      code: 'version-not-greater',
    });
    await expect(dataSet.replicate({ version: 22, prior: 20, delta: Buffer.from('d') })).rejects.toMatchObject({
      code: 'prior-not-current',
    });
  });

  it('whose prepare hangs: the round ends by its deadline, by roll-back, by the caller, or by unregistering, each typed', async () => {
    await using group = await Loopback.start();
    const { copy, original, dataSet } = await pair(group);
    let release: () => void = () => undefined;
    const hang = (): void => {
      copy.onPrepare = () =>
        new Promise((resolve) => {
          release = () => {
            resolve({ ok: true });
          };
        });
    };
    const asked = async (version: number): Promise<void> => {
      await until(() => copy.seen.includes(`prepare ${version}`), `prepare ${version}`);
    };
    const settled = async (version: number): Promise<void> => {
      release();
      copy.onPrepare = () => ({ ok: true });
      await until(() => copy.seen.some((line) => line.startsWith(`abort ${version}`)), `abort ${version}`);
    };

    hang();
    expect(await dataSet.replicate({ version: 1, delta: Buffer.from('x'), timeoutMs: 200 })).toMatchObject({
      kind: 'aborted',
      reason: 'timeout',
      refusals: [{ node: 's1' }],
    });
    await settled(1);

    hang();
    const rolledBack = dataSet.replicate({ version: 2, delta: Buffer.from('x') });
    await asked(2);
    await dataSet.rollBack(2);
    expect(await rolledBack).toMatchObject({ kind: 'aborted', reason: 'rolled back' });
    await settled(2);

    hang();
    const controller = new AbortController();
    const cancelled = dataSet.replicate({ version: 3, delta: Buffer.from('x'), signal: controller.signal });
    await asked(3);
    controller.abort();
    expect(await cancelled).toMatchObject({ kind: 'aborted', reason: 'cancelled' });
    await settled(3);

    expect(await dataSet.replicate({ version: 4, delta: Buffer.from('kept'), wait: 'exposed' })).toMatchObject({
      kind: 'committed',
    });
    expect([copy.text, original.text]).toEqual(['kept', 'kept']);
    await expect(dataSet.rollBack(4)).rejects.toMatchObject({ code: 'already-decided' });

    hang();
    const unregistered = dataSet.replicate({ version: 5, delta: Buffer.from('x') });
    await asked(5);
    await dataSet.unregister();
    expect(await unregistered).toMatchObject({ kind: 'aborted', reason: 'unregistered' });
    release();
    await expect(dataSet.replicate({ version: 6, delta: Buffer.from('x') })).rejects.toMatchObject({ code: 'closed' });
    expect(copy.text).toBe('kept');
  });

  it('whose change is far larger than a datagram', async () => {
    await using group = await Loopback.start();
    const { copy, original, dataSet } = await pair(group);
    const large = 'x'.repeat(700_000);
    expect(
      await dataSet.replicate({ version: 1, delta: Buffer.from(large), wait: 'exposed', timeoutMs: 10_000 }),
    ).toMatchObject({ kind: 'committed' });
    expect(await dataSet.replicate({ version: 2, delta: Buffer.from('end'), wait: 'exposed' })).toMatchObject({
      kind: 'committed',
    });
    expect(copy.text).toBe(`${large}end`);
    expect(original.text).toBe(copy.text);
  });

  it('that joins late and cannot be given deltas any more takes a snapshot', async () => {
    await using group = await Loopback.start();
    const original = new TextOriginal();
    const dataSet = await (await group.master()).register('text', original, { historyBytes: 0 });
    for (const version of [1, 2, 3]) {
      expect(await dataSet.replicate({ version, delta: Buffer.from(`${version} `), voters: 'live' })).toMatchObject({
        kind: 'committed',
      });
    }
    const copy = new TextCopy();
    const late = await (await group.slave('s1')).register('text', copy);
    await late.reached(3, { timeoutMs: 8000 });
    expect(copy.text).toBe('1 2 3 ');
    expect(late.tip).toEqual(dataSet.tip);
  });
});

describe('opening and closing', () => {
  it("refuses a name twice, an unusable name, another node's store, and everything after the close", async () => {
    await using group = await Loopback.start();
    const master = await group.master();
    await master.register('prices', originals<Price>());
    await expect(master.register('prices', originals<Price>())).rejects.toMatchObject({ code: 'data-set-registered' });
    await expect(master.register('a/b', originals<Price>())).rejects.toMatchObject({ code: 'bad-option' });
    await expect(master.unregister('routes')).rejects.toMatchObject({ code: 'data-set-unknown' });
    await master.close();
    await master.close();
    await expect(master.register('routes', originals<Price>())).rejects.toMatchObject({ code: 'closed' });
    await expect(group.slave('master')).rejects.toMatchObject({ code: 'store-foreign' });
    await expect(group.slave('s/1')).rejects.toMatchObject({ code: 'bad-option' });
  });

  it('a slave that waits is told when its node closes', async () => {
    await using group = await Loopback.start();
    const slave = await group.slave('s1');
    const prices = await slave.register('prices', copies<Price>());
    const waiting = prices.reached(1);
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'closed' });
    await slave.close();
    await rejected;
  });

  it('tells listeners what happens', async () => {
    await using group = await Loopback.start();
    const master = await group.master();
    const names: string[] = [];
    const stop = master.on('*', ({ name, fields }) => void names.push(`${String(fields['dataSet'])} ${name}`));
    const prices = await master.register('prices', originals<Price>());
    await prices.dataSet.leading();
    expect(names).toContain('prices surveying');
    stop();
    const count = names.length;
    await master.close();
    expect(names).toHaveLength(count);
  });
});
