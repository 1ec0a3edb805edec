import { errorText } from '../protocol/kernel/errors.js';
import type { EventOf } from '../protocol/kernel/events.js';
import type { Epoch, Peer } from '../protocol/kernel/ids.js';
import { invariant } from '../protocol/kernel/invariant.js';
import type { Random } from '../protocol/kernel/random.js';
import type { Envelope, Message } from '../protocol/wire/messages.js';
import type { PathEvent, PathView } from '../protocol/stream/paths.js';
import type { NodeEvents } from './events.js';
import type { CrashPoint } from './crash-points.js';
import { pathRecord } from './path-events.js';
import type { Address, Bulk, Clock, EventLog, Store, Transport } from './ports.js';

/** What a node runs on: the real adapters, or the simulator's twins. */
export interface NodePorts {
  readonly clock: Clock;
  readonly transport: Transport;
  readonly bulk: Bulk;
  readonly store: Store;
  readonly log: EventLog;
  readonly random: Random;
  /** Tests only: where this process is to die. */
  readonly crashPoint?: CrashPoint;
}

/** Messages to datagrams and back, as a node needs it: `Endpoint` of `shared/protocol/stream`. */
export interface PacketEndpoint {
  send(packet: OutgoingPacket, nowMs: number): void;
  /** What may leave now; the rest waits for `nextWakeMs`. */
  takeDatagrams(nowMs: number): readonly { readonly to: Address | 'group'; readonly bytes: Uint8Array }[];
  /** They have been handed to the transport: that takes long when they are many. */
  datagramsLeft?(nowMs: number): void;
  receive(bytes: Uint8Array, from: Address, nowMs: number, byGroup: boolean): readonly Envelope[];
  tick(nowMs: number): void;
  nextWakeMs(): number;
  readonly counters: object;
  /** How all are reached. */
  readonly paths?: PathView;
  /** What has become of multicast since this was asked last. */
  takeEvents?(): readonly PathEvent[];
  /** Where a peer was last heard from. */
  addressOf(peer: Peer): Address | null;
}

export interface OutgoingPacket {
  readonly to: Peer | 'all';
  readonly dataSet: string;
  readonly epoch: Epoch;
  readonly message: Message;
}

/** What takes part in a group by the name of a data set: a service with its core, or a later module. */
export interface Participant {
  onMessage(envelope: Envelope, nowMs: number): void;
  onTick(nowMs: number): void;
  /** Monotonic; Infinity when nothing is set. */
  nextWakeMs(): number;
  /** The node stopped for a bug: nothing comes any more, and nobody is to be left waiting. */
  onFailure?(error: unknown): void;
}

/** A timer sooner than this would fire again at once: system timers are no finer. */
const shortestWaitMs = 1;

/**
 * One process's presence in a group: one socket pair, one timer, many data sets.
 *
 * Everything that happens (a datagram, a timer, a finished write, a callback's answer, a command) enters by `enter`. Work
 * that comes up meanwhile is queued, never nested. When the queue is empty, all that was sent leaves in as few datagrams
 * as it fits, before `enter` returns: no turn of the event loop lies between a cause and its packets. There are two
 * exceptions, `linger` and `gather`.
 */
export class Node {
  readonly self: Peer;
  readonly ports: NodePorts;
  readonly #endpoint: PacketEndpoint;
  readonly #participants = new Map<string, Participant>();
  readonly #wakes = new Map<Participant, number>();
  /** Few in a turn, nearly always one: a list costs less than a set. */
  readonly #touched: Participant[] = [];
  readonly #queue: ((nowMs: number) => void)[] = [];
  #pumping = false;
  #unsent = false;
  #lingering = false;
  #gathering = false;
  readonly #leaving: (() => void)[] = [];
  #stopped = false;
  #armedMs = Infinity;
  #disarm: (() => void) | null = null;
  #unrouted = 0;

