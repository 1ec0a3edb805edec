import { expect, test } from 'vitest';
import { Activations } from './activations.js';
import { cycleBounds } from './bounds.js';

function report(by: string, cycle: number, reachedMs: number, late = false): Parameters<Activations['report']>[0] {
  return { by, cycle, reachedMs, errorMs: reachedMs / 1000, late };
}

test('the spread is of those that were in time, with the worst of their errors; late ones are counted', () => {
  const activations = new Activations();
  for (const each of [report('a', 1, 1000), report('b', 1, 1004), report('c', 1, 9000, true)]) activations.report(each);
  expect(activations.spreads()).toEqual([
    { cycle: 1, servers: 2, late: 1, earliestMs: 1000, latestMs: 1004, spreadMs: 4, worstErrorMs: 1.004 },
  ]);
  activations.report(report('a', 2, 2000, true));
  expect(activations.spreads()).toMatchObject([
    { cycle: 2, servers: 0, late: 1, spreadMs: null, worstErrorMs: null },
    { cycle: 1 },
  ]);
});

test('of one server the last word counts, and cycles and servers are bounded', () => {
  const activations = new Activations();
  activations.report(report('a', 1, 5000, true));
  activations.report(report('a', 1, 1000));
  expect(activations.spreads()).toMatchObject([{ servers: 1, late: 0 }]);
  for (let server = 0; server < cycleBounds.maxRetrievers + 10; server += 1)
    activations.report(report(`s${server}`, 2, 1));
  expect(activations.spreads()[0]?.servers).toBe(cycleBounds.maxRetrievers);
  for (let cycle = 3; cycle < 100; cycle += 1) activations.report(report('a', cycle, 1));
  expect(activations.spreads().map(({ cycle }) => cycle)).toEqual(
    Array.from({ length: cycleBounds.rememberedActivations }, (_, place) => 99 - place),
  );
});
