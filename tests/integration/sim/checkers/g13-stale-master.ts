import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/** G13: an empty or stale master never leads a group that holds more: its heartbeats contain all that was acknowledged. */
export const g13StaleMaster: CheckerFactory = ({ takeOver, durability, truth, fail }) => {
  let acknowledged: Tip | null = null;
  return {
    id: 'G13',
    observe: (observation) => {
      if (takeOver || durability === 'memory') return;
      if (observation.kind === 'settled' && observation.outcome.kind === 'committed') {
        if (truth.contains(observation.outcome.tip, acknowledged)) acknowledged = observation.outcome.tip;
      }
      if (
        observation.kind !== 'sent' ||
        observation.role !== 'master' ||
        observation.packet.message.kind !== 'heartbeat'
      )
        return;
      const { tip } = observation.packet.message;
      if (!truth.contains(tip, acknowledged)) {
        fail('G13', `${observation.node} leads at ${showTip(tip)}, although ${showTip(acknowledged)} was acknowledged`);
      }
    },
  };
};
