import { defaultFaults } from './faults.js';
import type { SimOptions } from './run.js';

/** The campaign's groups, by the seed's number: any 500 seeds in a row hold all sizes, and two of the largest. */
function slavesOf(seed: number): number | undefined {
  if (seed % 250 === 77) return 1000;
  if (seed % 100 === 33) return 100;
  if (seed % 500 === longSeed) return 3;
  if (seed % 10 === 5) return 10;
  if (seed % 10 === 8) return 3;
  return undefined; // drawn: 1 to 5
}

/** One seed of 500 goes on for long enough that a pause of ten minutes ends in it. */
const longSeed = 141;

/** Large groups and long times pay for each other. Undefined: drawn, 10 to 35 seconds. */
function faultsMsOf(seed: number): number | undefined {
  if (seed % 500 === longSeed) return 660_000;
  const slaves = slavesOf(seed) ?? 0;
  if (slaves >= 1000) return 5000;
  return slaves >= 100 ? 10_000 : undefined;
}

/** How many slaves, as far as the number tells: for putting the largest first. */
export function slavesOfSeed(seed: number): number {
  return slavesOf(seed) ?? 0;
}

/** Every eighth seed has a second master that takes over. */
function takesOver(seed: number): boolean {
  return seed % 8 === 4;
}

/** What a seed of the campaign runs: the same for the CI's 500 and a night's 10,000. */
export function campaignOptions(seed: number): SimOptions {
  const slaves = slavesOf(seed);
  const faultsMs = faultsMsOf(seed);
  return {
    ...(faultsMs === undefined ? {} : { faultsMs }),
    ...(slaves === undefined ? {} : { slaves }),
    ...(takesOver(seed) ? { faults: [...defaultFaults, 'take-over'], swarm: true } : {}),
  };
}
