import type { CrashPointName, CrashRole } from '../../../shared/runtime/crash-points.js';
import type { Drive } from './crash-drives.js';

/** Which crash points a run takes: `npm run crash` all of them, `npm test` a part drawn by a fixed rule. */
export const allPointsVariable = 'LOCKSTEP_CRASH_POINTS';

export interface ChosenPoint {
  readonly point: CrashPointName;
  readonly drive: Drive;
}

type Drives = Readonly<Record<string, Drive>>;

/** Promise, vote and outcome, what has to be durable before each of them leaves, and an adoption: both sides, always. */
export const decisiveSteps: Readonly<Record<CrashRole, readonly string[]>> = {
  master: ['write:epoch', 'write:decision', 'send:commit', 'write:adoption'],
  slave: ['write:promise', 'send:promise', 'write:prepared', 'send:vote'],
};

export function allPoints(role: CrashRole, drives: Drives): readonly ChosenPoint[] {
  return Object.entries(drives).flatMap(([step, drive]) => bothSides(role, step, drive));
}

/** Both sides of the decisive steps; of the others one, before and after in turn, and none of those from an empty store. */
export function drawnPoints(role: CrashRole, drives: Drives): readonly ChosenPoint[] {
  return Object.entries(drives)
    .filter(([step, drive]) => drive.fromEmptyStore !== true || decisiveSteps[role].includes(step))
    .flatMap(([step, drive], index) => {
      const sides = bothSides(role, step, drive);
      return decisiveSteps[role].includes(step) ? sides : sides.slice(index % 2, (index % 2) + 1);
    });
}

function bothSides(role: CrashRole, step: string, drive: Drive): readonly ChosenPoint[] {
  return (['before', 'after'] as const).map((side) => ({ point: `${role}:${side}-${step}` as CrashPointName, drive }));
}
