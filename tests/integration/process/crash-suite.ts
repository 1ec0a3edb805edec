import { afterAll, describe, expect, test } from 'vitest';
import type { CrashPointName } from '../../../shared/runtime/crash-points.js';
import type { Drive } from './crash-drives.js';
import { CrashGroup, nodeNames } from './crash-group.js';

const pointMs = 60_000;

/** Kills a process at both sides of each step. One group lives through all of it, unless a point fails. */
export function killAtEachPoint(role: 'master' | 'slave', drives: Readonly<Record<string, Drive>>): void {
  describe(`a ${role} killed`, () => {
    let group: CrashGroup | null = null;
    afterAll(async () => {
      await group?.[Symbol.asyncDispose]();
    });

    const points = Object.entries(drives).flatMap(([step, drive]) =>
      (['before', 'after'] as const).map((moment) => ({
        point: `${role}:${moment}-${step}` as CrashPointName,
        drive,
      })),
    );
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
          for (const name of nodeNames) if (!running.isRunning(name)) running.boot(name);
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
