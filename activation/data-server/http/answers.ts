import { heldLock } from '../../core/cycle.js';
import type { ClockBody, CycleBody, ItemBody, LockedBody } from '../../core/bodies.js';
import type { CycleState, Refusal } from '../../core/table.js';
import type { Json } from '../../../shared/protocol/key-value/operations.js';
import type { CopiedChanges } from '../changes.js';
import type { CopiedItem, StoredItem } from '../cycle-store.js';

export function cycleBody(state: CycleState, clock: ClockBody): CycleBody {
  const { source, cycle, activateAtMs, intervalMs, originMs, active, items, waiting, worstRetrieval } = state;
  const lock = heldLock(state, clock.sentMs);
  return {
    source,
    cycle,
    activateAtMs,
    intervalMs,
    originMs,
    active,
    items,
    waiting,
    lock: lock === null ? null : { holder: lock.holder, untilMs: lock.untilMs },
    worstRetrieval,
    intervalFits: worstRetrieval === null || worstRetrieval.durationMs < intervalMs,
    clock,
  };
}

/** Values are JSON already: they go out as they were kept. The clock comes last, when all the rest is made. */
export function changesText(found: CopiedChanges, stamps: () => ClockBody): string {
  const { source, cycle, activateAtMs, from, next } = found;
  const head = JSON.stringify({ source, cycle, activateAtMs, from, next }).slice(0, -1);
  const changes = found.changes.map(changeText).join(',');
  return `${head},"changes":[${changes}],"clock":${JSON.stringify(stamps())}}`;
}

function changeText({ key, value }: CopiedItem): string {
  return value === null ? `{"delete":${JSON.stringify(key)}}` : `{"put":[${JSON.stringify(key)},${value}]}`;
}

export function itemBody({ key, value, notBeforeMs, waiting }: StoredItem): ItemBody {
  return { key, value: JSON.parse(value ?? 'null') as Json, notBeforeMs, waiting };
}

export function lockedBody(refusal: Refusal, clock: ClockBody): LockedBody | null {
  if (refusal.code !== 'locked' || refusal.lock === undefined) return null;
  const { holder, untilMs } = refusal.lock;
  return { error: { code: 'locked', message: refusal.message }, lock: { holder, untilMs }, clock };
}
