import type { Epoch, Peer } from '../kernel/ids.js';
import type { Message } from '../wire/messages.js';
import type { PathOptions } from './paths.js';
import type { PacketSeal } from '../wire/seal.js';
import type { PathMessage } from '../wire/transport.js';
import type { StreamLimits } from './stream-limits.js';

/** `host:port`, with brackets around an IPv6 host: the same text as the transport port's `Address`. */
export type Address = string;

export interface EndpointOptions {
  readonly self: Peer;
  /** The largest datagram worth sending, from the transport: 512 to 65,507 bytes. */
  readonly maxDatagramBytes: number;
  /** This node's own receive buffer, bytes: what peers are taken to have until their statuses say otherwise. */
  readonly windowBytes: number;
  /** Default: a checksum, which keeps out accidents and nobody. */
  readonly seal?: PacketSeal;
  /** Other bounds than the defaults of `streamLimits`. */
  readonly limits?: Partial<StreamLimits>;
  /** How all are reached; default: by multicast alone. */
  readonly paths?: PathOptions;
  /** Hears what other endpoints ask and tell about the ways between them; for tools that look at a network. */
  readonly onPath?: (heard: PathHeard) => void;
}

export interface PathHeard {
  readonly from: Peer;
  readonly address: Address;
  readonly byGroup: boolean;
  readonly message: PathMessage;
}

/** A message on its way out: to everybody, or to one peer that has been heard from. */
export interface Outgoing {
  readonly to: 'all' | Peer;
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly message: Message;
}

/** What the transport is to send. The bytes aren't touched again here. */
export interface Datagram {
  readonly to: 'group' | Address;
  readonly bytes: Uint8Array;
}
