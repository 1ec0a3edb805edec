import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { runTarget, stepsTarget } from './target.js';
import { targets } from './targets.js';

/** The short form, with one seed for good; `npm run fuzz -- --inputs 1000000` draws anew. */
const inputs = 50_000;
const seed = 1;
const shares = targets.reduce((sum, { share }) => sum + share, 0);

const cases = targets.map((entry) => [entry.target.name, entry] as const);

test.each(cases)(
  '%s: what a stranger sends throws nothing, calls nothing, and holds nothing',
  async (_name, { target, share }) => {
    const result = await runTarget(target, { inputs: Math.ceil((inputs * share) / shares), seed });
    expect(result.failure, result.failure ?? '').toBeNull();
    expect(result.inputs).toBeGreaterThanOrEqual((inputs * share) / shares);
  },
  240_000,
);

test('a subject that keeps something of each input fails', async () => {
  const kept: string[][] = [];
  const leaking = stepsTarget({
    name: 'leaking',
    about: 'what is never let go',
    chunkInputs: 100,
    historyInputs: 10,
    step: fc.nat(),
    feed: (steps) => {
      kept.push(steps.map((step) => `${step}`.padEnd(20_000, '.').split('').join('')));
    },
  });
  const { failure } = await runTarget(leaking, { inputs: 2000, seed });
  expect(failure).toMatch(/inputs left \d+ bytes behind/);
});
