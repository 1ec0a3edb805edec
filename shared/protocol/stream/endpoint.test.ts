import { describe, expect, test } from 'vitest';
import { digestOf } from '../kernel/digest.js';
import { LockstepError } from '../kernel/errors.js';
import type { ChainId, Delta, Epoch, NodeId, Peer, Tip, Version } from '../kernel/ids.js';
import { seededRandom } from '../kernel/random.js';
import { copyBody } from '../wire/body.js';
import { encodeBody } from '../wire/codec.js';
import { fragmentCount } from '../wire/datagram.js';
import type { Envelope, Message } from '../wire/messages.js';
import { messageOrdinals } from '../wire/registry.js';
import { Endpoint } from './endpoint.js';
import { Packer, type EncodedMessage } from './packer.js';
import { VirtualWire, type Node } from '../../../tests/integration/vectors/virtual-wire.js';

const epoch: Epoch = { number: 3, claimant: 'ab'.repeat(16) };
const options = { maxDatagramBytes: 1400, windowBytes: 4 * 1024 * 1024 };

function peer(name: string, start = 1): Peer {
  return { node: name as NodeId, incarnation: { storeId: Buffer.from(name).toString('hex').padEnd(32, '0'), start } };
}

function tip(version: number): Tip {
  return { epoch, version: version as Version, chain: version.toString(16).padStart(32, '0') as ChainId };
}

function announce(version: number, size: number): Message {
  const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 31 + version) & 0xff);
  const change: Delta = { from: tip(version), to: tip(version + 1), bytes, digest: digestOf(bytes) };
  return { kind: 'announce', from: change.from, to: change.to, content: { kind: 'change', change } };
}

const leave: Message = { kind: 'leave' };

function status(windowBytes: number): Message {
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
  };
}

/** What arrived, in short: version and whether the bytes are those sent. */
function arrived(node: Node): { version: number; intact: boolean }[] {
  return node.received.flatMap(({ message }) => {
    if (message.kind !== 'announce' || message.content.kind !== 'change') return [];
    const { change } = message.content;
    return [{ version: change.to.version, intact: digestOf(change.bytes) === change.digest }];
  });
}

function sendAll(wire: VirtualWire, from: Node, message: Message, dataSet = 'prices'): void {
  from.endpoint.send({ to: 'all', dataSet, epoch, message }, wire.nowMs);
}

/** A master and slaves that have heard each other. */
function group(slaves: number, seed = 1, more: object = {}): { wire: VirtualWire; master: Node; slaves: Node[] } {
  const wire = new VirtualWire(seededRandom(seed));
  const master = wire.add(peer('master'), { ...options, ...more });
  const others = Array.from({ length: slaves }, (_, index) => wire.add(peer(`s${index}`), { ...options, ...more }));
  for (const node of wire.nodes) sendAll(wire, node, leave);
  wire.run(1);
  for (const node of wire.nodes) node.received.length = 0;
  return { wire, master, slaves: others };
}

