import { limits } from '../../../../shared/protocol/kernel/limits.js';
import type { CheckerFactory } from './checker.js';

/** A quiet group says its heartbeats, statuses and little else. */
const quietDatagramsPerSecond = 40;

/** G10: memory, queues and repair traffic are bounded; when everybody is healed, nobody goes on asking. */
export const g10Bounds: CheckerFactory = ({ maxOpenRounds, nowMs, fail, judged }) => {
  let convergedMs: number | null = null;
  const quiet = new Map<string, number>();
  return {
    id: 'G10',
    observe: (observation) => {
      if (observation.kind === 'converged') convergedMs = nowMs();
      if (observation.kind === 'datagram' && convergedMs !== null)
        quiet.set(observation.node, (quiet.get(observation.node) ?? 0) + 1);
      if (observation.kind === 'master') {
        judged('G10');
        const { queued, openRounds, members, historyBytes } = observation.view;
        const preparing = openRounds.length;
        if (queued > limits.maxQueuedReplications) fail('G10', `${observation.node} queues ${queued} replications`);
        if (preparing > maxOpenRounds)
          fail('G10', `${observation.node} has ${preparing} rounds open, of ${maxOpenRounds} allowed`);
        if (members.length > limits.maxMembers) fail('G10', `${observation.node} has ${members.length} members`);
        if (historyBytes > limits.historyBytes + limits.maxChangeBytes)
          fail('G10', `${observation.node} keeps ${historyBytes} bytes of history`);
      }
      if (observation.kind === 'slave') {
        const { node, backlogBytes, view } = observation;
        if (backlogBytes > limits.maxPendingBytes + limits.maxChangeBytes)
          fail('G10', `${node} holds ${backlogBytes} bytes that wait to be applied`);
        if (view.inDoubt.length > limits.maxOpenRounds)
          fail('G10', `${node} is in doubt about ${view.inDoubt.length} rounds`);
      }
    },
    finish: () => {
      if (convergedMs === null) return;
      const seconds = (nowMs() - convergedMs) / 1000;
      if (seconds < 1) return;
      for (const [node, datagrams] of quiet) {
        if (datagrams / seconds > quietDatagramsPerSecond)
          fail(
            'G10',
            `${node} sends ${(datagrams / seconds).toFixed(0)} datagrams a second although nothing is to be said`,
          );
      }
    },
  };
};
