import type { Random } from '../../../shared/protocol/kernel/random.js';
import type { Address, Transport } from '../../../shared/runtime/ports.js';
import type { SimProcess, Timeline } from './clock.js';
import type { FaultKind } from './faults.js';

/** How bad the network is. All probabilities are per datagram and receiver. */
export interface NetworkFaults {
  readonly loss: number;
  readonly duplication: number;
  /** One bit to sixteen flipped somewhere, or the end cut off. */
  readonly corruption: number;
  /** A datagram that takes `lateMs` more than the others, and so is overtaken. */
  readonly reordering: number;
  readonly lateMs: number;
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  /** Multicast is dead while unicast lives, and the reverse. */
  readonly multicastDead: boolean;
  readonly unicastDead: boolean;
  /** For so long everything arrives, and then for so long nothing: 0 when the network is steady. */
  readonly burstMs: number;
  readonly betweenBurstsMs: number;
}

export const calmNetwork: NetworkFaults = {
  loss: 0,
  duplication: 0,
  corruption: 0,
  reordering: 0,
  lateMs: 0,
  minDelayMs: 0.05,
  maxDelayMs: 0.4,
  multicastDead: false,
  unicastDead: false,
  burstMs: 0,
  betweenBurstsMs: 0,
};

export interface Packet {
  readonly fromNode: string;
  readonly toNode: string;
  readonly from: Address;
  readonly to: Address | 'group';
  readonly bytes: Uint8Array;
  /** True when these aren't the bytes that were sent: flipped, cut, forged. */
  readonly corrupt: boolean;
}

/** What the oracle wants to know of the network. */
export interface NetworkObserver {
  sent(node: string, bytes: Uint8Array, to: Address | 'group'): void;
  /** Around the receiver's handling of one datagram. */
  delivering(packet: Packet): void;
  delivered(packet: Packet): void;
  /** A fault of this kind did something to a packet. */
  struck(kind: FaultKind): void;
  /** Not delivered, and why; for the trace. */
  dropped(packet: Packet, why: string): void;
}

interface Endpoint {
  readonly node: string;
  readonly host: string;
  readonly address: Address;
  readonly process: SimProcess;
  receiver: ((bytes: Uint8Array, from: Address, byGroup: boolean) => void) | null;
  open: boolean;
  /** Datagrams held while the process is paused; the socket buffer overflows beyond. */
  buffered: number;
}

const fixedPort = 7402;

/** A socket buffer of 208 KiB holds about this many. */
const pausedDatagrams = 184;

/**
 * A seeded network in virtual time. Datagrams are lost, doubled, late, corrupt; hosts are cut from each other one way
 * or both. A host keeps its name; each process on it gets a new port, as with ports picked free.
 */
export class SimNetwork {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #endpoints = new Map<Address, Endpoint>();
  readonly #hosts = new Map<string, string>();
  /** By which fault two hosts are cut. */
  readonly #cut = new Map<string, FaultKind>();
  /** Between which two hosts multicast doesn't pass. */
  readonly #muted = new Map<string, FaultKind>();
  /** How much longer packets take from one host to another, in that direction alone. */
  readonly #slowed = new Map<string, number>();
  /** Nodes whose every process has the same port: others are told of it. */
  readonly #fixedPorts = new Set<string>();
  readonly #receiverLoss = new Map<string, number>();
  /** Which fault made the network what it is. */
  readonly #by = new Map<keyof NetworkFaults, FaultKind>();
  readonly #filters = new Set<(packet: Packet) => boolean>();
  readonly #maxDatagramBytes: number;
  #observer: NetworkObserver | null = null;
  #faults: NetworkFaults = calmNetwork;
  #nextPort = 40_000;

  readonly #isHeardBy: (sender: string, receiver: string) => boolean;
  readonly #isStar: boolean;

  constructor(options: {
    readonly timeline: Timeline;
    readonly random: Random;
    readonly maxDatagramBytes: number;
    /** Without multicast: what a slave says to all goes to its peers, the masters. */
    readonly isStar?: boolean;
    readonly isMaster?: (node: string) => boolean;
  }) {
    const { isStar = false, isMaster = () => true } = options;
    this.#isStar = isStar;
    this.#isHeardBy = isStar ? (sender, receiver) => isMaster(sender) || isMaster(receiver) : () => true;
    this.#timeline = options.timeline;
    this.#random = options.random;
    this.#maxDatagramBytes = options.maxDatagramBytes;
  }

  observe(observer: NetworkObserver): void {
    this.#observer = observer;
  }

  get faults(): NetworkFaults {
    return this.#faults;
  }

  /** `by`: the fault that this is, for the coverage of faults. */
  become(faults: Partial<NetworkFaults>, by?: FaultKind): void {
    this.#faults = { ...this.#faults, ...faults };
    if (by !== undefined) for (const field of Object.keys(faults)) this.#by.set(field as keyof NetworkFaults, by);
  }

