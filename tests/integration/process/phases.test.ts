import { expect, it } from 'vitest';
import { Loopback, TextCopy, TextOriginal, until } from './loopback.js';

it('one phase or two: by the data set’s own setting, unless the call says otherwise', async () => {
  await using group = await Loopback.start();
  const master = await group.master();
  const slave = await group.slave('s1');
  for (const phases of ['one', 'two'] as const) {
    const copy = new TextCopy();
    const dataSet = await master.register(phases, new TextOriginal(), { phases });
    const held = await slave.register(phases, copy);
    await until(() => dataSet.members().some(({ live, state }) => live && state !== null), 'a member with a status');
    const other = phases === 'one' ? 'two' : 'one';
    expect((await dataSet.replicate({ version: 1, delta: Buffer.from('a') })).kind).toBe('committed');
    await held.reached(1, { timeoutMs: 5000 });
    await until(() => held.state === 'current', 's1 is current');
    expect((await dataSet.replicate({ version: 2, delta: Buffer.from('b'), phases: other })).kind).toBe('committed');
    await held.reached(2, { timeoutMs: 5000 });
    // Only a change in two phases is asked about before it is committed.
    expect(copy.seen.filter((line) => line.startsWith('prepare'))).toEqual([
      phases === 'one' ? 'prepare 2' : 'prepare 1',
    ]);
    expect(copy.text).toBe('ab');
  }
});
