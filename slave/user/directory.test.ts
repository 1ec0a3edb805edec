import { join } from 'node:path';
import { expect, test } from 'vitest';
import { deltaBetween, read, temporaryFolder, type Sketch } from '../../tests/support/directory-tools.js';
import { SlaveDirectoryLayer } from './directory.js';

const first: Sketch = { 'a.conf': 'one', 'sub/b.conf': 'two' };
const second: Sketch = { 'a.conf': 'one, changed', 'sub/b.conf': 'two' };
const { signal } = new AbortController();

test('a yes shows nothing: the link stays where it is until the commit, and after an abort', async () => {
  await using temporary = await temporaryFolder();
  const target = join(temporary.path, 'conf');
  const layer = new SlaveDirectoryLayer({ target }, { node: 'a', dataSet: 'conf' });
  await layer.open();
  const one = deltaBetween(null, 1, null, first);
  await layer.commit(one);
  const shown = layer.shown;
  const two = deltaBetween(one.to, 2, first, second);
  for (const end of ['abort', 'commit'] as const) {
    expect(await layer.prepare(two, signal)).toEqual({ ok: true });
    expect([await read(target), layer.shown, layer.tip?.version]).toEqual([first, shown, 1]);
    if (end === 'abort') {
      await layer.abort(two.to);
      expect([await read(target), layer.shown, layer.tip?.version]).toEqual([first, shown, 1]);
    } else {
      await layer.commit(two);
      expect([await read(target), layer.tip?.version]).toEqual([second, 2]);
    }
  }
});
