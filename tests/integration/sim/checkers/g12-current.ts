import type { Epoch, Tip } from '../../../../shared/protocol/kernel/ids.js';
import { compareEpochs, sameTip, showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../../shared/protocol/kernel/limits.js';
import type { SlaveView } from '../../../../slave/service/core/view.js';
import type { CheckerFactory } from './checker.js';
import { committedTips } from './g3-commit-after-decision.js';

/**
 * G12: who calls itself current exposes everything that was committed up to one lease ago. Committed is counted from when
 * anybody could know of it: a message of a master says it, or a caller or the master's own layer is told. A decision
 * that only lies on the master's disk, whose layer is still writing, is known to nobody.
 *
 * Where masters take over, the group that a slave belongs to is the reign that it is bound to. What only the older master
 * had when a newer one claimed without it is the older side's, as if that had been cut off: it replaces nothing on this
 * side. What any slave had shown before that claim counts, whoever leads; unless it had lost its disk by then, so that the
 * claimant could hear of it from nobody.
 */
export const g12Current: CheckerFactory = ({ leaseMs, takeOver, truth, nowMs, fail, judged }) => {
  const known: { readonly tip: Tip; readonly atMs: number }[] = [];
  /** In the newest of them, as far as was asked: masters repeat themselves. */
  const contained = new Set<string>();
  /** What slaves showed, each state when it was first, and when that one's disk was lost. */
  const shown: { readonly node: string; readonly tip: Tip; readonly atMs: number; lostMs: number }[] = [];
  /** With what each reign began, and when: its first claim. */
  const claims = new Map<string, { readonly tip: Tip | null; readonly atMs: number }>();

  const learn = (tip: Tip | null): void => {
    if (tip === null || contained.has(tipKey(tip)) || !truth.isCommitted(tip)) return;
    if (!truth.contains(known.at(-1)?.tip ?? null, tip)) {
      known.push({ tip, atMs: nowMs() });
      contained.clear();
    }
    contained.add(tipKey(tip));
  };

  const show = (node: string, tip: Tip | null): void => {
    const has = (by: (typeof shown)[number]): boolean =>
      by.node === node && by.lostMs === Infinity && sameTip(by.tip, tip);
    if (takeOver && tip !== null && !shown.some(has)) shown.push({ node, tip, atMs: nowMs(), lostMs: Infinity });
  };

  const loseDisk = (node: string): void => {
    for (const by of shown) if (by.node === node) by.lostMs = Math.min(by.lostMs, nowMs());
  };

  const isOlderSide = (tip: Tip, promised: Epoch): boolean => {
    const claim = claims.get(epochKey(promised));
    if (!takeOver || claim === undefined || compareEpochs(tip.epoch, promised) >= 0) return false;
    if (truth.contains(claim.tip, tip)) return false;
    return !shown.some((by) => by.atMs <= claim.atMs && claim.atMs < by.lostMs && truth.contains(by.tip, tip));
  };

  const judge = (node: string, { tip, promised }: Pick<SlaveView, 'tip' | 'promised'>, hasSlept: boolean): void => {
    // A sleep shorter than a quarter lease goes unnoticed, by design: it adds to what "one lease ago" means.
    const sleepMs = hasSlept ? leaseMs / 4 : 0;
    const ageMs = leaseMs * (1 + 2 * limits.clockRateError) + sleepMs;
    const counts = (state: (typeof known)[number]): boolean =>
      state.atMs <= nowMs() - ageMs && !isOlderSide(state.tip, promised);
    const committed = known.findLast(counts)?.tip ?? null;
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
      if (observation.kind === 'exposed') show(observation.node, observation.tip);
      else if (observation.kind === 'diskLost') loseDisk(observation.node);
      else if (observation.kind === 'decided') learn(observation.change.to);
      else if (observation.kind === 'settled' && observation.outcome.kind === 'committed')
        learn(observation.outcome.tip);
      else if (observation.kind === 'sent' && observation.role === 'master') {
        const { epoch, message } = observation.packet;
        if (message.kind === 'claim' && !claims.has(epochKey(epoch)))
          claims.set(epochKey(epoch), { tip: message.tip, atMs: nowMs() });
        for (const tip of committedTips(message)) learn(tip);
      } else if (observation.kind === 'slave' && observation.view.state === 'current')
        judge(observation.node, observation.view, observation.hasSlept);
    },
  };
};

function epochKey({ number, claimant }: Epoch): string {
  return `${number}.${claimant}`;
}
