import type { Random } from '../../../shared/protocol/kernel/random.js';

/** The kinds of the first campaign, in the order in which its seeds draw them: a regression seed names this list. */
export const firstFaults = [
  'loss',
  'duplication',
  'reordering',
  'delay',
  'corruption',
  'receiver-loss',
  'partition',
  'one-way-cut',
  'no-multicast',
  'no-unicast',
  'crash-master',
  'crash-slave',
  'crash-all',
  'slow-disk',
  'failing-disk',
  'pause',
  'suspend',
  'slow-bulk',
  'strangers',
  'stale-master',
] as const;

const laterFaults = [
  /** Up to half of all packets. */
  'heavy-loss',
  /** Everything for some milliseconds, nothing for some more, again and again. */
  'loss-bursts',
  /** Packets that come minutes late. */
  'long-delay',
  'flapping-cut',
  /** A process that stands still for up to ten minutes. */
  'long-pause',
  /** A process that stands still at the moment in which a decision, or its prepared record, is on its disk. */
  'pause-at-write',
  /** The time of day jumps by up to an hour, either way. */
  'clock-jump',
  /** The time of day is set back by a little, again and again. */
  'clock-back',
  /** The time of day runs up to a tenth too fast or too slow. */
  'clock-drift',
  /** A process dies between two of its effects: after a send, a datagram, a write, a callback. */
  'crash-at-effect',
  /** A process dies while its disk syncs, and nothing of that is there. */
  'lost-writes',
  /** The same, and only the first of the transactions are there. */
  'torn-flush',
  'full-disk',
  /** A slave's disk is replaced by an empty one. */
  'lost-disk',
  /** A slave that nobody knew joins. */
  'join',
  /** A slave says goodbye, and comes back later. */
  'leave',
  /** A second slave of a name that is taken. */
  'duplicate-name',
  'restart-all-slaves',
  'callbacks-throw',
  'callbacks-hang',
  /** A copy reports at its start a state that isn't its own. */
  'callbacks-lie',
  /** A layer that answers each question by chance. */
  'callbacks-waver',
  /** A second master, empty, that nobody told to take over. */
  'second-master',
  'empty-master',
  /** An old backup of the master's disk is put in. */
  'old-master',
  /** Sound packets of another version of the protocol. */
  'foreign-version',
  /** Multicast from one node doesn't reach another, or nobody; unicast does. */
  'multicast-unreached',
  /** What goes one way takes up to half a second longer than what comes back. */
  'asymmetric-delay',
] as const;

/** What the nemesis may do to the group. */
export type FaultKind = (typeof firstFaults)[number] | (typeof laterFaults)[number] | 'take-over';

/** Off unless asked for: with it, two masters may commit on two sides of a cut, which `live` voters allow. */
export const defaultFaults: readonly FaultKind[] = [
  // The empty master and the one from a backup, which were one kind once, are told apart.
  ...firstFaults.filter((kind) => kind !== 'stale-master'),
  ...laterFaults,
];

export const faultKinds: readonly FaultKind[] = [...defaultFaults, 'stale-master', 'take-over'];

/** Fault kinds that a seed has, each with its weight among them. */
export type Swarm = ReadonlyMap<FaultKind, number>;

/**
 * Swarm testing: each seed leaves most kinds out, so that the others meet undisturbed, and brings those that are left at
 * rates of its own. A seed with every kind at once would find only what breaks first.
 */
export function drawSwarm(random: Random, kinds: readonly FaultKind[]): Swarm {
  const share = 0.1 + random.next() * 0.5;
  const swarm = new Map<FaultKind, number>();
  for (const kind of kinds) if (random.chance(share)) swarm.set(kind, 0.1 + random.next() ** 2);
  return swarm;
}

/** As the first campaign drew: the kinds are equally likely. */
export function drawEvenly(random: Random, kinds: readonly FaultKind[]): Swarm {
  return new Map(kinds.filter(() => random.chance(0.4)).map((kind) => [kind, 1]));
}

export function drawKind(random: Random, swarm: Swarm): FaultKind | undefined {
  const kinds = [...swarm];
  const total = kinds.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random.next() * total;
  for (const [kind, weight] of kinds) {
    left -= weight;
    if (left < 0) return kind;
  }
  return kinds.at(-1)?.[0];
}