  /** Nothing from `from` reaches `to` any more; the other way still works. */
  cut(from: string, to: string, by: FaultKind = 'one-way-cut'): void {
    this.#cut.set(`${from}>${to}`, by);
  }

  /** What `from` says by multicast doesn't reach `to`; all else does. */
  muteGroup(from: string, to: string, by: FaultKind = 'multicast-unreached'): void {
    this.#muted.set(`${from}>${to}`, by);
  }

  unmuteGroup(from: string, to: string): void {
    this.#muted.delete(`${from}>${to}`);
  }

  /** What one host sends takes longer to reach another; what comes back doesn't. 0: no more. */
  slow(from: string, to: string, byMs: number): void {
    if (byMs > 0) this.#slowed.set(`${from}>${to}`, byMs);
    else this.#slowed.delete(`${from}>${to}`);
  }

  /** Cuts two groups of nodes from each other, both ways. */
  partition(one: readonly string[], other: readonly string[], by: FaultKind = 'partition'): void {
    for (const a of one) {
      for (const b of other) {
        this.cut(a, b, by);
        this.cut(b, a, by);
      }
    }
  }

  mend(from: string, to: string): void {
    this.#cut.delete(`${from}>${to}`);
  }

  isCut(from: string, to: string): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** A receiver that loses more than the others. */
  loseAt(node: string, probability: number): void {
    this.#receiverLoss.set(node, probability);
  }

  /** Drops the datagrams for which `isDropped` says so, until the returned function is called. */
  dropWhen(isDropped: (packet: Packet) => boolean): () => void {
    this.#filters.add(isDropped);
    return () => {
      this.#filters.delete(isDropped);
    };
  }

  /** No faults, no cuts, no filters. */
  heal(): void {
    this.#faults = calmNetwork;
    this.#cut.clear();
    this.#muted.clear();
    this.#slowed.clear();
    this.#receiverLoss.clear();
    this.#filters.clear();
  }

  hostOf(node: string): string {
    const known = this.#hosts.get(node);
    if (known !== undefined) return known;
    const host = `10.0.0.${this.#hosts.size + 1}`;
    this.#hosts.set(node, host);
    return host;
  }

  nodeAt(host: string): string | null {
    for (const [node, known] of this.#hosts) if (known === host) return node;
    return null;
  }

  takePort(): number {
    this.#nextPort += 1;
    return this.#nextPort;
  }

  /** From now on each process of this node has this address, as with `--port`. */
  fixAddress(node: string): Address {
    this.#fixedPorts.add(node);
    return `${this.hostOf(node)}:${fixedPort}`;
  }

  attach(process: SimProcess): Transport {
    const host = this.hostOf(process.node);
    const endpoint: Endpoint = {
      node: process.node,
      host,
      address: this.#fixedPorts.has(process.node) ? `${host}:${fixedPort}` : `${host}:${this.takePort()}`,
      process,
      receiver: null,
      open: true,
      buffered: 0,
    };
    this.#endpoints.set(endpoint.address, endpoint);
    process.onEnd(() => {
      this.#detach(endpoint);
    });
    return {
      address: endpoint.address,
      maxDatagramBytes: this.#maxDatagramBytes,
      receiveBufferBytes: 212_992,
      send: (bytes, to) => {
        this.#send(endpoint, bytes, to);
      },
      onReceive: (receiver) => {
        endpoint.receiver = receiver;
      },
      close: async () => {
        this.#detach(endpoint);
      },
    };
  }

  /** A datagram that a filter held back arrives after all. */
  deliver(packet: Packet): void {
    for (const endpoint of this.#endpoints.values()) {
      if (endpoint.node === packet.toNode) this.#deliverLater(endpoint, packet, this.#faults.minDelayMs);
    }
  }

  /** A datagram that no node sent: garbage, a forgery, a replay. */
  inject(toNode: string, bytes: Uint8Array, from: Address): void {
    for (const endpoint of this.#endpoints.values()) {
      if (endpoint.node !== toNode) continue;
      this.#deliverLater(endpoint, { fromNode: 'stranger', toNode, from, to: 'group', bytes, corrupt: true }, 0.1);
    }
  }

  #detach(endpoint: Endpoint): void {
    endpoint.open = false;
    endpoint.receiver = null;
    this.#endpoints.delete(endpoint.address);
  }

