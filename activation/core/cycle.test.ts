import { describe, expect, test } from 'vitest';
import { cycleBounds } from './bounds.js';
import {
  heldLock,
  isDue,
  keepsRetrieval,
  newTable,
  nextInstant,
  planActivation,
  planInterval,
  planLock,
  planPromote,
  planRoll,
  shownActive,
  sinceOf,
} from './cycle.js';
import type { CycleState, SynchronisationTable, Plan } from './table.js';

const minuteMs = 60_000;
const nineMs = Date.parse('2026-12-01T09:00:00Z');

function stateOf(table: Partial<CycleState> = {}): CycleState {
  return {
    ...newTable({ source: 'here', intervalMs: 10 * minuteMs, originMs: 0 }, nineMs),
    items: { production: 0, staged: 0, active: 0 },
    waiting: 0,
    latestStagedDateMs: null,
    worstRetrieval: null,
    ...table,
  };
}

function tableAfter(plan: Plan<unknown>): SynchronisationTable {
  if (plan.table === null) throw new Error('the table stays');
  return plan.table;
}

const retrieval = (durationMs: number): CycleState['worstRetrieval'] => ({
  by: 's1',
  cycle: 1,
  durationMs,
  atMs: nineMs,
});
const lock = { holder: 's1', token: 'one', untilMs: nineMs + 10 * minuteMs + cycleBounds.lockMs };
const dueMs = nineMs + 10 * minuteMs;

describe('the grid', () => {
  test.each([
    ['an instant before', -1, 0],
    ['the instant itself is not in the future', 0, 10],
    ['within the first interval', 1, 10],
    ['nobody came for five intervals', 57.5, 60],
    ['nobody came for five intervals and it is just time', 60, 70],
  ])('%s', (_what, minutesLater, nextMinutes) => {
    const next = nextInstant({ originMs: 0, intervalMs: 10 * minuteMs }, nineMs + minutesLater * minuteMs);
    expect(next).toBe(nineMs + nextMinutes * minuteMs);
  });

  test('begins wherever it is said to, also in the future', () => {
    const daily = 24 * 60 * minuteMs;
    const atThree = Date.parse('2030-01-01T03:00:00Z');
    expect(nextInstant({ originMs: atThree, intervalMs: daily }, nineMs)).toBe(Date.parse('2026-12-02T03:00:00Z'));
  });

  test('with an interval that does not divide an hour it stays in step after any pause', () => {
    const grid = { originMs: 0, intervalMs: 7 * minuteMs };
    for (let pause = 0; pause < 50; pause += 1) {
      const nowMs = nineMs + pause * 3.3 * minuteMs;
      const next = nextInstant(grid, nowMs);
      expect(next % grid.intervalMs).toBe(0);
      expect(next).toBeGreaterThan(nowMs);
      expect(next - nowMs).toBeLessThanOrEqual(grid.intervalMs);
    }
  });
});

describe('a roll', () => {
  test('nobody rolls before the time, and the table is not touched', () => {
    const plan = planLock(stateOf(), { holder: 's1', token: 'one' }, dueMs - 0.001);
    expect(plan).toEqual({ table: null, steps: [], result: { kind: 'not due' } });
  });

  test('active takes what was staged, and only then staged takes production', () => {
    const plan = planRoll(stateOf({ lock }), 'one', dueMs);
    expect(plan.result).toEqual({ rolled: true });
    expect(plan.steps).toEqual([
      { kind: 'activate', aboveCycle: 0 },
      { kind: 'stage', cycle: 2, dueMs: dueMs + 10 * minuteMs, keys: null },
    ]);
    expect(tableAfter(plan)).toMatchObject({
      cycle: 2,
      activateAtMs: dueMs + 10 * minuteMs,
      active: { cycle: 1, activatedAtMs: dueMs },
      lock: null,
    });
  });

  test('after five intervals without anybody the next activation is in the future and on the grid', () => {
    const nowMs = dueMs + 57 * minuteMs;
    const table = tableAfter(planRoll(stateOf({ lock }), 'one', nowMs));
    expect(table.activateAtMs).toBe(dueMs + 60 * minuteMs);
    expect(isDue(table, nowMs)).toBe(false);
    // It became active when it was time, and not when somebody came.
    expect(table.active).toEqual({ cycle: 1, activatedAtMs: dueMs });
  });

  test('whose lock ran out and was taken by somebody else does nothing', () => {
    const plan = planRoll(stateOf({ lock: { ...lock, token: 'two' } }), 'one', dueMs);
    expect(plan).toEqual({ table: null, steps: [], result: { rolled: false } });
    expect(planRoll(stateOf({ lock: null }), 'one', dueMs).steps).toEqual([]);
  });

  test('that somebody else did meanwhile is not done again; the lock ends', () => {
    const plan = planRoll(stateOf({ lock, activateAtMs: dueMs + 10 * minuteMs }), 'one', dueMs);
    expect(plan.steps).toEqual([]);
    expect(tableAfter(plan)).toMatchObject({ cycle: 1, lock: null });
  });

  test('forgets deletes that only servers far behind would need', () => {
    const far = cycleBounds.rememberedCycles + 7;
    const plan = planRoll(
      stateOf({ lock, cycle: far, active: { cycle: far - 1, activatedAtMs: nineMs } }),
      'one',
      dueMs,
    );
    expect(plan.steps.at(-1)).toEqual({ kind: 'prune', upToCycle: 7 });
    expect(tableAfter(plan).prunedCycle).toBe(7);
  });
});

