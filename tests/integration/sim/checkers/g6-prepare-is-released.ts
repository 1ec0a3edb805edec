import type { Tip } from '../../../../shared/protocol/kernel/ids.js';
import { sameTip, showTip, tipKey } from '../../../../shared/protocol/kernel/ids.js';
import type { StoreOperation } from '../../../../shared/protocol/kernel/store.js';
import type { PreparedRecord } from '../../../../slave/service/core/records.js';
import { slaveKeys } from '../../../../slave/service/core/records.js';
import type { CheckerFactory } from './checker.js';

interface Copy {
  /** Answered yes, neither committed nor aborted yet. */
  readonly prepared: Map<string, Tip>;
  /** Yes, and the vote never became durable before the process ended: nobody knows of it any more. */
  tip: Tip | null;
  /** Prepared records that were on the disk. */
  readonly recorded: Set<string>;
  /** Recorded once, released by nothing, and gone from the disk at the present start: the tip has to contain them. */
  gone: readonly Tip[];
}

/**
 * G6: every prepare is released by exactly one effective commit or abort, also across restarts. Effective: of a change
 * that isn't applied yet; a commit of the present tip repeats, which is allowed.
 */
export const g6PrepareIsReleased: CheckerFactory = ({ dataSet, durability, truth, durable, fail, judged }) => {
  const copies = new Map<string, Copy>();
  const copyOf = (node: string): Copy => {
    const copy = copies.get(node) ?? {
      prepared: new Map<string, Tip>(),
      tip: null,
      recorded: new Set<string>(),
      gone: [],
    };
    copies.set(node, copy);
    return copy;
  };

  /** What was prepared in memory alone ended with the process. */
  const onRestart = (node: string): void => {
    const copy = copyOf(node);
    const kept = new Set<string>();
    if (durability === 'disk') {
      for (const { value } of durable(node)?.range(slaveKeys.prepareds(dataSet)) ?? [])
        kept.add(tipKey((value as PreparedRecord).change.to));
    }
    const dropped = [...copy.prepared].filter(([key]) => !kept.has(key));
    copy.gone = dropped.filter(([key]) => copy.recorded.has(key)).map(([, tip]) => tip);
    for (const [key] of dropped) copy.prepared.delete(key);
  };

  const onOpened = (node: string, tip: Tip | null): void => {
    const copy = copyOf(node);
    for (const gone of copy.gone) {
      if (!truth.contains(tip, gone))
        fail('G6', `${node} starts at ${showTip(tip)} and has forgotten that it prepared ${showTip(gone)}`);
    }
    copy.gone = [];
  };

  const onDurable = (node: string, operations: readonly StoreOperation[]): void => {
    const prefix = slaveKeys.prepareds(dataSet);
    for (const operation of operations) {
      if (operation.kind !== 'put' || !prefix.every((part, index) => part === operation.key[index])) continue;
      copyOf(node).recorded.add(tipKey((operation.value as PreparedRecord).change.to));
    }
  };

  return {
    id: 'G6',
    observe: (observation) => {
      if (observation.kind === 'diskLost') copies.delete(observation.node);
      if (observation.kind === 'started' && observation.role === 'slave') onRestart(observation.node);
      if (observation.kind === 'voted' && observation.yes) {
        copyOf(observation.node).prepared.set(tipKey(observation.to), observation.to);
        // Judged at the end: by then it has to be released.
        judged('G6');
      }
      if (observation.kind === 'durable') onDurable(observation.node, observation.operations);
      if (observation.kind === 'exposed') {
        if (observation.how === 'open') onOpened(observation.node, observation.tip);
        const copy = copyOf(observation.node);
        copy.tip = observation.tip;
        if (observation.how !== 'install') copy.prepared.delete(tipKey(observation.tip));
      }
      if (observation.kind !== 'called' || observation.call !== 'abort') return;
      const copy = copyOf(observation.node);
      if (sameTip(copy.tip, observation.to))
        fail('G6', `${observation.node} is told to abort ${showTip(observation.to)}, which it committed`);
      copy.prepared.delete(tipKey(observation.to));
    },
    finish: () => {
      for (const [node, copy] of copies) {
        for (const tip of copy.prepared.values())
          fail(
            'G6',
            `${node} prepared ${showTip(tip)} and was told neither commit nor abort; it is at ${showTip(copy.tip)}`,
          );
        if (durability === 'memory') continue;
        const records = [...(durable(node)?.range(slaveKeys.prepareds(dataSet)) ?? [])];
        if (records.length > 0) fail('G6', `${node} ends with ${records.length} prepared records on its disk`);
      }
    },
  };
};
