import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/**
 * G13: an empty or stale master never leads, fences or wipes copies that hold more. Whoever leads holds all that was
 * acknowledged, and since there is one line of masters' disks, no copy is ever called diverged. Not judged with a master
 * that takes over: two sides of a cut may then both commit, and one side is fenced, rightly; and until each has heard the
 * other, either may lead without what the other has just acknowledged.
 */
export const g13StaleMaster: CheckerFactory = ({ takeOver, durability, truth, fail, judged }) => {
  let acknowledged: Tip | null = null;

  const onLeading = (node: string, tip: Tip | null): void => {
    if (acknowledged !== null) judged('G13');
    if (truth.contains(tip, acknowledged)) return;
    fail('G13', `${node} leads at ${showTip(tip)}, although ${showTip(acknowledged)} was acknowledged`);
  };

  return {
    id: 'G13',
    observe: (observation) => {
      if (takeOver || durability === 'memory') return;
      if (observation.kind === 'settled' && observation.outcome.kind === 'committed') {
        if (truth.contains(observation.outcome.tip, acknowledged)) acknowledged = observation.outcome.tip;
      } else if (observation.kind === 'master') {
        const { phase, tip } = observation.view;
        if (phase === 'leading') onLeading(observation.node, tip);
      } else if (observation.kind === 'slave' && observation.view.state === 'diverged') {
        const { tip } = observation.view;
        if (truth.isCommitted(tip))
          fail('G13', `${observation.node} is fenced at ${showTip(tip)}, which was committed`);
      } else if (observation.kind === 'sent' && observation.role === 'master') {
        const { message } = observation.packet;
        if (message.kind === 'heartbeat') onLeading(observation.node, message.tip);
      }
    },
  };
};
