import { showTip } from '../../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../../shared/protocol/kernel/limits.js';
import type { CheckerFactory } from './checker.js';

/** G12: who calls itself current exposes everything that was committed up to one lease ago. */
export const g12Current: CheckerFactory = ({ leaseMs, takeOver, truth, nowMs, fail }) => ({
  id: 'G12',
  observe: (observation) => {
    if (observation.kind !== 'slave' || observation.view.state !== 'current') return;
    // A sleep shorter than a quarter lease goes unnoticed, by design: it adds to what "one lease ago" means.
    const sleepMs = observation.hasSlept ? leaseMs / 4 : 0;
    const ageMs = leaseMs * (1 + 2 * limits.clockRateError) + sleepMs;
    const committed = truth.newestAt(nowMs() - ageMs);
    if (truth.contains(observation.view.tip, committed)) return;
    // With `live` voters a master that was replaced may commit on its side of a cut: the guarantee is per chain then.
    if (takeOver && !truth.contains(committed, observation.view.tip)) return;
    fail(
      'G12',
      `${observation.node} calls itself current at ${showTip(observation.view.tip)}, and ${showTip(committed)} was committed more than a lease ago`,
    );
  },
});