describe('small messages', () => {
  test('go to the group in one datagram, and come with sender, data set and epoch', () => {
    const { wire, master, slaves } = group(2);
    const before = master.endpoint.counters.datagramsSent;
    sendAll(wire, master, announce(1, 300));
    sendAll(wire, master, announce(2, 300), 'routes');
    sendAll(wire, master, leave);
    wire.run(10);
    expect(master.endpoint.counters.datagramsSent - before).toBe(1);
    for (const slave of slaves) {
      expect(
        slave.received.map((envelope) => [envelope.from, envelope.dataSet, envelope.epoch, envelope.message.kind]),
      ).toEqual([
        [master.peer, 'prices', epoch, 'announce'],
        [master.peer, 'routes', epoch, 'announce'],
        [master.peer, 'prices', epoch, 'leave'],
      ]);
    }
    expect(master.received).toEqual([]);
    expect(master.endpoint.counters.ownLoopedBack).toBeGreaterThan(0);
  });

  test('are spread over several datagrams when one is full, none longer than allowed', () => {
    const { wire, master, slaves } = group(1);
    const lengths: number[] = [];
    wire.tap = (_to, bytes) => lengths.push(bytes.length) > 0;
    for (let version = 1; version <= 20; version += 1) sendAll(wire, master, announce(version, 400));
    wire.run(10);
    expect(lengths.length).toBeLessThan(20);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(options.maxDatagramBytes);
    expect(arrived(slaves[0] ?? master).map(({ version }) => version)).toEqual(
      Array.from({ length: 20 }, (_, at) => at + 2),
    );
  });

  test('a unicast reaches its peer alone, where it was last heard', () => {
    const {
      wire,
      master,
      slaves: [first, second],
    } = group(2);
    if (first === undefined || second === undefined) throw new Error('no slaves');
    master.endpoint.send({ to: first.peer, dataSet: 'prices', epoch, message: leave }, wire.nowMs);
    wire.run(10);
    expect(first.received).toHaveLength(1);
    expect(second.received).toEqual([]);
    expect(master.endpoint.addressOf(first.peer)).toBe(first.address);
  });

  test('to a peer never heard is counted and dropped, not multicast', () => {
    const { wire, master, slaves } = group(1);
    master.endpoint.send({ to: peer('stranger'), dataSet: 'prices', epoch, message: leave }, wire.nowMs);
    expect(master.endpoint.takeDatagrams(wire.nowMs)).toEqual([]);
    expect(master.endpoint.counters.undeliverable).toBe(1);
    expect(master.endpoint.addressOf(peer('stranger'))).toBeNull();
    expect(slaves[0]?.received).toEqual([]);
  });

  test("a datagram exactly as long as allowed isn't cut; one byte more makes fragments", () => {
    for (const [over, fragments] of [
      [0, 0],
      [1, 2],
    ] as const) {
      const { wire, master, slaves } = group(1);
      const packer = new Packer(master.peer, options.maxDatagramBytes);
      const room = packer.capacity(packer.context('prices', epoch)) - encodeBody(announce(1, 1000)).length + 1000;
      sendAll(wire, master, announce(1, room + over));
      wire.run(10);
      expect(master.endpoint.counters.fragmentsSent).toBe(fragments);
      expect(arrived(slaves[0] ?? master)).toEqual([{ version: 2, intact: true }]);
    }
  });

  test('options that make no sense are refused by code', () => {
    expect(() => new Endpoint({ self: peer('a'), maxDatagramBytes: 100, windowBytes: 1 })).toThrow(LockstepError);
    expect(() => new Endpoint({ self: peer('a'), maxDatagramBytes: Number.NaN, windowBytes: 1 })).toThrow(
      LockstepError,
    );
  });
});

describe('addresses', () => {
  function hear(endpoint: Endpoint, from: Peer, address: string, nowMs: number): Envelope[] {
    const other = new Endpoint({ self: from, ...options });
    other.send({ to: 'all', dataSet: 'prices', epoch, message: leave }, nowMs);
    return other.takeDatagrams(nowMs).flatMap(({ bytes }) => endpoint.receive(bytes, address, nowMs));
  }

  test('a restart moves the peer, a late packet of the start before does not move it back', () => {
    const endpoint = new Endpoint({ self: peer('master'), ...options });
    hear(endpoint, peer('s', 1), '127.0.0.1:1', 0);
    hear(endpoint, peer('s', 2), '127.0.0.1:2', 1);
    expect(endpoint.addressOf(peer('s', 2))).toBe('127.0.0.1:2');
    hear(endpoint, peer('s', 1), '127.0.0.1:3', 2);
    expect(endpoint.addressOf(peer('s', 2))).toBe('127.0.0.1:2');
    expect(endpoint.counters.oldIncarnation).toBe(1);
    // The older start, perhaps a cloned store, can be told so where it is.
    expect(endpoint.addressOf(peer('s', 1))).toBe('127.0.0.1:3');
  });

  test('the table is bounded, and the one not heard for longest leaves', () => {
    const endpoint = new Endpoint({ self: peer('master'), ...options, limits: { maxPeers: 10 } });
    hear(endpoint, peer('first'), '127.0.0.1:1', 0);
    for (let index = 0; index < 30; index += 1) {
      hear(endpoint, peer(`p${index}`), `127.0.0.1:${index + 10}`, 1000 * (index + 1));
      hear(endpoint, peer('first'), '127.0.0.1:1', 1000 * (index + 1) + 600);
    }
    expect(endpoint.held.peers).toBe(10);
    expect(endpoint.addressOf(peer('first'))).toBe('127.0.0.1:1');
    expect(endpoint.addressOf(peer('p0'))).toBeNull();
  });
});

