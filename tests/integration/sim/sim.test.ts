import { describe, expect, test } from 'vitest';
import { campaignOptions } from './campaign.js';
import type { SimOptions } from './index.js';
import { describeFailures, runSeed, simulate } from './index.js';
import type { FaultKind } from './faults.js';
import { defaultFaults, firstFaults } from './faults.js';

const takeOver: readonly FaultKind[] = [...firstFaults, 'take-over'];
/** Regression seeds go on to mean what they meant: they name the faults that they drew from. */
const asThen: SimOptions = { faults: firstFaults };

/** As a campaign's seed draws a take-over. */
const campaignTakeOver: SimOptions = { faults: [...defaultFaults, 'take-over'], swarm: true };
const asCampaign = (seed: number): SimOptions => ({ ...campaignOptions(seed), ...campaignTakeOver });

/** Seeds of all kinds of faults; `npm run sim` runs many more. */
const seeds = [1, 2, 3, 4, 6];

/**
 * Seeds that failed once, and what they found then. They go on as good seeds like any other: a change of the workload or
 * of the faults changes what a seed draws.
 */
const regressions: readonly { readonly seed: number; readonly found: string; readonly options?: SimOptions }[] = [
  { seed: 5, found: 'a chain of one step more than the wire allows', options: { faults: 'none' } },
  { seed: 32, found: 'a whole state that held changes whose prior had been aborted', options: asThen },
  { seed: 99, found: 'a queued version rolled back, and those before it with it', options: asThen },
  { seed: 1267, found: 'a lease that outlived a short sleep', options: asThen },
  { seed: 2108, found: 'a copy called diverged for a late heartbeat of an empty master', options: asThen },
  { seed: 17, found: 'a master that leads unheard, and fences copies that hold more', options: { faults: takeOver } },
  { seed: 32, found: 'a take-over by a copy that the live master is ahead of', options: { faults: takeOver } },
  { seed: 76, found: 'an empty master that leads a group it cannot hear', options: { faults: takeOver } },
  { seed: 47, found: 'a round of a master that was taken over, which nobody could end', options: { faults: takeOver } },
  { seed: 572, found: 'an adoption forgotten by a crash before the claim', options: campaignTakeOver },
  { seed: 201, found: 'an empty master that led although it heard slaves look for theirs', options: asCampaign(201) },
  { seed: 230, found: 'an empty master that led after refused promises, which held more', options: asCampaign(230) },
  {
    seed: 18,
    found: 'a decision of a hanging master, durable after a copy was adopted over it',
    options: asCampaign(18),
  },
  {
    seed: 147,
    found: 'a change that only a hanging master ever had, when another one began',
    options: asCampaign(147),
  },
  {
    seed: 347,
    found: 'a diverged copy that a snapshot, shared and a little old, took further back than the master was',
    options: { ...campaignOptions(347), faults: defaultFaults, swarm: true },
  },
  {
    seed: 383,
    found: 'a scheduled change shown when a packet of an older reign came, and not by its timer',
    options: { ...campaignOptions(383), faults: defaultFaults, swarm: true },
  },
  {
    seed: 37,
    found: 'a backup of the master from before an arming, which told slaves that it was aborted',
    options: { ...campaignOptions(37), faults: defaultFaults, swarm: true },
  },
  {
    seed: 453,
    found: 'a scheduled change, shown already, that was written when a packet of an older reign came',
    options: { ...campaignOptions(453), faults: defaultFaults, swarm: true },
  },
  {
    seed: 38,
    found: 'a slave that held nothing of a scheduled change, and whose machine had slept unnoticed before it',
    options: { ...campaignOptions(38), faults: defaultFaults, swarm: true },
  },
  {
    seed: 449,
    found: 'a copy that showed the first change of all before its master did, and took itself for diverged',
    options: { ...campaignOptions(449), faults: defaultFaults, swarm: true },
  },
];

describe('simulation', () => {
  test.each(seeds)('seed %i holds every guarantee', async (seed) => {
    const result = await runSeed(seed);
    expect(describeFailures(result)).toBe('');
    expect(result.stats.convergedInMs).not.toBeNull();
  });

  test.each(regressions)('seed $seed holds every guarantee; it once found $found', async ({ seed, options }) => {
    expect(describeFailures(await runSeed(seed, options))).toBe('');
  });

  test('a calm group commits nearly everything, and converges', async () => {
    const result = await runSeed(1, { faults: 'none', slaves: 3, faultsMs: 10_000 });
    expect(describeFailures(result)).toBe('');
    expect(result.stats.committed).toBeGreaterThan(5);
    expect(result.stats.crashes).toBe(0);
  });

  test('the same seed gives the same trace, byte for byte; another seed another', async () => {
    const one = await runSeed(3, { keepTrace: true, faultsMs: 8000 });
    const again = await runSeed(3, { keepTrace: true, faultsMs: 8000 });
    const other = await runSeed(4, { faultsMs: 8000 });
    expect(one.trace.length).toBeGreaterThan(1000);
    expect(again.trace).toEqual(one.trace);
    expect(again.digest).toBe(one.digest);
    expect(other.digest).not.toBe(one.digest);
  });

  test("`simulate` runs a host's seeds and counts them", async () => {
    const { passed } = await simulate({
      seeds: 2,
      from: 11,
      slaves: 2,
      faults: ['loss', 'crash-slave'],
      faultsMs: 5000,
    });
    expect(passed).toBe(2);
  });
});
