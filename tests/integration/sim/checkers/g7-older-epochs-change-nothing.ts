import type { Epoch } from '../../../../shared/protocol/kernel/ids.js';
import { compareEpochs, noEpoch } from '../../../../shared/protocol/kernel/ids.js';
import type { SlaveRecord } from '../../../../slave/service/core/records.js';
import { slaveKeys } from '../../../../slave/service/core/records.js';
import type { Observation } from '../observation.js';
import { Attribution } from './attribution.js';
import type { CheckerFactory } from './checker.js';

/** G7: an older epoch changes nothing, on any message kind: no callback, no write, measured by the durable promise. */
export const g7OlderEpochsChangeNothing: CheckerFactory = ({ dataSet, durable, fail, judged }) => {
  const attribution = new Attribution();
  const heard = new Map<string, Epoch>();
  const recordOf = (node: string): SlaveRecord | undefined =>
    durable(node)?.get(slaveKeys.record(dataSet)) as SlaveRecord | undefined;
  /** All that the datagram says is of a reign before the one that this slave is bound to. */
  const isOld = ({ node, role, envelopes }: Extract<Observation, { kind: 'receiving' }>): boolean => {
    if (role !== 'slave' || envelopes.length === 0) return false;
    // Reading the disk at each datagram would cost more than all else: only an epoch below one that came before is looked at.
    let newest = heard.get(node) ?? noEpoch;
    let lower = false;
    for (const { epoch } of envelopes) {
      const order = compareEpochs(epoch, newest);
      if (order < 0) lower = true;
      if (order > 0) newest = epoch;
    }
    heard.set(node, newest);
    if (!lower) return false;
    const promised = recordOf(node)?.promised;
    return promised !== undefined && envelopes.every(({ epoch }) => compareEpochs(epoch, promised) < 0);
  };
  return {
    id: 'G7',
    observe: (observation) => {
      if (observation.kind === 'receiving') {
        if (isOld(observation)) judged('G7');
      }
      const cause = attribution.causeOf(observation);
      if (cause === null || cause.role !== 'slave' || cause.envelopes.length === 0) return;
      const record = recordOf(cause.node);
      if (record === undefined) return;
      if (!cause.envelopes.every((envelope) => compareEpochs(envelope.epoch, record.promised) < 0)) return;
      const kinds = cause.envelopes.map(({ message, epoch }) => `${message.kind} of epoch ${epoch.number}`).join(', ');
      const what = observation.kind === 'called' ? `its ${observation.call} is called` : 'it writes';
      fail('G7', `${cause.node} promised epoch ${record.promised.number}; on ${kinds} ${what}`);
    },
  };
};
