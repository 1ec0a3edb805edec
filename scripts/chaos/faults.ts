import type { Random } from '../../shared/protocol/kernel/random.js';
import { noNetworkFaults, type Host, type Network, type NetworkFaults } from './network.js';
import type { ChaosNode } from './node.js';

/** What the faults are done to. */
export interface Stage {
  readonly network: Network;
  readonly master: ChaosNode;
  readonly slaves: readonly ChaosNode[];
  /** The multicast address, without its port. */
  readonly group: string;
}

/** One kind of fault: what it begins, and what ends it. */
export interface Fault {
  readonly name: string;
  begin(stage: Stage, random: Random): Promise<Ongoing>;
}

interface Ongoing {
  /** To whom, for the one who reads along. */
  readonly detail: string;
  readonly end: () => void | Promise<void>;
}

const bandwidthMegabits = 2;

function rules(
  name: string,
  draw: (stage: Stage, random: Random) => { readonly detail: string; readonly faults: Partial<NetworkFaults> },
): Fault {
  return {
    name,
    begin: async (stage, random) => {
      const { detail, faults } = draw(stage, random);
      stage.network.apply({ ...noNetworkFaults, ...faults });
      return {
        detail,
        end: () => {
          stage.network.apply(noNetworkFaults);
        },
      };
    },
  };
}

function anyOf(nodes: readonly ChaosNode[], random: Random): ChaosNode {
  const chosen = nodes[Math.floor(random.next() * nodes.length)];
  if (chosen === undefined) throw new Error('there are no slaves');
  return chosen;
}

/** About half of the slaves. */
function someOf(nodes: readonly ChaosNode[], random: Random): readonly ChaosNode[] {
  const chosen = nodes.filter(() => random.chance(0.5));
  return chosen.length === 0 ? [anyOf(nodes, random)] : chosen;
}

function loss(percent: number): Fault {
  return rules(`loss of ${percent} %`, () => ({ detail: 'everywhere', faults: { lossPercent: percent } }));
}

function cut(
  name: string,
  direction: 'from' | 'to' | 'both',
  whom: (stage: Stage, random: Random) => readonly ChaosNode[],
): Fault {
  return rules(name, (stage, random) => {
    const chosen = whom(stage, random);
    return {
      detail: chosen.map((node) => node.name).join(', '),
      faults: { cuts: new Map(chosen.map(({ host }): [Host, typeof direction] => [host, direction])) },
    };
  });
}

function onNode(
  name: string,
  whom: (stage: Stage, random: Random) => ChaosNode,
  begin: (node: ChaosNode, stage: Stage) => void | Promise<void>,
  end: (node: ChaosNode, stage: Stage) => void | Promise<void>,
): Fault {
  return {
    name,
    begin: async (stage, random) => {
      const node = whom(stage, random);
      await begin(node, stage);
      return { detail: node.name, end: () => end(node, stage) };
    },
  };
}

const aSlave = ({ slaves }: Stage, random: Random): ChaosNode => anyOf(slaves, random);
const theMaster = ({ master }: Stage): ChaosNode => master;

function kill(name: string, whom: typeof aSlave): Fault {
  return onNode(
    name,
    whom,
    (node) => node.kill(),
    (node) => node.start(),
  );
}

function pause(name: string, whom: typeof aSlave): Fault {
  return onNode(
    name,
    whom,
    (node) => {
      node.pause();
    },
    (node) => {
      node.resume();
    },
  );
}

function unplug(name: string, whom: typeof aSlave): Fault {
  return onNode(
    name,
    whom,
    ({ host }, { network }) => {
      network.setLink(host, 'down');
    },
    ({ host }, { network }) => {
      network.setLink(host, 'up');
    },
  );
}

function narrow(name: string, whom: typeof aSlave): Fault {
  return onNode(
    name,
    whom,
    ({ host }, { network }) => {
      network.limit(host, bandwidthMegabits);
    },
    ({ host }, { network }) => {
      network.limit(host, null);
    },
  );
}

/** The switch forgets that a slave is in the group and hears nothing of it: multicast is dead there, unicast lives. */
const igmpLost: Fault = {
  name: 'IGMP membership lost',
  begin: async ({ network, slaves, group }, random) => {
    const { host, name } = anyOf(slaves, random);
    network.apply({ ...noNetworkFaults, silentIgmp: new Set([host]) });
    network.forgetMembership(host, group);
    if (network.isMember(host, group)) throw new Error(`the switch still knows ${name} as a member of ${group}`);
    return {
      detail: name,
      end: () => {
        network.apply(noNetworkFaults);
      },
    };
  },
};

/** Long enough for the group to find out and go on by unicast, and to go back. */
const noMulticast = rules('no multicast to some slaves', ({ slaves }, random) => {
  const deaf = someOf(slaves, random);
  return {
    detail: deaf.map(({ name }) => name).join(', '),
    faults: { withoutMulticast: new Set(deaf.map(({ host }) => host)) },
  };
});

/** Each kind once before any comes again. */
export const faultKinds: readonly Fault[] = [
  loss(1),
  loss(10),
  loss(30),
  cut('nothing comes from some slaves', 'from', ({ slaves }, random) => someOf(slaves, random)),
  cut('nothing gets to some slaves', 'to', ({ slaves }, random) => someOf(slaves, random)),
  cut('some slaves cut off', 'both', ({ slaves }, random) => someOf(slaves, random)),
  cut('the master cut off', 'both', ({ master }) => [master]),
  cut('the master is heard by nobody', 'from', ({ master }) => [master]),
  narrow(`a slave gets ${bandwidthMegabits} Mbit/s`, aSlave),
  narrow(`the master gets ${bandwidthMegabits} Mbit/s`, theMaster),
  pause('a slave stopped (SIGSTOP)', aSlave),
  pause('the master stopped (SIGSTOP)', theMaster),
  kill('a slave killed (kill -9)', aSlave),
  kill('the master killed (kill -9)', theMaster),
  unplug("a slave's interface down", aSlave),
  unplug("the master's interface down", theMaster),
  igmpLost,
  noMulticast,
];
