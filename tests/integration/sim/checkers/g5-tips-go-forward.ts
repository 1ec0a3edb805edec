import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { sameTip, showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/**
 * G5: a slave's tip never goes back, save by a snapshot after divergence; and no change lands on another base. A scheduled change
 * is shown at its instant and written then: a process that dies in between starts below it, and shows it again before it is current (G16).
 */
export const g5TipsGoForward: CheckerFactory = ({ truth, durability, fail, judged }) => {
  const tips = new Map<string, Tip | null>();
  /** Where scheduled changes start, by where they lead. */
  const scheduled = new Map<string, Tip | null>();
  return {
    id: 'G5',
    observe: (observation) => {
      if (observation.kind === 'diskLost') tips.delete(observation.node);
      if (observation.kind === 'sent' && observation.role === 'master') {
        const { message } = observation.packet;
        if (message.kind === 'prepare' && message.activateAtMs !== null)
          scheduled.set(tipKey(message.to), message.from);
      }
      if (observation.kind !== 'exposed') return;
      const { node, how, from, tip } = observation;
      const prior = tips.get(node) ?? null;
      tips.set(node, tip);
      if (sameTip(prior, tip) || prior === null) return;
      if (how === 'open' && durability === 'memory') return;
      judged('G5');
      if (how === 'commit' && from !== null && !sameTip(from, prior)) {
        fail('G5', `${node} at ${showTip(prior)} commits a change that starts from ${showTip(from)}`);
      }
      if (truth.contains(tip, prior)) return;
      if (how === 'open' && scheduled.has(tipKey(prior)) && sameTip(tip, scheduled.get(tipKey(prior)) ?? null)) return;
      const healed = how === 'install' && !truth.contains(prior, tip);
      if (!healed)
        fail('G5', `${node} goes from ${showTip(prior)} to ${showTip(tip)} by ${how}: back, or off the chain`);
    },
  };
};
