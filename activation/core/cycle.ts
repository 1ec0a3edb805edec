import { showInstant } from '../../shared/protocol/kernel/instants.js';
import { cycleBounds as bounds } from './bounds.js';
import type { CycleState, SynchronisationTable, Plan, PlanStep, Refusal, TableLock } from './table.js';

/**
 * The rules of the synchronisation table, as functions of the table and the time: no clock, no database. `nowMs` is the data
 * server's clock.
 */

/**
 * The first instant of the grid that is in the future, after any number of missed ones. One single `+= interval` would lie in
 * the past as soon as nobody came for two intervals, and everybody would roll again at once.
 */
export function nextInstant(grid: { readonly originMs: number; readonly intervalMs: number }, nowMs: number): number {
  const { originMs, intervalMs } = grid;
  return originMs + (Math.floor((nowMs - originMs) / intervalMs) + 1) * intervalMs;
}

/** The table of a new database: nothing is active, and an empty cycle 1 is staged. */
export function newTable(
  { source, intervalMs, originMs }: { readonly source: string; readonly intervalMs: number; readonly originMs: number },
  nowMs: number,
): SynchronisationTable {
  return {
    source,
    cycle: 1,
    activateAtMs: nextInstant({ intervalMs, originMs }, nowMs),
    intervalMs,
    originMs,
    active: { cycle: 0, activatedAtMs: null },
    prunedCycle: 0,
    lock: null,
  };
}

/** The activation time has come, and nobody has rolled since. */
export function isDue(table: SynchronisationTable, nowMs: number): boolean {
  return nowMs >= table.activateAtMs;
}

/**
 * Who has the lock, or null. A lock ends by itself, so that the death of its holder stops nobody for long; one that ends later
 * than any lock can was given by a clock that is gone, and counts for nothing.
 */
export function heldLock(table: SynchronisationTable, nowMs: number): TableLock | null {
  const { lock } = table;
  if (lock === null || nowMs >= lock.untilMs || lock.untilMs - nowMs > bounds.lockMs) return null;
  return lock;
}

/** What shows as active: the staged content from the activation time on. The instant decides, and not who rolls when. */
export function shownActive(
  table: SynchronisationTable,
  nowMs: number,
): { readonly copy: 'staged' | 'active'; readonly cycle: number; readonly activateAtMs: number | null } {
  if (isDue(table, nowMs)) return { copy: 'staged', cycle: table.cycle, activateAtMs: table.activateAtMs };
  return { copy: 'active', cycle: table.active.cycle, activateAtMs: table.active.activatedAtMs };
}

/** From which cycle changes can be told to somebody who says what he holds; null: only a whole copy will do. */
export function sinceOf(
  table: SynchronisationTable,
  held: { readonly since: number | null; readonly source: string | null },
  cycle: number,
): number | null {
  const { since, source } = held;
  if (since === null || source !== table.source || since > cycle || since < table.prunedCycle) return null;
  return since;
}

export type LockAnswer = { readonly kind: 'taken' } | { readonly kind: 'not due' } | Refusal;

/** The first step of a roll: the lock, if the time has come and nobody has it. */
export function planLock(
  state: CycleState,
  by: { readonly holder: string; readonly token: string },
  nowMs: number,
): Plan<LockAnswer> {
  if (!isDue(state, nowMs)) return nothing({ kind: 'not due' });
  const held = heldLock(state, nowMs);
  if (held !== null) return nothing(lockedRefusal(held, nowMs));
  const lock = { ...by, untilMs: Math.floor(nowMs) + bounds.lockMs };
  return { table: { ...tableOf(state), lock }, steps: [], result: { kind: 'taken' } };
}

/**
 * The second step: everything is looked at again, since the lock may have run out meanwhile and somebody else have rolled. It
 * ends the lock in the same transaction.
 */
export function planRoll(state: CycleState, token: string, nowMs: number): Plan<{ readonly rolled: boolean }> {
  if (state.lock?.token !== token) return nothing({ rolled: false });
  const unlocked = { ...tableOf(state), lock: null };
  if (!isDue(state, nowMs)) return { table: unlocked, steps: [], result: { rolled: false } };
  return { ...rolled(unlocked, state.activateAtMs, nowMs), result: { rolled: true } };
}

/** Another interval, or another grid, from the next roll on: servers are armed for the instant that there is. */
export function planInterval(
  state: CycleState,
  grid: { readonly intervalMs: number; readonly originMs?: number | undefined },
  nowMs: number,
): Plan<{ readonly kind: 'set'; readonly wasMs: number } | Refusal> {
  const held = heldLock(state, nowMs);
  if (held !== null) return nothing(lockedRefusal(held, nowMs));
  const worst = state.worstRetrieval;
  if (worst !== null && grid.intervalMs <= worst.durationMs) {
    return nothing({
      kind: 'refused',
      code: 'interval-too-short',
      message: `an interval of ${grid.intervalMs} ms is no longer than the longest retrieval of the last day, ${Math.ceil(worst.durationMs)} ms at ${worst.by}; give more than that`,
    });
  }
  const { intervalMs, originMs = state.originMs } = grid;
  return {
    table: { ...tableOf(state), intervalMs, originMs },
    steps: [],
    result: { kind: 'set', wasMs: state.intervalMs },
  };
}

/**
 * Production into staged now, in between. Servers may have staged this cycle already and have to fetch again, so it's refused
 * when that could no longer be in time for the activation.
 */
