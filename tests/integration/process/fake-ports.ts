import type { Incarnation, NodeId, Peer } from '../../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../../shared/protocol/kernel/ids.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { StoreKey, StoreTransaction, StoreValue } from '../../../shared/protocol/kernel/store.js';
import type { Envelope, Message } from '../../../shared/protocol/wire/messages.js';
import type { NodePorts, OutgoingPacket, PacketEndpoint } from '../../../shared/runtime/node.js';
import { Node } from '../../../shared/runtime/node.js';
import type { Bulk, Clock, EventRecord, Store, Transport, WriteOptions } from '../../../shared/runtime/ports.js';

/** Time that stands still until a test moves it. */
export class FakeClock implements Clock {
  nowMs = 1000;
  wallOffsetMs = 1_700_000_000_000;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  get timers(): number {
    return this.#timers.length;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs + this.wallOffsetMs;
  }

  soon(callback: () => void): void {
    this.at(this.nowMs, callback);
  }

  exactlyAt(atMs: number, callback: () => void): () => void {
    return this.at(atMs, callback);
  }

  at(atMs: number, callback: () => void): () => void {
    const timer = { atMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves time, and runs what falls due on the way. */
  advance(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.nowMs = Math.max(this.nowMs, due.atMs);
      due.callback();
    }
    this.nowMs = endMs;
  }
}

/** A store in memory whose writes complete when the test says so. */
export class FakeStore implements Store {
  readonly records = new Map<string, StoreValue>();
  readonly transactions: { readonly puts: readonly string[]; readonly durable: boolean }[] = [];
  failure: Error | null = null;
  #done: (() => void)[] = [];

  get(key: StoreKey): StoreValue | undefined {
    return this.records.get(JSON.stringify(key));
  }

  *range(prefix: StoreKey): Iterable<{ readonly key: StoreKey; readonly value: StoreValue }> {
    for (const [text, value] of [...this.records].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const key = JSON.parse(text) as StoreKey;
      if (key.length > prefix.length && prefix.every((part, index) => key[index] === part)) yield { key, value };
    }
  }

  write(
    change: (transaction: StoreTransaction) => void,
    options: WriteOptions,
    done: (error: Error | null) => void,
  ): void {
    const puts: string[] = [];
    change({
      put: (key, value) => {
        puts.push(key.join('/'));
        this.records.set(JSON.stringify(key), value);
      },
      remove: (key) => {
        puts.push(`-${key.join('/')}`);
        this.records.delete(JSON.stringify(key));
      },
    });
    this.transactions.push({ puts, durable: options.durable });
    const { failure } = this;
    this.#done.push(() => {
      done(failure);
    });
  }

  complete(): void {
    const done = this.#done;
    this.#done = [];
    for (const call of done) call();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Offers and fetches within one process, by token. */
export class FakeBulk implements Bulk {
  readonly port = 9000;
  readonly streams = new Map<string, AsyncIterable<Uint8Array>>();
  readonly offers: {
    readonly token: string;
    readonly source: () => AsyncIterable<Uint8Array>;
    readonly ended: (error: Error | null) => void;
  }[] = [];

  offer(
    token: string,
    source: () => AsyncIterable<Uint8Array>,
    _ttlMs: number,
    ended: (error: Error | null) => void,
  ): void {
    this.offers.push({ token, source, ended });
  }

  fetch(address: string, token: string): AsyncIterable<Uint8Array> {
    const stream = this.streams.get(`${address} ${token}`);
    if (stream === undefined) throw new Error(`nothing is offered at ${address} under ${token}`);
    return stream;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Messages instead of bytes: what was sent lies in `sent` at once. */
export class FakeEndpoint implements PacketEndpoint {
  readonly sent: OutgoingPacket[] = [];
  readonly counters = {};
  readonly addresses = new Map<string, string>();
  wakeMs = Infinity;
  ticks = 0;
  #waiting = 0;
  #arriving: Envelope[] = [];

  send(packet: OutgoingPacket): void {
    this.sent.push(packet);
    this.#waiting += 1;
  }

  takeDatagrams(): readonly { readonly to: 'group'; readonly bytes: Uint8Array }[] {
    const count = this.#waiting;
    this.#waiting = 0;
    return count === 0 ? [] : [{ to: 'group', bytes: Uint8Array.of(count) }];
  }

  arrive(envelope: Envelope): void {
    this.#arriving.push(envelope);
  }

  receive(): readonly Envelope[] {
    const arriving = this.#arriving;
    this.#arriving = [];
    return arriving;
  }

  tick(): void {
    this.ticks += 1;
    this.wakeMs = Infinity;
  }

  nextWakeMs(): number {
    return this.wakeMs;
  }

  addressOf(peer: Peer): string | null {
    return this.addresses.get(peer.node) ?? null;
  }
}

export function peer(name: string): Peer {
  const incarnation: Incarnation = { storeId: 'aa'.repeat(16), start: 1 };
  return { node: name as NodeId, incarnation };
}

export interface FakeNode {
  readonly node: Node;
  readonly clock: FakeClock;
  readonly store: FakeStore;
  readonly bulk: FakeBulk;
  readonly endpoint: FakeEndpoint;
  readonly events: EventRecord[];
  /** Datagrams that left. */
  readonly datagrams: () => number;
  /** A message comes in. */
  readonly deliver: (from: string, dataSet: string, message: Message) => void;
}

/** A node on fakes, in time that stands still. */
export function fakeNode(name: string): FakeNode {
  const clock = new FakeClock();
  const store = new FakeStore();
  const bulk = new FakeBulk();
  const endpoint = new FakeEndpoint();
  const events: EventRecord[] = [];
  let sent = 0;
  let receiver: (bytes: Uint8Array, from: string, byGroup: boolean) => void = () => undefined;
  const transport: Transport = {
    address: '127.0.0.1:7000',
    maxDatagramBytes: 1400,
    receiveBufferBytes: 1 << 20,
    send: () => {
      sent += 1;
    },
    onReceive: (receive) => {
      receiver = receive;
    },
    close: () => Promise.resolve(),
  };
  const log = { record: (event: EventRecord): void => void events.push(event) };
  const ports: NodePorts = { clock, transport, bulk, store, log, random: seededRandom(1) };
  const node = new Node(peer(name), ports, endpoint);
  const deliver = (from: string, dataSet: string, message: Message): void => {
    endpoint.arrive({ from: peer(from), dataSet, epoch: noEpoch, message });
    receiver(new Uint8Array(1), '127.0.0.1:7001', false);
  };
  return { node, clock, store, bulk, endpoint, events, datagrams: () => sent, deliver };
}

/** Lets promises settle that hang on nothing but each other. */
export async function settlePromises(): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}
