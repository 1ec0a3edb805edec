import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/**
 * G1: no slave exposes a version whose round aborted; every voter of a committed round exposes it, or a later version
 * containing it, in the end. Stronger: nothing is exposed that no master durably committed.
 */
export const g1AllOrNone: CheckerFactory = ({ takeOver, truth, fail }) => {
  const exposed = new Map<string, Tip | null>();
  const voted = new Map<string, Map<string, Tip>>();
  const exposedBy = new Map<string, string>();

  const onAborted = (tip: Tip): void => {
    const node = exposedBy.get(tipKey(tip));
    if (node !== undefined) fail('G1', `${node} exposed ${showTip(tip)}, whose round aborted`);
    if (truth.isCommitted(tip)) fail('G1', `${showTip(tip)} was committed, and its abort was sent`);
  };

  return {
    id: 'G1',
    observe: (observation) => {
      if (observation.kind === 'exposed') {
        const { node, tip } = observation;
        exposed.set(node, tip);
        if (tip === null) return;
        exposedBy.set(tipKey(tip), node);
        if (truth.isAborted(tip)) fail('G1', `${node} exposes ${showTip(tip)}, whose round aborted`);
        if (!truth.isCommitted(tip)) fail('G1', `${node} exposes ${showTip(tip)}, which nobody durably committed`);
      } else if (
        observation.kind === 'sent' &&
        observation.role === 'master' &&
        observation.packet.message.kind === 'abort'
      ) {
        onAborted(observation.packet.message.to);
      } else if (observation.kind === 'sent' && observation.packet.message.kind === 'vote') {
        const { upToDate, canProcess, to } = observation.packet.message;
        if (!upToDate || !canProcess) return;
        const votes = voted.get(observation.node) ?? new Map<string, Tip>();
        votes.set(tipKey(to), to);
        voted.set(observation.node, votes);
      }
    },
    finish: () => {
      for (const [node, votes] of voted) {
        const tip = exposed.get(node) ?? null;
        for (const vote of votes.values()) {
          if (!truth.isCommitted(vote) || truth.contains(tip, vote)) continue;
          // Two masters on two sides of a cut, which `live` voters allow: one side's changes give way, and it is told so.
          if (takeOver && !truth.contains(vote, tip)) continue;
          fail('G1', `${node} voted for ${showTip(vote)}, which committed, and ends at ${showTip(tip)} without it`);
        }
      }
    },
  };
};