export function planPromote(
  state: CycleState,
  keys: readonly string[] | null,
  nowMs: number,
): Plan<{ readonly kind: 'promoted' } | Refusal> {
  const held = heldLock(state, nowMs);
  if (held !== null) return nothing(lockedRefusal(held, nowMs));
  // What was staged is active by now: it must not change any more.
  const { table, steps } = isDue(state, nowMs)
    ? rolled(tableOf(state), state.activateAtMs, nowMs)
    : { table: tableOf(state), steps: [] };
  const neededMs = noticeMs(table.intervalMs) + (state.worstRetrieval?.durationMs ?? 0);
  const leftMs = table.activateAtMs - nowMs;
  if (leftMs < neededMs) {
    return nothing({
      kind: 'refused',
      code: 'too-late',
      message: `the next activation is in ${Math.floor(leftMs)} ms, and servers need ${Math.ceil(neededMs)} ms to notice and fetch; promote after it, from ${showInstant(table.activateAtMs)} on`,
    });
  }
  const cycle = table.cycle + 1;
  const stage: PlanStep = { kind: 'stage', cycle, dueMs: table.activateAtMs, keys };
  return { table: { ...table, cycle }, steps: [...steps, stage], result: { kind: 'promoted' } };
}

/**
 * Moves the activation of what is staged. With `inMs` 0 it rolls at once. Refused while something staged has a date after the
 * instant: it was staged for the activation that there was, and no item shows before its date.
 */
export function planActivation(
  state: CycleState,
  inMs: number,
  nowMs: number,
): Plan<{ readonly kind: 'moved'; readonly rolled: boolean } | Refusal> {
  const held = heldLock(state, nowMs);
  if (held !== null) return nothing(lockedRefusal(held, nowMs));
  const wasDue = isDue(state, nowMs);
  if (wasDue && inMs === 0) {
    return { ...rolled(tableOf(state), state.activateAtMs, nowMs), result: { kind: 'moved', rolled: true } };
  }
  if (wasDue) {
    return nothing({
      kind: 'refused',
      code: 'too-late',
      message: `the activation time, ${showInstant(state.activateAtMs)}, has passed, and what was staged is active; roll first, then move the next one`,
    });
  }
  const atMs = Math.floor(nowMs) + inMs;
  if (state.latestStagedDateMs !== null && state.latestStagedDateMs > atMs) {
    return nothing({
      kind: 'refused',
      code: 'dated-later',
      message: `an item that is staged is dated ${showInstant(state.latestStagedDateMs)}, and ${showInstant(atMs)} is before that; give a later instant, or wait`,
    });
  }
  if (inMs === 0) return { ...rolled(tableOf(state), atMs, nowMs), result: { kind: 'moved', rolled: true } };
  // Servers are armed for the instant that there was; who wouldn't hear in time of another one would switch alone.
  const leftMs = Math.min(atMs, state.activateAtMs) - nowMs;
  const neededMs = noticeMs(state.intervalMs);
  if (leftMs < neededMs) {
    const isNear = state.activateAtMs - nowMs < neededMs;
    const what = isNear
      ? `the activation at ${showInstant(state.activateAtMs)} can't be moved any more`
      : `an activation in ${inMs} ms is too near`;
    const instead = isNear
      ? 'move the next one when that has passed'
      : `the earliest possible instant is ${showInstant(Math.ceil(nowMs + neededMs))}`;
    const message = `${what}: servers need ${Math.ceil(neededMs)} ms to notice; ${instead}`;
    return nothing({ kind: 'refused', code: 'too-late', message });
  }
  return {
    table: { ...tableOf(state), activateAtMs: atMs },
    steps: [],
    result: { kind: 'moved', rolled: false },
  };
}

/** How long servers are given to notice that something other than before is staged. */
export function noticeMs(intervalMs: number): number {
  return Math.min(bounds.maxNoticeMs, intervalMs / 10);
}

/** Which of two reports of one server is kept: the longer one, unless it's so old that it says nothing any more. */
export function keepsRetrieval(
  kept: { readonly durationMs: number; readonly atMs: number } | null,
  reported: { readonly durationMs: number; readonly atMs: number },
): boolean {
  return (
    kept !== null &&
    kept.durationMs > reported.durationMs &&
    kept.atMs > reported.atMs - bounds.retrievalMemoryMs &&
    kept.atMs <= reported.atMs
  );
}

export function lockedRefusal(lock: TableLock, nowMs: number): Refusal {
  return {
    kind: 'refused',
    code: 'locked',
    message: `${lock.holder} has the lock for ${Math.ceil(lock.untilMs - nowMs)} ms more at most; ask again then`,
    lock,
  };
}

/**
 * Active ← staged, **then** staged ← production: the other way round, what is being edited would become active without ever
 * having been staged at any server.
 */
function rolled(
  table: SynchronisationTable,
  activatedAtMs: number,
  nowMs: number,
): { readonly table: SynchronisationTable; readonly steps: readonly PlanStep[] } {
  const activateAtMs = nextInstant(table, nowMs);
  const cycle = table.cycle + 1;
  const prunedCycle = Math.max(table.prunedCycle, table.cycle - bounds.rememberedCycles);
  const prune: readonly PlanStep[] = prunedCycle > table.prunedCycle ? [{ kind: 'prune', upToCycle: prunedCycle }] : [];
  return {
    table: { ...table, cycle, activateAtMs, active: { cycle: table.cycle, activatedAtMs }, prunedCycle },
    steps: [
      { kind: 'activate', aboveCycle: table.active.cycle },
      { kind: 'stage', cycle, dueMs: activateAtMs, keys: null },
      ...prune,
    ],
  };
}

function nothing<Result>(result: Result): Plan<Result> {
  return { table: null, steps: [], result };
}

/** Without what was only read for the decision. */
function tableOf(state: CycleState): SynchronisationTable {
  const { source, cycle, activateAtMs, intervalMs, originMs, active, prunedCycle, lock } = state;
  return { source, cycle, activateAtMs, intervalMs, originMs, active, prunedCycle, lock };
}
