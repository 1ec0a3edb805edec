import { describe, expect, test } from 'vitest';
import { digestOf } from '../kernel/digest.js';
import { LockstepError } from '../kernel/errors.js';
import type { Peer } from '../kernel/ids.js';
import { encodeBody } from '../wire/codec.js';
import type { Envelope, Message } from '../wire/messages.js';
import { Endpoint } from './endpoint.js';
import { Packer } from './packer.js';

import { announce, arrived, epoch, group, leave, options, peer, sendAll } from '../../../tests/support/stream-group.js';
import { ChecksumSeal } from '../wire/seal.js';

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
      const packer = new Packer(new ChecksumSeal(master.peer), options.maxDatagramBytes);
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

  const losses: readonly [string, (index: number, total: number) => boolean][] = [
    ['its end', (index, total) => index >= total - 3],
    ['something in it', (index) => index === 4],
    ['everything but its beginning', (index) => index > 0],
  ];
  test.each(losses)(
    'to one alone is repaired to that one alone, with %s lost, and asked for by nobody else (G10)',
    (_name, loses) => {
      const { wire, master, slaves } = group(3);
      const [one, ...others] = slaves;
      if (one === undefined) throw new Error('no slave');
      const total = Math.ceil(40_000 / 1250);
      const sentToGroup: string[] = [];
      let seen = 0;
      wire.tap = (to) => {
        if (to === 'group') sentToGroup.push(to);
        if (to !== one.address) return true;
        seen += 1;
        return seen > total || !loses(seen - 1, total);
      };
      const message = announce(1, 40_000);
      master.endpoint.send({ to: one.peer, dataSet: 'prices', epoch, message }, wire.nowMs);
      wire.run(500);
      expect(arrived(one)).toEqual([{ version: 2, intact: true }]);
      expect(sentToGroup).toEqual([]);
      for (const other of others) {
        expect(other.endpoint.counters.fragmentsReceived).toBe(0);
        expect(other.endpoint.counters.repairsRequested).toBe(0);
      }
      expect(master.endpoint.counters.fragmentsResent).toBeLessThanOrEqual(total + 1);
    },
  );

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
    slave.endpoint.tick(wire.nowMs + 10);
    for (const { bytes } of slave.endpoint.takeDatagrams(wire.nowMs + 10)) requests.push(bytes);
    expect(requests).toHaveLength(1);
    for (const bytes of requests) expect(restarted.endpoint.receive(bytes, slave.address, wire.nowMs)).toEqual([]);
    expect(restarted.endpoint.counters.repairsUnserved).toBe(1);
    expect(restarted.endpoint.takeDatagrams(wire.nowMs + 100)).toEqual([]);
  });
});

