import { describe, expect, test } from 'vitest';
import { cycleBounds } from '../../../activation/core/bounds.js';
import { planActivation, planLock, planPromote, planRoll } from '../../../activation/core/cycle.js';
import type { CopyName, PlanStep } from '../../../activation/core/table.js';
import type { CycleStore, NewDatabase, PageRequest, Position } from '../../../activation/data-server/cycle-store.js';
import { contents, fresh, intervalMs, minuteMs, put, read, roll, startMs } from './cycle-store-tools.js';

/** Two stores on one database: what one has written, the other one sees. */
export interface CycleStoreHarness {
  /** A store on a new database; with `again`, on the same one as `store`. */
  open(options: NewDatabase & { readonly again?: CycleStore }): Promise<CycleStore>;
}

async function changesSince(store: CycleStore, copy: CopyName, since: number): Promise<readonly unknown[]> {
  const { changes } = await read(store, copy, { since });
  return changes.map(({ key, value, cycle }) => [key, value, cycle]);
}

async function allPages(
  store: CycleStore,
  copy: CopyName,
  options: Partial<PageRequest>,
): Promise<readonly string[][]> {
  const pages: string[][] = [];
  let after: Position | null = null;
  do {
    const page: Awaited<ReturnType<typeof read>> = await read(store, copy, { ...options, after });
    pages.push(page.changes.map(({ key }) => key));
    after = page.next;
  } while (after !== null);
  return pages;
}