describe('fragments', () => {
  test('of a large message arrive as one message, and nothing is asked for', () => {
    const { wire, master, slaves } = group(3);
    sendAll(wire, master, announce(1, 1_000_000));
    wire.run(500);
    for (const slave of slaves) {
      expect(arrived(slave)).toEqual([{ version: 2, intact: true }]);
      expect(slave.endpoint.counters.repairsRequested).toBe(0);
      expect(slave.endpoint.held.reassemblyBytes).toBe(0);
    }
    expect(master.endpoint.counters.fragmentsResent).toBe(0);
  });

  test('a lost one is asked for alone, by unicast, and repaired by unicast', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    const sent: string[] = [];
    let seen = 0;
    wire.tap = (to) => {
      sent.push(to);
      seen += 1;
      return seen !== 5;
    };
    sendAll(wire, master, announce(1, 20_000));
    wire.run(100);
    expect(arrived(slave)).toEqual([{ version: 2, intact: true }]);
    expect(slave.endpoint.counters.repairsRequested).toBe(1);
    expect(master.endpoint.counters.fragmentsResent).toBe(1);
    expect(sent.slice(-2)).toEqual([master.address, slave.address]);
  });

  test('the last one lost is noticed without anything following it, within some milliseconds', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    const total = Math.ceil(20_000 / 1250);
    let seen = 0;
    wire.tap = (to) => to !== 'group' || (seen += 1) < total;
    sendAll(wire, master, announce(1, 20_000));
    wire.run(wire.nowMs + 12);
    expect(arrived(slave)).toEqual([{ version: 2, intact: true }]);
  });

  test('lost to several at once, it is multicast once', () => {
    const { wire, master, slaves } = group(3);
    let seen = 0;
    wire.tap = (to) => to !== 'group' || (seen += 1) !== 4;
    sendAll(wire, master, announce(1, 20_000));
    wire.run(100);
    for (const slave of slaves) expect(arrived(slave)).toEqual([{ version: 2, intact: true }]);
    expect(master.endpoint.counters.repairsAsked).toBe(3);
    expect(master.endpoint.counters.fragmentsResent).toBe(1);
  });

  test('reordering within the tolerance asks for nothing', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    wire.fate = { loss: 0, duplication: 0, delayMs: [0.1, 0.9] };
    sendAll(wire, master, announce(1, 200_000));
    wire.run(200);
    expect(arrived(slave)).toEqual([{ version: 2, intact: true }]);
    expect(slave.endpoint.counters.repairsRequested).toBe(0);
  });

  test('duplicates, even long after the end, give the message once', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    const copies: Uint8Array[] = [];
    wire.tap = (_to, bytes) => copies.push(Uint8Array.from(bytes)) > 0;
    wire.fate = { loss: 0, duplication: 1, delayMs: [0.1, 5] };
    sendAll(wire, master, announce(1, 20_000));
    wire.run(100);
    for (const copy of copies) slave.received.push(...slave.endpoint.receive(copy, master.address, wire.nowMs));
    expect(arrived(slave)).toEqual([{ version: 2, intact: true }]);
    expect(slave.endpoint.counters.duplicateFragments).toBeGreaterThan(copies.length - 2);
    expect(slave.endpoint.held.reassemblyBytes).toBe(0);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'loss, duplication and reordering together: all arrive intact, once (seed %i)',
    (seed) => {
      const { wire, master, slaves } = group(3, seed);
      wire.fate = { loss: 0.2, duplication: 0.1, delayMs: [0.1, 8] };
      for (let version = 1; version <= 5; version += 1) sendAll(wire, master, announce(version, 30_000 * version));
      wire.run(8000);
      for (const slave of slaves) {
        expect(arrived(slave).sort((a, b) => a.version - b.version)).toEqual(
          [2, 3, 4, 5, 6].map((version) => ({ version, intact: true })),
        );
      }
    },
  );

  test('the same seed gives the same datagrams, byte for byte', () => {
    const runs = [0, 1].map(() => {
      const { wire, master } = group(3, 42);
      const all: Uint8Array[] = [];
      wire.tap = (_to, bytes) => all.push(bytes) > 0;
      wire.fate = { loss: 0.1, duplication: 0.1, delayMs: [0.1, 8] };
      sendAll(wire, master, announce(1, 200_000));
      wire.run(3000);
      return digestOf(Buffer.concat(all));
    });
    expect(runs[0]).toBe(runs[1]);
  });

  test('a partial message whose sender fell silent is dropped after bounded requests', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    let seen = 0;
    wire.tap = () => (seen += 1) <= 3;
    sendAll(wire, master, announce(1, 20_000));
    wire.run(1500);
    expect(arrived(slave)).toEqual([]);
    expect(slave.endpoint.counters.reassembliesGivenUp).toBe(1);
    expect(slave.endpoint.counters.repairsRequested).toBeLessThan(15);
    expect(slave.endpoint.held.reassemblyBytes).toBe(0);
    expect(slave.endpoint.nextWakeMs()).toBe(Infinity);
  });

  test('a small message about the same data does not overtake them; a heartbeat may', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1, 1, { windowBytes: 64 * 1024, limits: { initialRate: 10_000 } });
    if (slave === undefined) throw new Error('no slave');
    sendAll(wire, master, announce(1, 200_000));
    sendAll(wire, master, announce(2, 10));
    sendAll(wire, master, announce(7, 10), 'routes');
    sendAll(wire, master, leave);
    wire.run(200);
    expect(
      slave.received.map(({ message }) => (message.kind === 'announce' ? message.to.version : message.kind)),
    ).toEqual([8, 'leave', 2, 3]);
  });

  test('a request for what was never sent, or by a stranger for somebody else, is counted and nothing more', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    let seen = 0;
    wire.tap = (to) => to !== 'group' || (seen += 1) <= 3;
    sendAll(wire, master, announce(1, 20_000));
    wire.run(3);
    const restarted = wire.add(peer('master', 2), options);
    wire.tap = (to) => to === master.address;
    const requests: Uint8Array[] = [];
    for (const { bytes } of slave.endpoint.takeDatagrams(wire.nowMs + 10)) requests.push(bytes);
    expect(requests).toHaveLength(1);
    for (const bytes of requests) expect(restarted.endpoint.receive(bytes, slave.address, wire.nowMs)).toEqual([]);
    expect(restarted.endpoint.counters.repairsUnserved).toBe(1);
    expect(restarted.endpoint.takeDatagrams(wire.nowMs + 100)).toEqual([]);
  });
});

