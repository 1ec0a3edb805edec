import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../../shared/protocol/kernel/limits.js';
import type { CheckerFactory } from './checker.js';
import { committedTips } from './g3-commit-after-decision.js';

/**
 * G12: who calls itself current exposes everything that was committed up to one lease ago. Committed is counted from when
 * anybody could know of it: a message of a master says it, or a caller or the master's own layer is told. A decision
 * that only lies on the master's disk, whose layer is still writing, is known to nobody.
 */
export const g12Current: CheckerFactory = ({ leaseMs, takeOver, truth, nowMs, fail, judged }) => {
  const known: { readonly tip: Tip; readonly atMs: number }[] = [];
  /** In the newest of them, as far as was asked: masters repeat themselves. */
  const contained = new Set<string>();

  const learn = (tip: Tip | null): void => {
    if (tip === null || contained.has(tipKey(tip)) || !truth.isCommitted(tip)) return;
    if (!truth.contains(known.at(-1)?.tip ?? null, tip)) {
      known.push({ tip, atMs: nowMs() });
      contained.clear();
    }
    contained.add(tipKey(tip));
  };

  const judge = (node: string, tip: Tip | null, hasSlept: boolean): void => {
    // A sleep shorter than a quarter lease goes unnoticed, by design: it adds to what "one lease ago" means.
    const sleepMs = hasSlept ? leaseMs / 4 : 0;
    const ageMs = leaseMs * (1 + 2 * limits.clockRateError) + sleepMs;
    const committed = known.findLast(({ atMs }) => atMs <= nowMs() - ageMs)?.tip ?? null;
    if (committed !== null) judged('G12');
    if (truth.contains(tip, committed)) return;
    // With `live` voters a master that was replaced may commit on its side of a cut: the guarantee is per chain then.
    if (takeOver && !truth.contains(committed, tip)) return;
    fail(
      'G12',
      `${node} calls itself current at ${showTip(tip)}, and ${showTip(committed)} was committed more than a lease ago`,
    );
  };

  return {
    id: 'G12',
    observe: (observation) => {
      if (observation.kind === 'decided') learn(observation.change.to);
      else if (observation.kind === 'settled' && observation.outcome.kind === 'committed')
        learn(observation.outcome.tip);
      else if (observation.kind === 'sent' && observation.role === 'master') {
        for (const tip of committedTips(observation.packet.message)) learn(tip);
      } else if (observation.kind === 'slave' && observation.view.state === 'current')
        judge(observation.node, observation.view.tip, observation.hasSlept);
    },
  };
};
