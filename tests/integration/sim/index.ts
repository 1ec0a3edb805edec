/**
 * `lockstep/testing`: a host's own callbacks under simulation. Virtual time, a seeded network and seeded disks, crashes
 * of masters and slaves at any point, and a checker for each guarantee. Slow only where the callbacks are.
 */
import { LockstepError } from '../../../shared/protocol/kernel/errors.js';
import type { SeedResult, SimOptions } from './run.js';
import { runSeed } from './run.js';

export type { FaultKind } from './faults.js';
export type { LayerContext } from './sim-node.js';
export type { MakeChange } from './workload.js';
export type { SeedFailure, SeedResult, SimOptions } from './run.js';
export { runSeed } from './run.js';
export { World } from './world.js';
export type { WorldOptions, WorldStats } from './world.js';
export { CounterMaster, CounterSlave } from './counter-layer.js';

/** What to simulate, and how often. */
export interface SimulateOptions extends SimOptions {
  /** How many runs; default 100. */
  readonly seeds?: number;
  /** The first seed; default 1. */
  readonly from?: number;
  readonly signal?: AbortSignal;
}

/** Every seed held. */
export interface SimulateResult {
  readonly passed: number;
  readonly seeds: readonly SeedResult[];
}

/**
 * Runs the seeds one after another, each in a world of its own. Resolves when all of them pass; rejects with code
 * `bad-operation` at the first that doesn't, naming the seed, the guarantee and what happened.
 */
export async function simulate(options: SimulateOptions = {}): Promise<SimulateResult> {
  const { seeds = 100, from = 1, signal } = options;
  const results: SeedResult[] = [];
  for (let seed = from; seed < from + seeds; seed += 1) {
    if (signal?.aborted === true)
      throw new LockstepError('aborted-by-caller', 'the caller aborted', { cause: signal.reason });
    const result = await runSeed(seed, options);
    if (!result.ok) throw new LockstepError('bad-operation', `seed ${seed}: ${describeFailures(result)}`);
    results.push({ ...result, trace: [] });
  }
  return { passed: results.length, seeds: results };
}

/** What failed, one line each, as `npm run sim` prints it. */
export function describeFailures(result: SeedResult): string {
  return result.failures
    .map(({ guarantee, atMs, text }) => `${guarantee} at ${atMs.toFixed(3)} ms: ${text}`)
    .join('\n');
}