export function cycleStoreConformance(name: string, harness: () => CycleStoreHarness): void {
  describe(`the database of a data server: ${name}`, () => {
    test('a new one has an empty cycle staged and nothing active; one that is there keeps its table', async () => {
      const store = await harness().open(fresh);
      const state = await store.state(startMs);
      expect(state).toMatchObject({
        cycle: 1,
        activateAtMs: startMs + intervalMs,
        intervalMs,
        originMs: 0,
        active: { cycle: 0, activatedAtMs: null },
        items: { production: 0, staged: 0, active: 0 },
        waiting: 0,
        lock: null,
        worstRetrieval: null,
        latestStagedDateMs: null,
      });
      const again = await harness().open({ intervalMs: 5000, originMs: 7, nowMs: startMs + 1, again: store });
      expect(await again.state(startMs)).toEqual(state);
    });

    test('an edit is in production at once, staged with the next roll, and active with the one after', async () => {
      const store = await harness().open(fresh);
      expect(await store.edit([put('tea', 450), put('cup', { cents: 1200, tags: ['a', 'b'] })])).toBe(2);
      expect(await store.item('tea')).toEqual({ value: '450', notBeforeMs: null, waiting: true });
      expect([await contents(store, 'staged'), await contents(store, 'active')]).toEqual([{}, {}]);
      const first = await roll(store, startMs + intervalMs);
      expect(first.counts).toEqual({ activated: 0, staged: 2 });
      expect(await contents(store, 'staged')).toEqual({ tea: 450, cup: { cents: 1200, tags: ['a', 'b'] } });
      expect(await contents(store, 'active')).toEqual({});
      expect(await store.item('tea')).toEqual({ value: '450', notBeforeMs: null, waiting: false });
      await store.edit([put('tea', 500)]);
      const second = await roll(store, startMs + 2 * intervalMs);
      expect(second.counts).toEqual({ activated: 2, staged: 1 });
      expect(await contents(store, 'active')).toMatchObject({ tea: 450 });
      expect(await contents(store, 'staged')).toMatchObject({ tea: 500 });
      expect(second.state).toMatchObject({
        cycle: 3,
        active: { cycle: 2, activatedAtMs: startMs + 2 * intervalMs },
        items: { production: 2, staged: 2, active: 2 },
        waiting: 0,
      });
    });

    test('an unchanged cycle copies nothing at any hop, and a value that is edited back neither', async () => {
      const store = await harness().open(fresh);
      await store.edit(Array.from({ length: 50 }, (_, index) => put(`key ${index}`, index)));
      await roll(store, startMs + intervalMs);
      await roll(store, startMs + 2 * intervalMs);
      const { changes: before } = await read(store, 'active');
      const idle = await roll(store, startMs + 3 * intervalMs);
      expect(idle.counts).toEqual({ activated: 0, staged: 0 });
      expect(await changesSince(store, 'staged', 3)).toEqual([]);
      expect(await store.edit([put('key 7', 'other')])).toBe(1);
      expect(await store.edit([put('key 7', 7), put('key 8', 8)])).toBe(1);
      expect((await store.state(startMs)).waiting).toBe(1);
      const back = await roll(store, startMs + 4 * intervalMs);
      expect(back.counts).toEqual({ activated: 0, staged: 0 });
      expect(back.state.waiting).toBe(0);
      expect((await read(store, 'active')).changes).toEqual(before);
    });

    test('only what changed after a cycle is told, deletes too', async () => {
      const store = await harness().open(fresh);
      await store.edit([put('a', 1), put('b', 1), put('c', 1)]);
      await roll(store, startMs + intervalMs); // cycle 2
      await store.edit([put('b', 2), { delete: 'c' }, put('d', 1)]);
      await roll(store, startMs + 2 * intervalMs); // cycle 3
      expect(await changesSince(store, 'staged', 2)).toEqual([
        ['b', '2', 3],
        ['c', null, 3],
        ['d', '1', 3],
      ]);
      expect(await changesSince(store, 'staged', 1)).toEqual([
        ['a', '1', 2],
        ['b', '2', 3],
        ['c', null, 3],
        ['d', '1', 3],
      ]);
      expect(await contents(store, 'staged')).toEqual({ a: 1, b: 2, d: 1 });
      expect(await contents(store, 'active')).toEqual({ a: 1, b: 1, c: 1 });
      await roll(store, startMs + 3 * intervalMs);
      expect(await changesSince(store, 'active', 2)).toEqual(await changesSince(store, 'staged', 2));
      expect((await store.state(startMs)).items).toEqual({ production: 3, staged: 3, active: 3 });
      expect(await store.item('c')).toBeNull();
    });

    test('a delete of what was never staged, and one that is taken back, leave nothing behind', async () => {
      const store = await harness().open(fresh);
      await store.edit([put('never', 1), { delete: 'never' }, { delete: 'unheard of' }]);
      expect((await store.state(startMs)).items.production).toBe(0);
      expect((await roll(store, startMs + intervalMs)).counts.staged).toBe(0);
      await store.edit([put('back', 1)]);
      await roll(store, startMs + 2 * intervalMs);
      await store.edit([{ delete: 'back' }]);
      expect((await store.item('back'))?.value).toBeNull();
      await store.edit([put('back', 1)]);
      expect((await roll(store, startMs + 3 * intervalMs)).counts.staged).toBe(0);
      expect(await contents(store, 'staged')).toEqual({ back: 1 });
    });

    test('a dated item is staged for the first activation at or after its date, and not for one before', async () => {
      const store = await harness().open(fresh);
      const dateMs = startMs + 4 * intervalMs;
      await store.edit([put('sale', 'old')]);
      await roll(store, startMs + intervalMs);
      await store.edit([put('sale', 'new', dateMs), put('late', 1, dateMs + 1)]);
      const early = await roll(store, startMs + 2 * intervalMs); // staged for + 3
      expect(early.counts.staged).toBe(0);
      expect(early.state.waiting).toBe(2);
      const covering = await roll(store, startMs + 3 * intervalMs); // staged for + 4
      expect(covering.counts.staged).toBe(1);
      expect(covering.state.latestStagedDateMs).toBe(dateMs);
      expect([await contents(store, 'staged'), await contents(store, 'active')]).toEqual([
        { sale: 'new' },
        { sale: 'old' },
      ]);
      // Nothing brings it forward, not even by hand.
      const hasty = await store.change(startMs, (state) => planActivation(state, 0, dateMs - minuteMs));
      expect(hasty.result).toMatchObject({ kind: 'refused', code: 'dated-later' });
      const last = await roll(store, dateMs);
      expect(last.state).toMatchObject({ latestStagedDateMs: dateMs + 1, waiting: 0 });
      expect([await contents(store, 'staged'), await contents(store, 'active')]).toEqual([
        { sale: 'new', late: 1 },
        { sale: 'new' },
      ]);
    });

    test('a promotion stages some keys or all that wait, and dated ones only when it is time for them', async () => {
      const store = await harness().open(fresh);
      await store.edit([put('a', 1), put('b', 1), put('c', 1, startMs + 5 * intervalMs)]);
      const some = await store.change(startMs, (state) => planPromote(state, ['b', 'c', 'unheard of'], startMs));
      expect(some.counts).toEqual({ activated: 0, staged: 1 });
      expect(some.state).toMatchObject({ cycle: 2, waiting: 2, items: { production: 3, staged: 1, active: 0 } });
      expect(await contents(store, 'staged')).toEqual({ b: 1 });
      const all = await store.change(startMs, (state) => planPromote(state, null, startMs));
      expect(all.state).toMatchObject({ cycle: 3, waiting: 1, activateAtMs: startMs + intervalMs });
      expect(await changesSince(store, 'staged', 2)).toEqual([['a', '1', 3]]);
      const rolled = await roll(store, startMs + intervalMs);
      expect(rolled.counts).toEqual({ activated: 2, staged: 0 });
      expect(rolled.state.active.cycle).toBe(3);
    });

    test('a decision that throws, or wants nothing, changes nothing', async () => {
      const store = await harness().open(fresh);
      await store.edit([put('a', 1)]);
      const before = await store.state(startMs);
      const failing = store.change(startMs, () => {
        throw new Error('a bug');
      });
      await expect(failing).rejects.toThrow('a bug');
      await store.change(startMs, () => ({ table: null, steps: [], result: null }));
      expect(await store.state(startMs)).toEqual(before);
    });

    test('a transaction that fails in the middle has done nothing, whatever step it was at', async () => {
      for (const at of ['activate', 'stage'] as const) {
        let isArmed = false;
        const afterStep = ({ kind }: PlanStep): void => {
          if (isArmed && kind === at) throw new Error(`failed after ${at}`);
        };
        const store = await harness().open({ ...fresh, afterStep });
        await store.edit([put('a', 1), put('b', 1)]);
        await roll(store, startMs + intervalMs);
        await store.edit([put('a', 2), { delete: 'b' }]);
        const held = async (): Promise<unknown> => [await contents(store, 'staged'), await contents(store, 'active')];
        const before = await held();
        isArmed = true;
        await expect(roll(store, startMs + 2 * intervalMs)).rejects.toThrow(`failed after ${at}`);
        expect(await held()).toEqual(before);
        const state = await store.state(startMs);
        expect(state).toMatchObject({ cycle: 2, waiting: 2, items: { production: 1, staged: 2, active: 0 } });
        isArmed = false;
        // Its lock stands, until it runs out: then the roll is done as if nothing had been.
        expect(state.lock?.holder).toBe('roller');
        const done = await roll(store, startMs + 2 * intervalMs + cycleBounds.lockMs);
        expect(done.counts).toEqual({ activated: 2, staged: 2 });
        expect(await held()).toEqual([{ a: 2 }, { a: 1, b: 1 }]);
      }
    });

    test('two processes that roll at the same moment: one does', async () => {
      const first = await harness().open(fresh);
      const second = await harness().open({ ...fresh, again: first });
      await first.edit([put('a', 1)]);
      const nowMs = startMs + intervalMs;
      const attempts = await Promise.all(
        [first, second, first, second].map(async (store, index) =>
          store.change(nowMs, (state) => planLock(state, { holder: `s${index}`, token: `t${index}` }, nowMs)),
        ),
      );
      const kinds = attempts.map(({ result }) => result.kind);
      expect(kinds.filter((kind) => kind === 'taken')).toHaveLength(1);
      expect(kinds.filter((kind) => kind === 'refused')).toHaveLength(3);
      const winner = kinds.indexOf('taken');
      const rolls = await Promise.all(
        [0, 1, 2, 3].map(async (index) =>
          (index % 2 === 0 ? first : second).change(nowMs, (state) => planRoll(state, `t${index}`, nowMs)),
        ),
      );
      expect(rolls.map(({ result }) => result.rolled)).toEqual([0, 1, 2, 3].map((index) => index === winner));
      expect(await second.state(nowMs)).toMatchObject({ cycle: 2, lock: null });
      expect(await contents(second, 'staged')).toEqual({ a: 1 });
    });

    test('a reader sees all of a roll or nothing of it, however often it looks', async () => {
      const store = await harness().open(fresh);
      const reader = await harness().open({ ...fresh, again: store });
      const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`);
      await store.edit(keys.map((key) => put(key, 0)));
      let isRolling = true;
      const looked = (async (): Promise<number> => {
        let looks = 0;
        while (isRolling) {
          const staged = await reader.page((table) => ({
            request: { copy: 'staged', since: null, after: null, maxChanges: 1000, maxCharacters: 1e6 },
            result: table.cycle,
          }));
          // Whatever is staged in cycle N was written in the round before: N − 2.
          for (const { value } of staged.changes) expect(Number(value)).toBe(staged.result - 2);
          expect([0, keys.length]).toContain(staged.changes.length);
          looks += 1;
          await new Promise((resolve) => setImmediate(resolve));
        }
        return looks;
      })();
      for (let round = 1; round <= 15; round += 1) {
        await roll(store, startMs + round * intervalMs);
        await store.edit(keys.map((key) => put(key, round)));
        // The embedded store never waits: the reader has its turn here.
        await new Promise((resolve) => setImmediate(resolve));
      }
      isRolling = false;
      expect(await looked).toBeGreaterThan(5);
    });

    test('pages are bounded by number and by size, and together they are all', async () => {
      const store = await harness().open(fresh);
      // Keys in the order of their bytes; also with a zero, and beyond the first plane.
      const keys = ['\u0000', 'a', 'a\u0000b', 'b', 'é', '\uffee', '😀'];
      await store.edit(keys.map((key) => put(key, 'x'.repeat(100))));
      await roll(store, startMs + intervalMs);
      await store.edit([put('b', 'y'.repeat(100)), { delete: 'a' }]);
      await roll(store, startMs + 2 * intervalMs);
      const live = keys.filter((key) => key !== 'a');
      expect(await allPages(store, 'staged', { maxChanges: 2 })).toEqual([
        live.slice(0, 2),
        live.slice(2, 4),
        live.slice(4),
      ]);
      expect(await allPages(store, 'staged', { maxCharacters: 150 })).toEqual([
        live.slice(0, 2),
        live.slice(2, 4),
        live.slice(4),
      ]);
      const since = await allPages(store, 'staged', { since: 1, maxChanges: 3 });
      expect(since).toEqual([['\u0000', 'a\u0000b', 'é'], ['\uffee', '😀', 'a'], ['b']]);
      expect(await allPages(store, 'staged', { since: 1, maxCharacters: 1 })).toHaveLength(7);
      expect((await allPages(store, 'active', {})).flat()).toEqual(keys);
    });

    test('production is listed by prefix, in the order of the keys as bytes', async () => {
      const store = await harness().open(fresh);
      const keys = ['a', 'a/1', 'a/2', 'a/é', 'b', '😀'];
      await store.edit([...keys].reverse().map((key, index) => put(key, index)));
      await store.edit([put('a/0', 1), { delete: 'a/0' }]);
      const names = async (query: Parameters<CycleStore['items']>[0]): Promise<readonly string[]> =>
        (await store.items(query)).map(({ key }) => key);
      expect(await names({ prefix: '', after: null, limit: 100 })).toEqual(keys);
      expect(await names({ prefix: 'a/', after: null, limit: 100 })).toEqual(['a/1', 'a/2', 'a/é']);
      expect(await names({ prefix: 'a/', after: 'a/1', limit: 1 })).toEqual(['a/2']);
      expect(await names({ prefix: 'a/', after: 'a/é', limit: 9 })).toEqual([]);
      expect(await names({ prefix: 'z', after: null, limit: 9 })).toEqual([]);
      expect(await names({ prefix: '', after: 'b', limit: 9 })).toEqual(['😀']);
    });

    test('of the retrievals of a server the longest of the last day counts', async () => {
      const store = await harness().open(fresh);
      const dayMs = cycleBounds.retrievalMemoryMs;
      const report = (by: string, durationMs: number, atMs: number): Promise<void> =>
        store.recordRetrieval({ by, cycle: 1, durationMs, atMs });
      const worst = async (nowMs: number): Promise<unknown> => (await store.state(nowMs)).worstRetrieval;
      await report('a', 900.5, startMs);
      await report('a', 5, startMs + 1);
      await report('b', 300, startMs + 1000);
      expect(await worst(startMs + 2000)).toEqual({ by: 'a', cycle: 1, durationMs: 900.5, atMs: startMs });
      expect(await worst(startMs + dayMs + 1)).toEqual({ by: 'b', cycle: 1, durationMs: 300, atMs: startMs + 1000 });
      await report('a', 7, startMs + dayMs + 2);
      expect(await worst(startMs + dayMs + 2000)).toMatchObject({ by: 'a', durationMs: 7 });
    });

    test('deletes that are forgotten are gone from both copies, values are not', async () => {
      const store = await harness().open(fresh);
      await store.edit([put('a', 1), put('b', 1)]);
      await roll(store, startMs + intervalMs);
      await store.edit([{ delete: 'a' }]);
      await roll(store, startMs + 2 * intervalMs);
      await roll(store, startMs + 3 * intervalMs);
      expect(await changesSince(store, 'active', 2)).toEqual([['a', null, 3]]);
      await store.change(startMs, ({ items, waiting, latestStagedDateMs, worstRetrieval, ...table }) => ({
        table: { ...table, prunedCycle: 3 },
        steps: [{ kind: 'prune', upToCycle: 3 }],
        result: [items, waiting, latestStagedDateMs, worstRetrieval],
      }));
      expect(await changesSince(store, 'active', 0)).toEqual([['b', '1', 2]]);
      expect(await changesSince(store, 'staged', 0)).toEqual([['b', '1', 2]]);
      expect((await store.state(startMs)).prunedCycle).toBe(3);
    });

    test('after close everything is refused', async () => {
      const store = await harness().open(fresh);
      await store.close();
      await store.close();
      await expect(store.state(startMs)).rejects.toMatchObject({ code: 'closed' });
      await expect(store.edit([put('a', 1)])).rejects.toMatchObject({ code: 'closed' });
    });
  });
}
