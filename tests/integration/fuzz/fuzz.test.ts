import { expect, test } from 'vitest';
import { runTarget } from './target.js';
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
