import { sameTip, showTip } from '../../../../shared/protocol/kernel/ids.js';
import type { PreparedRecord } from '../../../../slave/service/core/records.js';
import { slaveKeys } from '../../../../slave/service/core/records.js';
import type { CheckerFactory } from './checker.js';

/** G2: no vote before its prepared state is durable: looked up on the voter's disk at the moment the yes is sent. */
export const g2VoteAfterPrepared: CheckerFactory = ({ dataSet, durability, durable, truth, fail, judged }) => ({
  id: 'G2',
  observe: (observation) => {
    if (durability === 'memory' || observation.kind !== 'sent') return;
    const { message } = observation.packet;
    if (message.kind !== 'vote' || !message.upToDate || !message.canProcess) return;
    judged('G2');
    const record = durable(observation.node)?.get(slaveKeys.prepared(dataSet, message.round)) as
      PreparedRecord | undefined;
    if (record !== undefined && sameTip(record.change.to, message.to)) return;
    // The round is committed and applied, and its record gone: the vote repeats what is known already.
    if (truth.isCommitted(message.to)) return;
    fail('G2', `${observation.node} votes yes on ${showTip(message.to)}, and its disk holds no prepared record of it`);
  },
});