describe('pace', () => {
  test('a burst stays within its share of the smallest window that a status told', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    sendAll(wire, slave, status(128 * 1024));
    wire.run(5);
    sendAll(wire, master, announce(1, 1_000_000));
    const burst = master.endpoint.takeDatagrams(wire.nowMs).reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(burst).toBeGreaterThan(50 * 1024);
    expect(burst).toBeLessThanOrEqual(64 * 1024);
    const wake = master.endpoint.nextWakeMs();
    expect(wake).toBeGreaterThan(wire.nowMs);
    expect(master.endpoint.takeDatagrams(wake).length).toBeGreaterThan(0);
  });

  test('no status makes the sender crawl', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    sendAll(wire, slave, status(1));
    wire.run(5);
    sendAll(wire, master, announce(1, 1_000_000));
    expect(master.endpoint.takeDatagrams(wire.nowMs).length).toBeGreaterThan(10);
  });

  test('reported loss halves the rate, quiet raises it again', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    const before = master.endpoint.held.bytesPerMs;
    wire.fate = { loss: 0.1, duplication: 0, delayMs: [0.1, 0.1] };
    for (let version = 1; version <= 10; version += 1) {
      sendAll(wire, master, announce(version, 200_000));
      wire.run(wire.nowMs + 60);
    }
    const after = master.endpoint.held.bytesPerMs;
    expect(after).toBeLessThan(before / 2);
    wire.fate = { loss: 0, duplication: 0, delayMs: [0.1, 0.1] };
    for (let step = 0; step < 20; step += 1) {
      wire.run(wire.nowMs + 150);
      sendAll(wire, master, announce(20 + step, 10_000));
    }
    expect(master.endpoint.held.bytesPerMs).toBeGreaterThan(after * 2);
  });
});

