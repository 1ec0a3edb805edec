import { describe, expect, test } from 'vitest';
import type { Peer } from '../kernel/ids.js';
import { copyBody } from '../wire/body.js';
import { encodeBody } from '../wire/codec.js';
import { fragmentCount } from '../wire/datagram.js';
import { messageOrdinals } from '../wire/registry.js';
import { Endpoint } from './endpoint.js';
import { Packer, type EncodedMessage } from './packer.js';

import { announce, epoch, group, options, peer, sendAll, status } from '../../../tests/support/stream-group.js';
import { ChecksumSeal } from '../wire/seal.js';

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
    const packer = new Packer(new ChecksumSeal(from), 1400);
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
    slave.tick(20);
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
    const packer = new Packer(new ChecksumSeal(peer('odd')), 1400);
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
