import { Attribution } from './attribution.js';
import type { CheckerFactory } from './checker.js';

/** G11: corrupt, forged and foreign packets never reach a callback, nor the disk; nothing of them is believed. */
export const g11Corruption: CheckerFactory = ({ fail, judged }) => {
  const attribution = new Attribution();
  return {
    id: 'G11',
    observe: (observation) => {
      if (observation.kind === 'receiving' && observation.corrupt) judged('G11');
      if (observation.kind === 'receiving' && observation.corrupt && observation.envelopes.length > 0) {
        const kinds = observation.envelopes.map(({ message }) => message.kind).join(', ');
        fail('G11', `${observation.node} takes a corrupt datagram for ${kinds}`);
      }
      const cause = attribution.causeOf(observation);
      if (cause === null || !cause.corrupt) return;
      fail(
        'G11',
        `${cause.node} ${observation.kind === 'called' ? `has its ${observation.call} called` : 'writes'} on a corrupt datagram`,
      );
    },
  };
};
