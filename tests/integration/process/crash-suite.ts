import { afterAll, describe, expect, test } from 'vitest';
import type { CrashRole } from '../../../shared/runtime/crash-points.js';
import type { Drive } from './crash-drives.js';
import { CrashGroup } from './crash-group.js';
import { allPoints, allPointsVariable, drawnPoints } from './crash-selection.js';

const pointMs = 150_000;

/** Kills a process at a part of the points, or at all of them. One group lives through it, unless a point fails. */
export function killAtEachPoint(role: CrashRole, drives: Readonly<Record<string, Drive>>): void {
  const whole = allPoints(role, drives);
  const points = process.env[allPointsVariable] === 'all' ? whole : drawnPoints(role, drives);
  const share =
    points.length === whole.length ? `all ${whole.length}` : `${points.length} of ${whole.length}, npm run crash: all`;
  describe(`a ${role} killed (${share})`, () => {
    let group: CrashGroup | null = null;
    afterAll(async () => {
      await group?.[Symbol.asyncDispose]();
    });

    test.each(points)(
      'at $point comes back, and nothing acknowledged is missing',
      { timeout: pointMs },
      async (each) => {
        const running = group ?? (await CrashGroup.start());
        group = null;
        try {
          await running.bothLive();
          await each.drive.run(running, each.point);
          await running.diedAtItsPoint(each.drive.node);
          await running.bootRest();
          await running.changed('two phases');
          await running.converged();
          running.leadAsUsual();
          expect(running.acknowledged).toBeGreaterThan(0);
          group = running;
        } finally {
          if (group === null) await running[Symbol.asyncDispose]();
        }
      },
    );
  });
}