  constructor(self: Peer, ports: NodePorts, endpoint: PacketEndpoint) {
    this.self = self;
    this.ports = ports;
    this.#endpoint = endpoint;
    ports.transport.onReceive((bytes, from, byGroup) => {
      this.enter((nowMs) => {
        this.#receive(bytes, from, nowMs, byGroup);
      });
    });
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Envelopes for data sets that aren't registered here. */
  get unroutedEnvelopes(): number {
    return this.#unrouted;
  }

  get counters(): object {
    return this.#endpoint.counters;
  }

  get paths(): PathView | null {
    return this.#endpoint.paths ?? null;
  }

  nowMs(): number {
    return this.ports.clock.monotonicMs();
  }

  addressOf(peer: Peer): Address | null {
    return this.#endpoint.addressOf(peer);
  }

  attach(dataSet: string, participant: Participant): void {
    invariant(!this.#participants.has(dataSet), `data set ${dataSet} is attached twice`);
    this.#participants.set(dataSet, participant);
  }

  detach(dataSet: string): void {
    const participant = this.#participants.get(dataSet);
    if (participant === undefined) return;
    this.#participants.delete(dataSet);
    this.#wakes.delete(participant);
    const place = this.#touched.indexOf(participant);
    if (place >= 0) this.#touched.splice(place, 1);
  }

  /** Queues a message; it leaves at the end of this turn, or a little later when somebody asked it to `linger`. */
  send(packet: OutgoingPacket): void {
    this.#unsent = true;
    this.#endpoint.send(packet, this.nowMs());
  }

  /**
   * A caller has just been told an outcome, and may start the next thing as soon as its promise has settled: what was
   * sent in this turn waits for that, so that a commit and the prepare that follows it share a datagram. At the latest it
   * leaves before the process waits for anything. `beforeLeaving` may add to it.
   */
  linger(beforeLeaving: () => void): void {
    this.#leaving.push(beforeLeaving);
    if (this.#lingering) return;
    this.#lingering = true;
    this.ports.clock.soon(() => {
      this.#lingering = false;
      this.enter(() => undefined);
    });
  }

  /**
   * What is sent in this turn may wait until all that has arrived by now has been read, and share datagrams with what
   * follows from that: until the end of this turn of the event loop.
   */
  gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.ports.clock.soon(() => {
      this.#gathering = false;
      this.enter(() => undefined);
    });
  }

  /** Lets go what was sent so far. */
  flush(): void {
    if (this.#stopped) return;
    for (let last = this.#leaving.pop(); last !== undefined; last = this.#leaving.pop()) last();
    if (!this.#unsent) return;
    this.#unsent = false;
    const datagrams = this.#endpoint.takeDatagrams(this.nowMs());
    if (datagrams.length === 0) return;
    for (const datagram of datagrams) this.ports.transport.send(datagram.bytes, datagram.to);
    this.#endpoint.datagramsLeft?.(this.nowMs());
  }

  /** The participant's next deadline may have moved: asked again at the end of this turn. */
  touch(participant: Participant): void {
    if (!this.#touched.includes(participant)) this.#touched.push(participant);
  }

  /** Runs `work` now, or after what is running; then sends, then sets the timer. Nothing happens after `stop`. */
  enter(work: (nowMs: number) => void): void {
    if (this.#stopped) return;
    this.#queue.push(work);
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      this.#pump();
    } catch (error) {
      this.#fail(error);
      throw error;
    } finally {
      this.#pumping = false;
      this.#queue.length = 0;
    }
  }

  /** Ends everything at once, without a word to the group: timers, packets, answers that come later. */
  stop(): void {
    this.#stopped = true;
    this.#disarm?.();
    this.#disarm = null;
    this.#queue.length = 0;
    this.#participants.clear();
    this.#wakes.clear();
    this.#touched.length = 0;
  }

  /** A node that is wrong stops before it spreads it; the error goes on to whoever runs the process. */
  #fail(error: unknown): void {
    const participants = [...this.#participants.values()];
    this.stop();
    this.ports.log.record({
      name: 'node-failed',
      level: 'error',
      fields: { node: this.self.node, reason: errorText(error) },
    } satisfies EventOf<NodeEvents, 'node-failed'>);
    for (const participant of participants) participant.onFailure?.(error);
  }

  #pump(): void {
    const wasLingering = this.#lingering;
    for (let index = 0; index < this.#queue.length && !this.#stopped; index += 1) this.#queue[index]?.(this.nowMs());
    this.#queue.length = 0;
    if (this.#stopped) return;
    if (!this.#gathering && (!this.#lingering || wasLingering)) this.flush();
    this.#arm();
  }

  #receive(bytes: Uint8Array, from: Address, nowMs: number, byGroup: boolean): void {
    const envelopes = this.#endpoint.receive(bytes, from, nowMs, byGroup);
    // Receiving may make the endpoint send: repairs of fragments, acknowledgements.
    this.#unsent = true;
    this.#tellEvents();
    for (const envelope of envelopes) {
      const participant = this.#participants.get(envelope.dataSet);
      if (participant === undefined) {
        this.#unrouted += 1;
        continue;
      }
      this.touch(participant);
      participant.onMessage(envelope, nowMs);
    }
  }

  #tellEvents(): void {
    const events = this.#endpoint.takeEvents?.();
    if (events !== undefined && events.length > 0) for (const event of events) this.ports.log.record(pathRecord(event));
  }

  #tick(nowMs: number): void {
    if (this.#endpoint.nextWakeMs() <= nowMs) {
      this.#endpoint.tick(nowMs);
      this.#unsent = true;
      this.#tellEvents();
    }
    for (const [participant, wakeMs] of [...this.#wakes]) {
      if (wakeMs > nowMs || !this.#wakes.has(participant)) continue;
      this.touch(participant);
      participant.onTick(nowMs);
    }
  }

  /** One timer for all. A deadline that moved away leaves the timer as it is: a spurious wake-up costs less. */
  #arm(): void {
    // What is about to leave needs no timer; what the pace holds back then gets its own.
    let soonestMs = this.#unsent ? this.#armedMs : Math.min(this.#armedMs, this.#endpoint.nextWakeMs());
    for (const participant of this.#touched) {
      const wakeMs = participant.nextWakeMs();
      this.#wakes.set(participant, wakeMs);
      if (wakeMs < soonestMs) soonestMs = wakeMs;
    }
    this.#touched.length = 0;
    if (soonestMs < this.#armedMs) this.#setTimer(soonestMs);
  }

  #setTimer(atMs: number): void {
    this.#disarm?.();
    this.#armedMs = atMs;
    this.#disarm = this.ports.clock.at(Math.max(atMs, this.nowMs() + shortestWaitMs), () => {
      this.#disarm = null;
      this.#armedMs = Infinity;
      this.enter((nowMs) => {
        this.#tick(nowMs);
        this.#rearm();
      });
    });
  }

  /** After the timer fired, the deadlines of those it left untouched count again. */
  #rearm(): void {
    let soonestMs = Infinity;
    for (const [participant, wakeMs] of this.#wakes) {
      if (!this.#touched.includes(participant) && wakeMs < soonestMs) soonestMs = wakeMs;
    }
    if (soonestMs < this.#armedMs) this.#setTimer(soonestMs);
  }
}