describe('the lock', () => {
  test('is refused to the second, with who has it and how long', () => {
    const taken = tableAfter(planLock(stateOf(), { holder: 's1', token: 'one' }, dueMs));
    const { result, table } = planLock(stateOf(taken), { holder: 's2', token: 'two' }, dueMs + 1000);
    expect(table).toBeNull();
    expect(result).toMatchObject({
      kind: 'refused',
      code: 'locked',
      message: 's1 has the lock for 29000 ms more at most; ask again then',
    });
  });

  test('of a holder that died ends by itself, and not a moment earlier', () => {
    const taken = stateOf(tableAfter(planLock(stateOf(), { holder: 's1', token: 'one' }, dueMs)));
    const endMs = dueMs + cycleBounds.lockMs;
    expect(planLock(taken, { holder: 's2', token: 'two' }, endMs - 1).result).toMatchObject({ code: 'locked' });
    expect(planLock(taken, { holder: 's2', token: 'two' }, endMs).result).toEqual({ kind: 'taken' });
  });

  test('from a clock that was hours ahead stops nobody', () => {
    const ahead = stateOf({ lock: { ...lock, untilMs: dueMs + 5 * 60 * minuteMs } });
    expect(heldLock(ahead, dueMs)).toBeNull();
    expect(planLock(ahead, { holder: 's2', token: 'two' }, dueMs).result).toEqual({ kind: 'taken' });
  });

  test.each([
    ['interval', (state: CycleState) => planInterval(state, { intervalMs: minuteMs }, dueMs)],
    ['promotion', (state: CycleState) => planPromote(state, null, dueMs)],
    ['activation', (state: CycleState) => planActivation(state, 0, dueMs)],
  ])('holds off a change of the %s too', (_what, plan) => {
    expect(plan(stateOf({ lock }))).toMatchObject({ table: null, result: { kind: 'refused', code: 'locked' } });
  });
});