describe('an end that is asked for by a receiver that is slow', () => {
  /** A message of which the receiver has read the first ten fragments when its patience ends. */
  function slowReceiver(): {
    master: Endpoint;
    slave: Endpoint;
    datagrams: readonly Uint8Array[];
    request: Uint8Array;
  } {
    const master = new Endpoint({ self: peer('master'), ...options });
    const slave = new Endpoint({ self: peer('slave'), ...options });
    slave.receive(greeting(master), 'm:1', 0);
    master.receive(greeting(slave), 's:1', 0);
    master.send({ to: 'all', dataSet: 'prices', epoch, message: announce(1, 40_000) }, 0);
    const datagrams = master.takeDatagrams(0).map(({ bytes }) => bytes);
    for (const bytes of datagrams.slice(0, 10)) slave.receive(bytes, 'm:1', 1);
    return { master, slave, datagrams, request: requestAt(slave, 6) };
  }

  function greeting(from: Endpoint): Uint8Array {
    from.send({ to: 'all', dataSet: 'prices', epoch, message: leave }, 0);
    return from.takeDatagrams(0)[0]?.bytes ?? new Uint8Array();
  }

  function requestAt(slave: Endpoint, nowMs: number): Uint8Array {
    slave.tick(nowMs);
    const [request, ...more] = slave.takeDatagrams(nowMs);
    expect(more).toEqual([]);
    if (request === undefined) throw new Error('nothing is asked for');
    return request.bytes;
  }

  function answerAt(master: Endpoint, nowMs: number): { readonly to: string; readonly bytes: Uint8Array }[] {
    master.tick(nowMs);
    return master.takeDatagrams(nowMs);
  }

  test('costs one fragment to the group and no speed; what was only late completes the message', () => {
    const { master, slave, datagrams, request } = slowReceiver();
    const rate = master.held.bytesPerMs;
    master.receive(request, 's:1', 60);
    const answer = answerAt(master, 62);
    expect(answer.map(({ to }) => to)).toEqual(['group']);
    const rest = [...datagrams.slice(10), ...answer.map(({ bytes }) => bytes)];
    const envelopes = rest.flatMap((bytes) => slave.receive(bytes, 'm:1', 63));
    expect(envelopes).toHaveLength(1);
    expect(slave.counters.repairsRequested).toBe(1);
    master.tick(400);
    expect(master.held.bytesPerMs).toBeGreaterThanOrEqual(rate);
  });

  test('costs nothing while the message is still leaving', () => {
    const { master, request } = slowReceiver();
    master.datagramsLeft(58);
    master.receive(request, 's:1', 60);
    expect(answerAt(master, 62)).toEqual([]);
  });

  test('is sent whole when it is asked for again without any progress', () => {
    const { master, slave, datagrams, request } = slowReceiver();
    master.receive(request, 's:1', 8);
    answerAt(master, 10);
    master.receive(requestAt(slave, 20), 's:1', 21);
    const answer = answerAt(master, 23);
    expect(answer).toHaveLength(datagrams.length - 10);
    expect(answer.flatMap(({ bytes }) => slave.receive(bytes, 'm:1', 24))).toHaveLength(1);
  });

  test('is not asked for in the turn of another datagram, since more may wait in the sockets', () => {
    const { master, slave, datagrams } = slowReceiver();
    const before = slave.counters.repairsRequested;
    slave.receive(greeting(master), 'm:1', 200);
    expect(slave.takeDatagrams(200)).toEqual([]);
    expect(slave.counters.repairsRequested).toBe(before);
    expect(datagrams.slice(10).flatMap((bytes) => slave.receive(bytes, 'm:1', 200))).toHaveLength(1);
  });
});

/** Takes each datagram once, as one with keys does. */
class OnceSeal extends ChecksumSeal {
  readonly #taken = new Set<string>();

  override open(bytes: Uint8Array): ReturnType<ChecksumSeal['open']> {
    const text = Buffer.from(bytes).toString('latin1');
    if (this.#taken.has(text)) return 'replayed';
    this.#taken.add(text);
    return super.open(bytes);
  }
}

test('a master that sends by unicast what comes by multicast is told to stop, although the copies are replays', () => {
  const [self, address] = [peer('s1'), '10.0.0.1:7000'];
  const slave = new Endpoint({ ...options, self, seal: new OnceSeal(self), paths: { mode: 'auto' } });
  const master = new Endpoint({ ...options, self: peer('master') });
  const toMaster: string[] = [];
  for (let nowMs = 0; nowMs < 3000; nowMs += 500) {
    master.send({ to: 'all', dataSet: 'prices', epoch, message: heartbeat }, nowMs);
    for (const { bytes } of master.takeDatagrams(nowMs)) {
      slave.receive(bytes, address, nowMs, true);
      slave.receive(bytes, address, nowMs, false);
    }
    slave.tick(nowMs + 1);
    toMaster.push(...slave.takeDatagrams(nowMs + 1).map(({ to }) => to));
  }
  expect(slave.counters.rejected.replayed).toBe(6);
  expect(toMaster.length).toBeGreaterThan(0);
  expect(new Set(toMaster)).toEqual(new Set([address]));
});

const heartbeat: Message = {
  ...{ kind: 'heartbeat', sequence: 1, sentMs: 0, tip: null, lowestOpenRound: 1, openRounds: [], recentDecisions: [] },
  ...{ heal: 'nobody', leaseMs: 3000, nextInMs: 500, asks: false, acknowledged: [], arming: null },
};
