import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/**
 * G14: no acknowledged change is lost by any single crash: at the end all of them are in every copy. With a second master
 * two sides of a cut may both commit; then a change is missing only from copies that hold another one in its place.
 */
export const g14AcknowledgedStays: CheckerFactory = ({ durability, takeOver, truth, fail, judged }) => {
  const acknowledged: Tip[] = [];
  const final = new Map<string, Tip | null>();
  return {
    id: 'G14',
    observe: (observation) => {
      if (observation.kind === 'settled' && observation.outcome.kind === 'committed') {
        const { tip } = observation.outcome;
        acknowledged.push(tip);
        if (durability === 'disk' && !truth.isCommitted(tip)) {
          fail('G14', `${observation.node} acknowledges ${showTip(tip)}, which is on no master's disk`);
        }
      }
      if (observation.kind === 'diskLost') final.delete(observation.node);
      if (observation.kind === 'exposed') final.set(observation.node, observation.tip);
      // A master that was replaced keeps what it had; what counts is what the group holds.
      if (observation.kind === 'master' && observation.view.phase === 'leading' && !takeOver)
        final.set(observation.node, observation.view.tip);
    },
    finish: () => {
      if (durability === 'memory') return;
      if (acknowledged.length > 0) judged('G14');
      const pasts = new Map<string, ReadonlySet<string>>();
      for (const [node, tip] of final) {
        const past = pasts.get(tipKey(tip)) ?? truth.past(tip);
        pasts.set(tipKey(tip), past);
        const lost = acknowledged.find(
          (change) => !past.has(tipKey(change)) && (!takeOver || truth.contains(change, tip)),
        );
        if (lost !== undefined)
          fail('G14', `${node} ends at ${showTip(tip)} without ${showTip(lost)}, which was acknowledged`);
      }
    },
  };
};
