import { rejectReasons, type RejectReason } from '../wire/reject.js';

/** What an endpoint counts since it was made; read by metrics and tests, written by the endpoint alone. */
export interface EndpointCounters {
  datagramsSent: number;
  bytesSent: number;
  /** Of the datagrams sent: copies by unicast of what multicast doesn't bring to everybody. */
  groupCopiesSent: number;
  messagesSent: number;
  /** Fragments sent for the first time. */
  fragmentsSent: number;
  /** Fragments sent again because somebody asked. */
  fragmentsResent: number;
  /** Requests for fragments that came, and those that name nothing still held here. */
  repairsAsked: number;
  repairsUnserved: number;
  /** Messages dropped because the peer's address isn't known. */
  undeliverable: number;
  /** Messages dropped because they are larger than the wire allows. */
  oversized: number;
  /** Messages dropped because too many bytes wait for their pace. */
  queueFull: number;
  /** Messages that nobody would believe of this node, not having a master's key. */
  withheld: number;
  datagramsReceived: number;
  bytesReceived: number;
  messagesReceived: number;
  fragmentsReceived: number;
  duplicateFragments: number;
  /** Requests for missing fragments sent from here. */
  repairsRequested: number;
  messagesReassembled: number;
  /** Partial messages dropped: nothing more came in time. */
  reassembliesGivenUp: number;
  /** Partial messages dropped to keep within the bounds of memory. */
  reassembliesEvicted: number;
  /** Datagrams of this very process, looped back by the group. */
  ownLoopedBack: number;
  /** Datagrams of an earlier start of a peer that has been heard in a later one. */
  oldIncarnation: number;
  /** Datagrams (or reassembled messages) that were refused, by reason. */
  readonly rejected: Record<RejectReason, number>;
}

export function noCounts(): EndpointCounters {
  return {
    datagramsSent: 0,
    bytesSent: 0,
    groupCopiesSent: 0,
    messagesSent: 0,
    fragmentsSent: 0,
    fragmentsResent: 0,
    repairsAsked: 0,
    repairsUnserved: 0,
    undeliverable: 0,
    oversized: 0,
    queueFull: 0,
    withheld: 0,
    datagramsReceived: 0,
    bytesReceived: 0,
    messagesReceived: 0,
    fragmentsReceived: 0,
    duplicateFragments: 0,
    repairsRequested: 0,
    messagesReassembled: 0,
    reassembliesGivenUp: 0,
    reassembliesEvicted: 0,
    ownLoopedBack: 0,
    oldIncarnation: 0,
    rejected: Object.fromEntries(rejectReasons.map((reason) => [reason, 0])) as Record<RejectReason, number>,
  };
}
