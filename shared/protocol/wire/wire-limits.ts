import { limits } from '../kernel/limits.js';

/** The bounds that a decoder puts on what a peer says (G10, G11). Lengths from the wire are never trusted before them. */
export const wireLimits = {
  /** A message's whole body: the largest change that goes by datagrams, with as much again for a chain or for deltas. */
  maxMessageBytes: 2 * limits.maxMulticastChangeBytes,
  /** The largest UDP payload over IPv4. */
  maxDatagramBytes: 65_507,
  /** Below this a datagram can't hold its headers and a useful share of body. */
  minDatagramBytes: 512,
  /** Names of nodes and data sets, UTF-8. */
  maxNameBytes: 64,
  /** Texts for people: reasons and refusals. A longer one is cut when it is encoded. */
  maxTextBytes: 1024,
  /** Positions of refused operations in one vote; further ones are left out when it is encoded. */
  maxRefused: 4096,
  /** Prepared rounds named in one message: open rounds, with room for those of an earlier reign. */
  maxPreparedRefs: 4 * limits.maxOpenRounds,
  /** Open rounds in one heartbeat. */
  maxOpenRoundNotes: limits.maxOpenRounds,
  /** Decisions in one heartbeat. */
  maxDecisions: 4 * limits.recentDecisions,
  /** Heartbeats that one heartbeat acknowledges the echoes of. */
  maxAcknowledgements: limits.acknowledgedHeartbeats,
  /** A bitmap of member slots. */
  maxBitmapBytes: limits.maxMembers / 8,
  maxChainSteps: limits.maxChainSteps,
  maxDeltaSteps: limits.maxDeltaSteps,
  /** Ranges in one request for fragments; what doesn't fit is asked for next time. */
  maxFragmentRanges: 128,
  /** Arrays inside arrays: no body needs more. */
  maxDepth: 6,
} as const;