describe('bounds (G10)', () => {
  /** First fragments of many messages, none ever completed. */
  function beginnings(from: Peer, count: number, size: number): Uint8Array[] {
    const packer = new Packer(from, 1400);
    const context = packer.context('prices', epoch);
    const body = encodeBody(announce(1, size));
    return Array.from({ length: count }, (_, id) => {
      const message: EncodedMessage = {
        id,
        ordinal: messageOrdinals.announce,
        context,
        body,
        fragmentCount: fragmentCount(body.length, packer.capacity(context)),
      };
      return packer.fragment(message, 0);
    });
  }

  test('partial messages of one sender, and of all, are bounded in bytes and number; others keep theirs', () => {
    const limits = {
      reassemblyBytes: 4_000_000,
      reassemblyBytesPerSender: 3_000_000,
      maxPartials: 50,
      maxPartialsPerSender: 20,
      maxSenders: 8,
    };
    const slave = new Endpoint({ self: peer('slave'), ...options, limits });
    const good = beginnings(peer('good'), 1, 20_000);
    for (const bytes of good) slave.receive(bytes, '127.0.0.1:1', 0);
    for (let sender = 0; sender < 6; sender += 1) {
      for (const bytes of beginnings(peer(`flood${sender}`), 40, 900_000)) slave.receive(bytes, '127.0.0.1:2', 0);
      expect(slave.held.reassemblyBytes).toBeLessThanOrEqual(limits.reassemblyBytes);
    }
    expect(slave.counters.reassembliesEvicted).toBeGreaterThan(200);
    // The one of the quiet sender is still wanted: its request is among those that come due.
    expect(slave.held.reassemblyBytes).toBeGreaterThan(20_000);
    const requested = slave.takeDatagrams(20).map(({ to }) => to);
    expect(requested).toContain('127.0.0.1:1');
    slave.tick(5000);
    expect(slave.held.reassemblyBytes).toBe(0);
  });

  test('what waits and what is kept for repairs are bounded', () => {
    const limits = { maxQueuedBytes: 1_000_000, resendBytes: 500_000, resendAgeMs: 1000 };
    const { wire, master } = group(1, 1, { limits });
    for (let version = 1; version <= 30; version += 1) sendAll(wire, master, announce(version, 100_000));
    expect(master.endpoint.held.queuedBytes).toBeLessThanOrEqual(limits.maxQueuedBytes);
    expect(master.endpoint.held.resendBytes).toBeLessThanOrEqual(limits.resendBytes + 101_000);
    expect(master.endpoint.counters.queueFull).toBeGreaterThan(15);
    wire.run(5000);
    expect(master.endpoint.held.queuedBytes).toBe(0);
    expect(master.endpoint.held.resendBytes).toBe(0);
    expect(master.endpoint.nextWakeMs()).toBe(Infinity);
  });

  test('a message larger than the wire allows is counted and dropped', () => {
    const { wire, master } = group(1);
    sendAll(wire, master, announce(1, 9 * 1024 * 1024));
    expect(master.endpoint.counters.oversized).toBe(1);
    expect(master.endpoint.takeDatagrams(wire.nowMs)).toEqual([]);
  });

  test('a flood of requests for the same fragments is answered once', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    let seen = 0;
    let request: Uint8Array | null = null;
    wire.tap = (to, bytes) => {
      if (to === master.address) request = Uint8Array.from(bytes);
      return to === 'group' && (seen += 1) !== 2;
    };
    sendAll(wire, master, announce(1, 20_000));
    wire.run(10);
    if (request === null) throw new Error('nothing was asked for');
    for (let copy = 0; copy < 1000; copy += 1) master.endpoint.receive(request, slave.address, wire.nowMs);
    expect(master.endpoint.takeDatagrams(wire.nowMs + 2)).toHaveLength(1);
    for (let copy = 0; copy < 1000; copy += 1) master.endpoint.receive(request, slave.address, wire.nowMs + 3);
    expect(master.endpoint.takeDatagrams(wire.nowMs + 4)).toEqual([]);
  });
});

