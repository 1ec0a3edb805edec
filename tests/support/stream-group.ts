import { digestOf } from '../../shared/protocol/kernel/digest.js';
import type { ChainId, Delta, Epoch, NodeId, Peer, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { seededRandom } from '../../shared/protocol/kernel/random.js';
import type { Message } from '../../shared/protocol/wire/messages.js';
import { VirtualWire, type Node } from '../integration/vectors/virtual-wire.js';

export const epoch: Epoch = { number: 3, claimant: 'ab'.repeat(16) };
export const options = { maxDatagramBytes: 1400, windowBytes: 4 * 1024 * 1024 };

export function peer(name: string, start = 1): Peer {
  return { node: name as NodeId, incarnation: { storeId: Buffer.from(name).toString('hex').padEnd(32, '0'), start } };
}

export function tip(version: number): Tip {
  return { epoch, version: version as Version, chain: version.toString(16).padStart(32, '0') as ChainId };
}

export function announce(version: number, size: number): Message {
  const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 31 + version) & 0xff);
  const change: Delta = { from: tip(version), to: tip(version + 1), bytes, digest: digestOf(bytes) };
  return { kind: 'announce', from: change.from, to: change.to, content: { kind: 'change', change } };
}

export const leave: Message = { kind: 'leave' };

export function status(windowBytes: number): Message {
  return {
    kind: 'status',
    sequence: 1,
    tip: null,
    prepared: [],
    state: 'current',
    echo: null,
    windowBytes,
    repairs: 0,
    snapshots: 0,
    arming: null,
    activation: null,
  };
}

/** What arrived, in short: version and whether the bytes are those sent. */
export function arrived(node: Node): { version: number; intact: boolean }[] {
  return node.received.flatMap(({ message }) => {
    if (message.kind !== 'announce' || message.content.kind !== 'change') return [];
    const { change } = message.content;
    return [{ version: change.to.version, intact: digestOf(change.bytes) === change.digest }];
  });
}

export function sendAll(wire: VirtualWire, from: Node, message: Message, dataSet = 'prices'): void {
  from.endpoint.send({ to: 'all', dataSet, epoch, message }, wire.nowMs);
}

/** A master and slaves that have heard each other. */
export function group(
  slaves: number,
  seed = 1,
  more: object = {},
): { wire: VirtualWire; master: Node; slaves: Node[] } {
  const wire = new VirtualWire(seededRandom(seed));
  const master = wire.add(peer('master'), { ...options, ...more });
  const others = Array.from({ length: slaves }, (_, index) => wire.add(peer(`s${index}`), { ...options, ...more }));
  for (const node of wire.nodes) sendAll(wire, node, leave);
  wire.run(1);
  for (const node of wire.nodes) node.received.length = 0;
  return { wire, master, slaves: others };
}
