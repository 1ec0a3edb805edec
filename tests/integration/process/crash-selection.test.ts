import { expect, test } from 'vitest';
import { drives } from './crash-drives.js';
import { allPoints, decisiveSteps, drawnPoints } from './crash-selection.js';

const roles = ['master', 'slave'] as const;

test('all crash points are both sides of all steps', () => {
  expect(roles.flatMap((role) => allPoints(role, drives[role]))).toHaveLength(
    2 * roles.flatMap((role) => Object.keys(drives[role])).length,
  );
});

test('those of every test run are at least a third, of each step but most from an empty store, on both sides', () => {
  const whole = roles.flatMap((role) => allPoints(role, drives[role]));
  const drawn = roles.flatMap((role) => drawnPoints(role, drives[role]).map(({ point }) => point));
  expect(drawn.length).toBeGreaterThanOrEqual(whole.length / 3);
  for (const role of roles) {
    for (const [step, drive] of Object.entries(drives[role])) {
      const sides = [`${role}:before-${step}`, `${role}:after-${step}`].filter((point) =>
        drawn.some((d) => d === point),
      );
      const wanted = decisiveSteps[role].includes(step) ? 2 : drive.fromEmptyStore === true ? 0 : 1;
      expect(sides, step).toHaveLength(wanted);
    }
    for (const side of ['before', 'after'])
      expect(drawn.filter((point) => point.startsWith(`${role}:${side}-`)).length).toBeGreaterThan(8);
    for (const step of decisiveSteps[role]) expect(Object.keys(drives[role])).toContain(step);
  }
});
