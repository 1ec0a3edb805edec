import { compareEpochs } from '../../../../shared/protocol/kernel/ids.js';
import type { SlaveRecord } from '../../../../slave/service/core/records.js';
import { slaveKeys } from '../../../../slave/service/core/records.js';
import { Attribution } from './attribution.js';
import type { CheckerFactory } from './checker.js';

/** G7: an older epoch changes nothing, on any message kind: no callback, no write, measured by the durable promise. */
export const g7OlderEpochsChangeNothing: CheckerFactory = ({ dataSet, durable, fail }) => {
  const attribution = new Attribution();
  return {
    id: 'G7',
    observe: (observation) => {
      const cause = attribution.causeOf(observation);
      if (cause === null || cause.role !== 'slave' || cause.envelopes.length === 0) return;
      const record = durable(cause.node)?.get(slaveKeys.record(dataSet)) as SlaveRecord | undefined;
      if (record === undefined) return;
      if (!cause.envelopes.every((envelope) => compareEpochs(envelope.epoch, record.promised) < 0)) return;
      const kinds = cause.envelopes.map(({ message, epoch }) => `${message.kind} of epoch ${epoch.number}`).join(', ');
      const what = observation.kind === 'called' ? `its ${observation.call} is called` : 'it writes';
      fail('G7', `${cause.node} promised epoch ${record.promised.number}; on ${kinds} ${what}`);
    },
  };
};
