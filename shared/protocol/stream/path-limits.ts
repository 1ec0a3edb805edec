import { limits } from '../kernel/limits.js';

/** When multicast counts as lost, and as back. Times are milliseconds. */
export interface PathLimits {
  /**
   * A master says something to all at least once a second: after this much silence of the group it is asked. Up to
   * `suspectSpreadMs` more, each node its own, so that a heartbeat lost for many brings no crowd of questions.
   */
  readonly suspectMs: number;
  readonly suspectSpreadMs: number;
  /** Questions follow each other after this, and at most so slowly while nobody answers. */
  readonly probeMs: number;
  readonly probeMaxMs: number;
  /** So many answers by unicast, with nothing by multicast meanwhile: it doesn't pass. One lost datagram is no evidence. */
  readonly probeAnswers: number;
  /** Multicast is back when so many datagrams of it came, over at least this long: half-dead multicast must not flap. */
  readonly backDatagrams: number;
  readonly backMs: number;
  /** How often a node says again how it hears while that shows no effect: at first, and at most. */
  readonly reportMs: number;
  readonly reportMaxMs: number;
  /** To a configured peer that hasn't told how it hears, a copy of what is said to all goes no more often. */
  readonly unknownCopyMs: number;
  /** … and a word on how this node hears, while nothing comes from there. */
  readonly tellPeersMs: number;
  /** One mark to the group answers all questions that come within this. */
  readonly markMs: number;
  /** Silence after which a node is forgotten. */
  readonly forgetMs: number;
  /** Masters that are listened for: one leads a data set, another may be taking over, old ones are forgotten. */
  readonly maxSpeakers: number;
  readonly maxUnreached: number;
}

export const pathLimits: PathLimits = {
  suspectMs: 1200,
  suspectSpreadMs: 300,
  probeMs: 60,
  probeMaxMs: 5000,
  probeAnswers: 3,
  backDatagrams: 3,
  backMs: 1500,
  reportMs: 200,
  reportMaxMs: 5000,
  unknownCopyMs: 200,
  tellPeersMs: 1000,
  markMs: 20,
  forgetMs: 60_000,
  maxSpeakers: 16,
  maxUnreached: limits.maxMembers,
};