describe('what is refused (G11)', () => {
  test('is counted by reason, and never reaches a core', () => {
    const {
      wire,
      master,
      slaves: [slave],
    } = group(1);
    if (slave === undefined) throw new Error('no slave');
    sendAll(wire, master, announce(1, 300));
    const [datagram] = master.endpoint.takeDatagrams(wire.nowMs);
    if (datagram === undefined) throw new Error('nothing was sent');
    const flipped = Uint8Array.from(datagram.bytes);
    flipped[200] = (flipped[200] ?? 0) ^ 1;
    const from = master.address;
    for (const bytes of [
      flipped,
      datagram.bytes.subarray(0, 40),
      Buffer.from('hello, is anybody there?'),
      new Uint8Array(0),
    ]) {
      expect(slave.endpoint.receive(bytes, from, wire.nowMs)).toEqual([]);
    }
    expect(slave.endpoint.counters.rejected).toMatchObject({ 'bad-checksum': 1, truncated: 2, 'bad-magic': 1 });
  });

  test('fragments that contradict each other, and a whole that is no message', () => {
    const slave = new Endpoint({ self: peer('slave'), ...options });
    const packer = new Packer(peer('odd'), 1400);
    const context = packer.context('prices', epoch);
    const body = encodeBody(announce(1, 2000));
    const bytes = new Uint8Array(body.length);
    copyBody(body, { from: 0, length: body.length }, bytes, 0);
    bytes[0] = 0xc1;
    const broken: EncodedMessage = {
      id: 5,
      ordinal: messageOrdinals.announce,
      context,
      body: { parts: [bytes], length: bytes.length },
      fragmentCount: 2,
    };
    slave.receive(packer.fragment(broken, 0), 'a:1', 0);
    expect(slave.receive(packer.fragment({ ...broken, ordinal: messageOrdinals.prepare }, 1), 'a:1', 0)).toEqual([]);
    expect(slave.counters.rejected['bad-frame']).toBe(1);
    expect(slave.receive(packer.fragment(broken, 1), 'a:1', 0)).toEqual([]);
    expect(slave.counters.rejected['bad-body']).toBe(1);
    expect(slave.held.reassemblyBytes).toBe(0);
  });
});
