import type { TransportMode } from '../protocol/stream/paths.js';
import type { Node } from './node.js';

/** What a node's HTTP status says of its network. */
export function networkBody(
  node: { readonly address: string; network(): NetworkStatus },
  wallMs: number,
): NetworkStatus & {
  readonly address: string;
  readonly at: string;
} {
  return { ...node.network(), address: node.address, at: new Date(wallMs).toISOString() };
}

/** How a node reaches the others. */
export interface NetworkStatus {
  /** `unicast` also where `auto` found an interface without multicast. */
  readonly transport: TransportMode;
  /** Nodes that this one's multicast doesn't reach: what is for all goes to each of them by unicast as well. */
  readonly unreached: readonly string[];
  /** Masters whose multicast doesn't reach this node. */
  readonly unheard: readonly string[];
  /** The receive buffer of each socket, bytes, as the system granted it. */
  readonly receiveBufferBytes: number;
  /** Datagrams that the kernel dropped because this node's receive buffers were full; null where it doesn't tell. */
  readonly kernelDrops: number | null;
}

export function networkStatus(node: Pick<Node, 'paths' | 'ports'>): NetworkStatus {
  const { mode: transport, unreached, unheard } = node.paths ?? { mode: 'multicast', unreached: [], unheard: [] };
  const { receiveBufferBytes } = node.ports.transport;
  const kernelDrops = node.ports.transport.kernelDrops?.() ?? null;
  return { transport, unreached, unheard, receiveBufferBytes, kernelDrops };
}