describe('what shows as active', () => {
  test('is what was staged from the activation time on, whether or not anybody rolled', () => {
    const table = stateOf({ cycle: 5, active: { cycle: 4, activatedAtMs: nineMs } });
    expect(shownActive(table, dueMs - 1)).toEqual({ copy: 'active', cycle: 4, activateAtMs: nineMs });
    expect(shownActive(table, dueMs)).toEqual({ copy: 'staged', cycle: 5, activateAtMs: dueMs });
  });

  test('changes are told to who holds a cycle of this database that is not too old', () => {
    const table = stateOf({ cycle: 9, prunedCycle: 3 });
    const held = (since: number | null, source: string | null = 'here'): number | null =>
      sinceOf(table, { since, source }, 9);
    expect([held(9), held(4), held(3)]).toEqual([9, 4, 3]);
    expect([held(2), held(10), held(null), held(5, 'elsewhere'), held(5, null)]).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});

describe('the interval', () => {
  test('is refused when no longer than the longest retrieval, with the figure', () => {
    const state = stateOf({ worstRetrieval: retrieval(45_000.2) });
    expect(planInterval(state, { intervalMs: 45_000 }, nineMs)).toEqual({
      table: null,
      steps: [],
      result: {
        kind: 'refused',
        code: 'interval-too-short',
        message:
          'an interval of 45000 ms is no longer than the longest retrieval of the last day, 45001 ms at s1; give more than that',
      },
    });
    expect(planInterval(state, { intervalMs: 45_001 }, nineMs).result).toEqual({ kind: 'set', wasMs: 10 * minuteMs });
  });

  test('is another one from the next roll on: servers are armed for the instant that there is', () => {
    const table = tableAfter(planInterval(stateOf(), { intervalMs: 7 * minuteMs }, nineMs));
    expect(table).toMatchObject({ intervalMs: 7 * minuteMs, activateAtMs: dueMs });
    const rolled = tableAfter(planRoll(stateOf({ ...table, lock }), 'one', dueMs));
    expect(rolled.activateAtMs % (7 * minuteMs)).toBe(0);
  });

  test.each([
    ['a shorter one', { durationMs: 900, atMs: nineMs }, { durationMs: 5, atMs: nineMs + 1 }, true],
    ['a longer one', { durationMs: 900, atMs: nineMs }, { durationMs: 901, atMs: nineMs + 1 }, false],
    ['one after a day', { durationMs: 900, atMs: nineMs }, { durationMs: 5, atMs: nineMs + 24 * 60 * minuteMs }, false],
    ['one by a clock that went back', { durationMs: 900, atMs: nineMs }, { durationMs: 5, atMs: nineMs - 1 }, false],
  ])('is held against the longest retrieval: after %s', (_what, kept, reported, keeps) => {
    expect(keepsRetrieval(kept, reported)).toBe(keeps);
  });
});

describe('a promotion', () => {
  test('names another content, since servers may have staged the one before', () => {
    const plan = planPromote(stateOf({ cycle: 5 }), ['a'], nineMs);
    expect(plan.steps).toEqual([{ kind: 'stage', cycle: 6, dueMs, keys: ['a'] }]);
    expect(tableAfter(plan)).toMatchObject({ cycle: 6, activateAtMs: dueMs });
  });

  test('that servers could not fetch in time is refused with the figures', () => {
    const state = stateOf({ worstRetrieval: retrieval(2500) });
    expect(planPromote(state, null, dueMs - 12_499).result).toEqual({
      kind: 'refused',
      code: 'too-late',
      message:
        'the next activation is in 12499 ms, and servers need 12500 ms to notice and fetch; promote after it, from 2026-12-01T09:10:00.000Z on',
    });
    expect(planPromote(state, null, dueMs - 12_500).result).toEqual({ kind: 'promoted' });
  });

  test('after the activation time rolls first: what is active by now must not change', () => {
    const plan = planPromote(stateOf({ cycle: 5 }), null, dueMs);
    expect(plan.steps.map(({ kind }) => kind)).toEqual(['activate', 'stage', 'stage']);
    expect(tableAfter(plan)).toMatchObject({ cycle: 7, active: { cycle: 5, activatedAtMs: dueMs } });
  });
});

describe('an activation by hand', () => {
  test('at once rolls, and the next one stays on the grid', () => {
    const plan = planActivation(stateOf({ cycle: 5 }), 0, nineMs + minuteMs);
    expect(plan.result).toEqual({ kind: 'moved', rolled: true });
    expect(tableAfter(plan)).toMatchObject({
      cycle: 6,
      activateAtMs: dueMs,
      active: { cycle: 5, activatedAtMs: nineMs + minuteMs },
    });
  });

  test('later only moves the instant', () => {
    const plan = planActivation(stateOf({ cycle: 5 }), minuteMs, nineMs + 0.5);
    expect(plan).toMatchObject({ steps: [], result: { kind: 'moved', rolled: false } });
    expect(tableAfter(plan)).toMatchObject({ cycle: 5, activateAtMs: nineMs + minuteMs });
  });

  test.each([
    [
      'to an instant that servers would not hear of',
      minuteMs,
      9999,
      'an activation in 9999 ms is too near: servers need 10000 ms to notice; the earliest possible instant is 2026-12-01T09:01:10.000Z',
    ],
    [
      'away from an instant that servers are about to switch at',
      10 * minuteMs - 5000,
      minuteMs,
      "the activation at 2026-12-01T09:10:00.000Z can't be moved any more: servers need 10000 ms to notice; move the next one when that has passed",
    ],
  ])('is refused %s', (_what, laterMs, inMs, message) => {
    const { table, result } = planActivation(stateOf(), inMs, nineMs + laterMs);
    expect(table).toBeNull();
    expect(result).toEqual({ kind: 'refused', code: 'too-late', message });
  });

  test('is refused before the date of something that is staged', () => {
    const state = stateOf({ latestStagedDateMs: nineMs + 5 * minuteMs });
    expect(planActivation(state, 0, nineMs + minuteMs).result).toEqual({
      kind: 'refused',
      code: 'dated-later',
      message:
        'an item that is staged is dated 2026-12-01T09:05:00.000Z, and 2026-12-01T09:01:00.000Z is before that; give a later instant, or wait',
    });
    expect(planActivation(state, 0, nineMs + 5 * minuteMs).result).toEqual({ kind: 'moved', rolled: true });
  });

  test('after the activation time rolls, and moves nothing that is active by now', () => {
    const rolledNow = planActivation(stateOf({ cycle: 5 }), 0, dueMs + minuteMs);
    expect(tableAfter(rolledNow).active).toEqual({ cycle: 5, activatedAtMs: dueMs });
    expect(planActivation(stateOf(), minuteMs, dueMs).result).toMatchObject({ code: 'too-late' });
  });
});
