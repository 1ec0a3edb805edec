import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ChangesBody } from '../../../activation/core/bodies.js';
import { CycleCopy, DataServer } from '../../../activation/index.js';
import { until } from './loopback.js';

/** A real data server, real HTTP, and a copy of each mode with a store: what moves from hop to hop. */

const keys = 60;
const value = 'x'.repeat(1000);

/** What a copy was given: keys, and bytes of the answers that have content. */
interface Moved {
  keys: number;
  longestAnswerBytes: number;
}

function counting(moved: Moved): typeof fetch {
  return async (input, init) => {
    const answer = await fetch(input, init);
    const url = input instanceof Request ? input.url : String(input);
    if (!/\/v1\/cycle\/(staged|active)/.test(url) || !answer.ok) return answer;
    const text = await answer.clone().text();
    moved.keys += (JSON.parse(text) as ChangesBody).changes.length;
    moved.longestAnswerBytes = Math.max(moved.longestAnswerBytes, text.length);
    return answer;
  };
}

test('a cycle without edits moves no value at any hop: to staged, to active, over the network, and into what shows', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-unchanged-'));
  const server = await DataServer.open({ store: join(folder, 'data'), intervalMs: 1000 });
  const { url } = await server.listen({ host: '127.0.0.1', port: 0 });
  const moved = { copy: { keys: 0, longestAnswerBytes: 0 }, swap: { keys: 0, longestAnswerBytes: 0 } };
  const copies: CycleCopy[] = [];
  try {
    for (const mode of ['copy', 'swap'] as const)
      copies.push(
        await CycleCopy.open({ name: mode, from: url, store: join(folder, mode), mode, fetch: counting(moved[mode]) }),
      );
    const all = (cycle: number): boolean => copies.every((each) => (each.cycle ?? 0) >= cycle);
    const staged = async (): Promise<number> => (await server.status()).cycle;
    await server.edit(Array.from({ length: keys }, (_, key) => ({ put: [`k${key}`, value] as const })));
    await until(() => copies.every((each) => each.size === keys), 'both show it', 30_000);
    // By swap the content that was shown before is brought up to date with the next cycle; then nothing is left to move.
    const settled = (await staged()) + 3;
    await until(() => all(settled), `cycle ${settled} at both`, 30_000);
    expect([moved.copy.keys, moved.swap.keys]).toEqual([keys, 2 * keys]);
    expect(server.counters).toMatchObject({ staged: keys, activated: keys });
    for (const each of Object.values(moved)) each.longestAnswerBytes = 0;
    const digests = copies.map((each) => each.digest());

    await until(() => all(settled + 5), 'five cycles without an edit', 30_000);
    expect([moved.copy.keys, moved.swap.keys]).toEqual([keys, 2 * keys]);
    expect(server.counters).toMatchObject({ staged: keys, activated: keys });
    for (const each of Object.values(moved)) {
      expect(each.longestAnswerBytes, 'each cycle was asked for').toBeGreaterThan(0);
      expect(each.longestAnswerBytes, 'and its answer names no key').toBeLessThan(value.length / 2);
    }
    expect(copies.map((each) => each.digest())).toEqual(digests);

    // One edit is one key at each hop, and two where two contents are kept.
    await server.edit([{ put: ['k7', 'other'] }]);
    await until(() => copies.every((each) => each.get('k7') === 'other'), 'the edit at both', 30_000);
    const after = (await staged()) + 3;
    await until(() => all(after), `cycle ${after} at both`, 30_000);
    expect([moved.copy.keys, moved.swap.keys]).toEqual([keys + 1, 2 * (keys + 1)]);
    expect(server.counters).toMatchObject({ staged: keys + 1, activated: keys + 1 });
  } finally {
    for (const each of copies) await each.close();
    await server.close();
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);
