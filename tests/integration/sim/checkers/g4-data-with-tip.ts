import type { Digest } from '../../../../shared/protocol/kernel/ids.js';
import { showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/**
 * G4: data and tip become durable in one atomic write. What a process finds at its start must be the contents that the
 * tip it finds stands for, as the master had them.
 */
export const g4DataWithTip: CheckerFactory = ({ durability, fail, judged }) => {
  const contents = new Map<string, Digest>();
  return {
    id: 'G4',
    observe: (observation) => {
      if (durability === 'memory') return;
      if (observation.kind === 'decided' && observation.digest !== null)
        contents.set(tipKey(observation.change.to), observation.digest);
      if (
        observation.kind !== 'exposed' ||
        observation.how !== 'open' ||
        observation.digest === null ||
        observation.tip === null
      )
        return;
      const expected = contents.get(tipKey(observation.tip));
      if (expected === undefined) return;
      judged('G4');
      if (expected === observation.digest) return;
      fail(
        'G4',
        `${observation.node} finds the tip ${showTip(observation.tip)} on its disk with data that isn't of that state`,
      );
    },
  };
};
