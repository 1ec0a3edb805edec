import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip } from '../../../../shared/protocol/kernel/ids.js';
import type { Message } from '../../../../shared/protocol/wire/messages.js';
import type { CheckerFactory } from './checker.js';

/** G3: no commit leaves before the decision is durable, by whatever message it would leave. */
export const g3CommitAfterDecision: CheckerFactory = ({ durability, truth, fail, judged }) => ({
  id: 'G3',
  observe: (observation) => {
    if (durability === 'memory' || observation.kind !== 'sent' || observation.role !== 'master') return;
    for (const tip of committedTips(observation.packet.message)) {
      if (tip !== null) judged('G3');
      if (truth.isCommitted(tip)) continue;
      fail(
        'G3',
        `${observation.node} says in a ${observation.packet.message.kind} that ${showTip(tip)} is committed, and its disk doesn't hold that`,
      );
    }
  },
});

/** The states that a message of a master calls committed. */
export function committedTips(message: Message): readonly (Tip | null)[] {
  switch (message.kind) {
    case 'commit':
    case 'announce':
      return [message.to];
    case 'prepare':
      return [message.committed];
    case 'heartbeat':
      return [
        message.tip,
        ...message.recentDecisions.filter(({ outcome }) => outcome === 'committed').map(({ to }) => to),
      ];
    case 'resolution':
      return message.outcome === 'committed' ? [message.to] : [];
    case 'bulk-offer':
      return [message.to];
    default:
      return [];
  }
}
