import type { Digest, Tip } from '../../../../shared/protocol/kernel/ids.js';
import { showTip } from '../../../../shared/protocol/kernel/ids.js';
import type { CheckerFactory } from './checker.js';

/** G8: a chain id names one content, at whatever node and however it got there. */
export const g8ChainNamesContent: CheckerFactory = ({ fail, judged }) => {
  const contents = new Map<string, { readonly digest: Digest; readonly node: string }>();
  const see = (node: string, tip: Tip | null, digest: Digest | null): void => {
    if (tip === null || digest === null) return;
    const known = contents.get(tip.chain);
    if (known === undefined) contents.set(tip.chain, { digest, node });
    else judged('G8');
    if (known !== undefined && known.digest !== digest)
      fail('G8', `${node} at ${showTip(tip)} holds another content than ${known.node} at the same chain id`);
  };
  return {
    id: 'G8',
    observe: (observation) => {
      if (observation.kind === 'exposed') see(observation.node, observation.tip, observation.digest);
      if (observation.kind === 'decided') see(observation.node, observation.change.to, observation.digest);
    },
  };
};
