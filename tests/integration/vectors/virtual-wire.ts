import type { Peer } from '../../../shared/protocol/kernel/ids.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import type { Envelope } from '../../../shared/protocol/wire/messages.js';
import { Endpoint, type Address, type EndpointOptions } from '../../../shared/protocol/stream/endpoint.js';

/** What the wire of a test does to one datagram on its way to one receiver. */
export interface Fate {
  readonly loss: number;
  readonly duplication: number;
  /** Each copy takes a delay of its own, so a long range reorders. */
  readonly delayMs: readonly [least: number, most: number];
}

export interface Node {
  readonly peer: Peer;
  readonly address: Address;
  readonly endpoint: Endpoint;
  readonly received: Envelope[];
}

interface Flight {
  readonly atMs: number;
  readonly order: number;
  readonly to: Node;
  readonly from: Address;
  readonly bytes: Uint8Array;
}

/** Endpoints on one virtual wire and one virtual clock. Every copy is a copy, as from a socket. */
export class VirtualWire {
  readonly nodes: Node[] = [];
  nowMs = 0;
  fate: Fate = { loss: 0, duplication: 0, delayMs: [0.1, 0.1] };
  /** Sees each datagram as it leaves; false drops it for all its receivers. */
  tap: (to: string, bytes: Uint8Array) => boolean = () => true;
  readonly #random: Random;
  #flights: Flight[] = [];
  #order = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  add(peer: Peer, options: Omit<EndpointOptions, 'self'>): Node {
    const node: Node = { peer, address: `10.0.0.${this.nodes.length + 1}:7000`, endpoint: new Endpoint({ self: peer, ...options }), received: [] };
    this.nodes.push(node);
    return node;
  }

  /** Lets time pass until nothing is under way, or until `untilMs`. Fails rather than spin without end. */
  run(untilMs: number): void {
    for (let steps = 0; steps < 200_000; steps += 1) {
      for (const node of this.nodes) this.#flush(node);
      const next = Math.min(...this.#flights.map((flight) => flight.atMs), ...this.nodes.map((node) => node.endpoint.nextWakeMs()));
      if (next > untilMs) {
        this.nowMs = Math.max(this.nowMs, untilMs);
        return;
      }
      this.nowMs = Math.max(this.nowMs, next);
      const due = this.#flights.filter((flight) => flight.atMs <= this.nowMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      this.#flights = this.#flights.filter((flight) => flight.atMs > this.nowMs);
      for (const flight of due) flight.to.received.push(...flight.to.endpoint.receive(flight.bytes, flight.from, this.nowMs));
    }
    throw new Error('the endpoints never come to rest');
  }

  #flush(node: Node): void {
    if (node.endpoint.nextWakeMs() <= this.nowMs) node.endpoint.tick(this.nowMs);
    for (const { to, bytes } of node.endpoint.takeDatagrams(this.nowMs)) {
      if (!this.tap(to, bytes)) continue;
      // The group loops back to its sender, as on a real host.
      const receivers = to === 'group' ? this.nodes : this.nodes.filter((other) => other.address === to);
      for (const receiver of receivers) this.#launch(node, receiver, bytes);
    }
  }

  #launch(from: Node, to: Node, bytes: Uint8Array): void {
    const copies = this.#random.chance(this.fate.loss) ? 0 : this.#random.chance(this.fate.duplication) ? 2 : 1;
    const [least, most] = this.fate.delayMs;
    for (let copy = 0; copy < copies; copy += 1) {
      const atMs = this.nowMs + least + this.#random.next() * (most - least);
      this.#order += 1;
      this.#flights.push({ atMs, order: this.#order, to, from: from.address, bytes: Uint8Array.from(bytes) });
    }
  }
}
