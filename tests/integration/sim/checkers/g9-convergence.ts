import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { sameTip, showTip } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/** The stated bound: leases of the past run out, a reign is claimed, and each repair takes a few heartbeats. */
export const convergenceBoundMs = 45_000;

/** G9: after faults end, every slave reaches the master's tip within the bound, from heartbeats alone. */
export const g9Convergence: CheckerFactory = ({ nowMs, fail, judged }) => {
  let healedMs: number | null = null;
  let convergedMs: number | null = null;
  let masterTip: Tip | null = null;
  const slaves = new Map<string, { tip: Tip | null; facts: string }>();
  return {
    id: 'G9',
    observe: (observation) => {
      if (observation.kind === 'diskLost') slaves.delete(observation.node);
      else if (observation.kind === 'healed') healedMs = nowMs();
      else if (observation.kind === 'converged') convergedMs = nowMs();
      else if (observation.kind === 'master') masterTip = observation.view.tip;
      else if (observation.kind === 'slave') {
        const { tip, state, inDoubt, reason } = observation.view;
        slaves.set(observation.node, {
          tip,
          facts: `${state}, in doubt ${inDoubt.length}${reason === '' ? '' : `, ${reason}`}`,
        });
      }
    },
    finish: () => {
      if (healedMs === null) return;
      judged('G9');
      if (convergedMs !== null && convergedMs - healedMs <= convergenceBoundMs) return;
      const behind = [...slaves].filter(
        ([, slave]) => !sameTip(slave.tip, masterTip) || !slave.facts.startsWith('current'),
      );
      const list = behind.map(([node, slave]) => `${node} at ${showTip(slave.tip)} (${slave.facts})`).join('; ');
      fail(
        'G9',
        `${convergenceBoundMs} ms after the faults ended the master is at ${showTip(masterTip)}, and not with it: ${list || 'the master itself does not lead'}`,
      );
    },
  };
};