  #send(sender: Endpoint, bytes: Uint8Array, to: Address | 'group'): void {
    if (!sender.open || bytes.byteLength > this.#maxDatagramBytes) return;
    const sent = Buffer.from(bytes);
    this.#observer?.sent(sender.node, sent, to);
    if (to === 'group') {
      for (const endpoint of this.#endpoints.values())
        if (endpoint !== sender && this.#isHeardBy(sender.node, endpoint.node))
          this.#transmit(sender, endpoint, sent, to);
      return;
    }
    const endpoint = this.#endpoints.get(to);
    if (endpoint !== undefined) this.#transmit(sender, endpoint, sent, to);
  }

  #transmit(sender: Endpoint, receiver: Endpoint, bytes: Uint8Array, to: Address | 'group'): void {
    const { loss, duplication } = this.#faults;
    const copies = this.#random.chance(duplication) ? 2 : 1;
    if (copies === 2) this.#struck('duplication');
    const lossAtReceiver = this.#receiverLoss.size === 0 ? 0 : (this.#receiverLoss.get(receiver.node) ?? 0);
    for (let copy = 0; copy < copies; copy += 1) {
      const lostOnTheWay = this.#random.chance(loss);
      const lost = lostOnTheWay || this.#random.chance(lossAtReceiver);
      if (lost) {
        if (lostOnTheWay) this.#struck('loss');
        else this.#observer?.struck('receiver-loss');
      }
      const packet = this.#maybeCorrupt({
        fromNode: sender.node,
        toNode: receiver.node,
        from: sender.address,
        to,
        bytes,
        corrupt: false,
      });
      const delayMs = this.#delayMs() + this.#slowMs(packet);
      const why = this.#whyDropped(packet) ?? (lost ? 'lost' : null);
      if (why !== null) this.#observer?.dropped(packet, why);
      else this.#deliverLater(receiver, packet, delayMs);
    }
  }

  #whyDropped(packet: Packet): string | null {
    const cutBy = this.#cut.size === 0 ? undefined : this.#cut.get(`${packet.fromNode}>${packet.toNode}`);
    if (cutBy !== undefined) {
      this.#observer?.struck(cutBy);
      return 'cut';
    }
    const mutedBy =
      this.#muted.size === 0 || packet.to !== 'group'
        ? undefined
        : this.#muted.get(`${packet.fromNode}>${packet.toNode}`);
    if (mutedBy !== undefined) {
      this.#observer?.struck(mutedBy);
      return 'no multicast';
    }
    const pathDead = packet.to === 'group' ? 'multicastDead' : 'unicastDead';
    if (this.#faults[pathDead]) {
      this.#struck(pathDead);
      return 'no path';
    }
    const { burstMs, betweenBurstsMs } = this.#faults;
    if (burstMs > 0 && this.#timeline.nowMs % (burstMs + betweenBurstsMs) < burstMs) {
      this.#struck('burstMs');
      return 'lost in a burst';
    }
    for (const isDropped of this.#filters) if (isDropped(packet)) return 'filtered';
    return null;
  }

  #delayMs(): number {
    const { minDelayMs, maxDelayMs, reordering, lateMs } = this.#faults;
    const spreadMs = this.#random.next() * (maxDelayMs - minDelayMs);
    if (maxDelayMs > calmNetwork.maxDelayMs) this.#struck('maxDelayMs');
    const extraMs = this.#random.chance(reordering) ? this.#random.next() * lateMs : 0;
    if (extraMs > 0) this.#struck('reordering');
    return minDelayMs + spreadMs + extraMs;
  }

  #slowMs({ fromNode, toNode }: Packet): number {
    const slowMs = this.#slowed.size === 0 ? undefined : this.#slowed.get(`${fromNode}>${toNode}`);
    if (slowMs === undefined) return 0;
    this.#observer?.struck('asymmetric-delay');
    return slowMs;
  }

  #struck(field: keyof NetworkFaults): void {
    const kind = this.#by.get(field);
    if (kind !== undefined) this.#observer?.struck(kind);
  }

  #maybeCorrupt(packet: Packet): Packet {
    if (!this.#random.chance(this.#faults.corruption) || packet.bytes.byteLength === 0) return packet;
    this.#struck('corruption');
    if (this.#random.chance(0.2)) {
      return { ...packet, bytes: packet.bytes.slice(0, this.#random.below(packet.bytes.byteLength)), corrupt: true };
    }
    const bytes = Buffer.from(packet.bytes);
    const flips = 1 + this.#random.below(16);
    for (let flip = 0; flip < flips; flip += 1) {
      const index = this.#random.below(bytes.byteLength);
      bytes[index] = (bytes[index] ?? 0) ^ (1 << this.#random.below(8));
    }
    // An even number of flips may have undone each other.
    return { ...packet, bytes, corrupt: Buffer.compare(bytes, packet.bytes) !== 0 };
  }

  #deliverLater(endpoint: Endpoint, packet: Packet, delayMs: number): void {
    this.#timeline.after(delayMs, () => {
      if (!endpoint.open || !endpoint.process.alive) return;
      if (endpoint.process.paused && endpoint.buffered >= pausedDatagrams) {
        this.#observer?.dropped(packet, 'buffer full');
        return;
      }
      endpoint.buffered += 1;
      endpoint.process.run(() => {
        endpoint.buffered -= 1;
        const receiver = endpoint.receiver;
        if (!endpoint.open || receiver === null) return;
        this.#observer?.delivering(packet);
        // A copy: what came in a datagram is its receiver's own.
        receiver(Buffer.from(packet.bytes), packet.from, packet.to === 'group' && !this.#isStar);
        this.#observer?.delivered(packet);
      });
    });
  }
}
