import type { Mutation } from './mutation.js';

const rules = 'activation/core/cycle.ts';
const items = 'activation/core/items.ts';
const rulesTest = 'activation/core/cycle.test.ts';
const api = 'activation/data-server/http/api.test.ts';
const stores = 'tests/integration/conformance/cycle-stores.test.ts';
const crashes = 'tests/integration/conformance/cycle-store-crash.test.ts';

function mutation(
  name: string,
  file: string,
  find: string,
  replace: string,
  caughtBy: readonly [string, string],
): Mutation {
  return {
    name,
    guarantee: 'pull cycle',
    edits: [{ file, find, replace }],
    caughtBy: { kind: 'test', file: caughtBy[0], title: caughtBy[1] },
  };
}

/** What breaks the pull cycle at its data server: one for each of its traps. */
export const cycleMutations: readonly Mutation[] = [
  mutation(
    'one interval on, however many were missed',
    rules,
    'const activateAtMs = nextInstant(table, nowMs);',
    'const activateAtMs = table.activateAtMs + table.intervalMs + 0 * nowMs;',
    [rulesTest, 'after five intervals without anybody the next activation is in the future and on the grid'],
  ),
  mutation(
    'staged from production before active from staged',
    rules,
    `      { kind: 'activate', aboveCycle: table.active.cycle },
      { kind: 'stage', cycle, dueMs: activateAtMs, keys: null },`,
    `      { kind: 'stage', cycle, dueMs: activateAtMs, keys: null },
      { kind: 'activate', aboveCycle: table.active.cycle },`,
    [stores, 'an edit is in production at once, staged with the next roll, and active with the one after'],
  ),
  mutation('a lock that never ends', rules, 'nowMs >= lock.untilMs || ', '', [
    rulesTest,
    'of a holder that died ends by itself, and not a moment earlier',
  ]),
  mutation('a lock by a clock that is gone', rules, ' || lock.untilMs - nowMs > bounds.lockMs', '', [
    rulesTest,
    'from a clock that was hours ahead stops nobody',
  ]),
  mutation(
    'a roll whose lock somebody else took',
    rules,
    'if (state.lock?.token !== token) return nothing({ rolled: false });',
    'void token;',
    [rulesTest, 'whose lock ran out and was taken by somebody else does nothing'],
  ),
  mutation(
    'active is what the last roll wrote',
    rules,
    "if (isDue(table, nowMs)) return { copy: 'staged',",
    "if (nowMs < 0) return { copy: 'staged',",
    [api, 'a server that joins after the activation time, before anyone rolled, sees the new data'],
  ),
  mutation(
    'a promotion changes what is active by now',
    rules,
    `  const { table, steps } = isDue(state, nowMs)
    ?`,
    `  const { table, steps } = nowMs < 0
    ?`,
    [rulesTest, 'after the activation time rolls first: what is active by now must not change'],
  ),
  mutation(
    'a promotion under the same number',
    rules,
    'const cycle = table.cycle + 1;\n  const stage:',
    'const cycle = table.cycle;\n  const stage:',
    [rulesTest, 'names another content, since servers may have staged the one before'],
  ),
  mutation('an interval shorter than retrieval', rules, 'grid.intervalMs <= worst.durationMs', 'grid.intervalMs < 0', [
    api,
    'an interval that retrieval does not fit into is refused with the figure, and said when it is there',
  ]),
  mutation(
    'a date that is passed over',
    items,
    'row.waiting && (row.notBeforeMs === null || row.notBeforeMs <= dueMs)',
    'row.waiting && dueMs > 0',
    [stores, 'a dated item is staged for the first activation at or after its date, and not for one before'],
  ),
  mutation('numbers of another database', rules, 'source !== table.source || ', '', [
    rulesTest,
    'changes are told to who holds a cycle of this database that is not too old',
  ]),
  mutation(
    'everything is copied at each roll',
    'activation/data-server/lmdb-cycle-store.ts',
    'if ((before?.value ?? null) === row.value) continue;',
    '',
    [stores, 'an unchanged cycle copies nothing at any hop, and a value that is edited back neither'],
  ),
  mutation(
    'a roll in as many transactions as it has steps',
    'activation/data-server/lmdb-records.ts',
    'return this.#database.transactionSync(work);',
    'return work();',
    [
      crashes,
      'whoever rolls is killed after its stage: nothing of the roll is there, its lock runs out, and another one rolls',
    ],
  ),
  mutation('everything staged is copied to active', rules, 'aboveCycle: table.active.cycle', 'aboveCycle: 0', [
    stores,
    'an unchanged cycle copies nothing at any hop, and a value that is edited back neither',
  ]),
  mutation(
    'the last retrieval instead of the longest',
    rules,
    'kept.durationMs > reported.durationMs &&',
    'kept.durationMs < 0 &&',
    [rulesTest, 'is held against the longest retrieval: after a shorter one'],
  ),
  mutation(
    'a promotion that servers can not fetch in time',
    rules,
    'noticeMs(table.intervalMs) + (state.worstRetrieval?.durationMs ?? 0)',
    'noticeMs(table.intervalMs)',
    [rulesTest, 'that servers could not fetch in time is refused with the figures'],
  ),
  mutation(
    'an instant that servers are armed for is moved in the last moment',
    rules,
    'Math.min(atMs, state.activateAtMs) - nowMs',
    'atMs - nowMs',
    [rulesTest, 'is refused away from an instant that servers are about to switch at'],
  ),
  mutation(
    'an activation by hand before a date',
    rules,
    'state.latestStagedDateMs !== null && state.latestStagedDateMs > atMs',
    'state.latestStagedDateMs !== null && state.latestStagedDateMs < 0',
    [api, 'a dated item waits for the activation that covers its date, and no activation by hand shows it earlier'],
  ),
  mutation(
    'the skew of an activation with who came late',
    'activation/core/activations.ts',
    'const timely = reports.filter(({ late }) => !late);',
    'const timely = reports;',
    [api, 'servers report when they showed a cycle; the answer tells how far apart that was, and how sure it is'],
  ),
];
