import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { limits } from '../protocol/kernel/limits.js';
import { formatAddress } from './addresses.js';
import { findInterface } from './interfaces.js';
import type { Clock, EventRecord, Transport } from './ports.js';
import { openUdpMulticast } from './udp-multicast.js';
import { openUdpUnicast } from './udp-unicast.js';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const log = { record: () => undefined };
const interfaceAddress = '127.0.0.1';

async function socketAt(host = '127.0.0.1', port = 0): Promise<Socket> {
  const socket = createSocket('udp4');
  open.push(socket);
  const listening = once(socket, 'listening');
  socket.bind(port, host);
  await listening;
  return socket;
}

/** Waits for a condition, with a deadline. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`${what}: not in time`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function keep<One extends Transport>(transport: One): One {
  open.push(transport);
  return transport;
}

const fixedClock = (nowMs: () => number): Clock => ({
  monotonicMs: nowMs,
  wallMs: nowMs,
  at: () => () => undefined,
  exactlyAt: () => () => undefined,
  soon: () => undefined,
});

describe('opening multicast', () => {
  test('a group that is none is named', async () => {
    for (const group of [
      '239.255.42.1',
      '10.0.0.1:7401',
      '239.255.42.1:0',
      '[ff12::1]:7401',
      'group:1',
      '240.0.0.1:1',
    ]) {
      await expect(openUdpMulticast({ group, interfaceAddress, log })).rejects.toMatchObject({
        code: 'bad-option',
        message: expect.stringContaining(`'${group}'`) as unknown,
      });
    }
  });

  test("an interface that isn't here is named, with those that are", async () => {
    for (const address of ['203.0.113.9', 'eth9', '']) {
      const opening = openUdpMulticast({ group: '239.255.42.1:7401', interfaceAddress: address, log });
      await expect(opening).rejects.toMatchObject({
        code: 'bad-option',
        message: expect.stringMatching(new RegExp(`interface '${address}'.*127\\.0\\.0\\.1 \\(lo`)) as unknown,
      });
    }
  });

  test("a port that is taken is an error of its own, for the group's and for the node's", async () => {
    const group = '239.255.42.77';
    const taken = await socketAt(group);
    const { port } = taken.address();
    const opening = openUdpMulticast({ group: `${group}:${port}`, interfaceAddress, log });
    await expect(opening).rejects.toMatchObject({
      code: 'address-in-use',
      message: expect.stringContaining(`group ${group}:${port}`) as unknown,
    });
    const own = (await socketAt()).address().port;
    const second = openUdpMulticast({ group: `${group}:${port}`, interfaceAddress, port: own, log });
    await expect(second).rejects.toMatchObject({
      code: 'address-in-use',
      message: expect.stringContaining(`port 127.0.0.1:${own}`) as unknown,
    });
    // Nothing stayed open: the same options work once the port is free.
    await new Promise<void>((resolve) => taken.close(resolve));
    open.splice(open.indexOf(taken), 1);
    keep(await openUdpMulticast({ group: `${group}:${port}`, interfaceAddress, log }));
  });

  test('a receive buffer that the system clamps is told, with the remedy; one that is granted is not', async () => {
    const events: EventRecord[] = [];
    const recording = { record: (event: EventRecord) => events.push(event) };
    const port = (await socketAt()).address().port;
    const small = keep(
      await openUdpMulticast({
        group: `239.255.42.78:${port}`,
        interfaceAddress,
        receiveBufferBytes: 65_536,
        log: recording,
      }),
    );
    expect(small.receiveBufferBytes).toBe(65_536);
    expect(events).toEqual([]);
    const asked = 2 ** 30;
    const large = keep(
      await openUdpMulticast({
        group: `239.255.42.78:${port}`,
        interfaceAddress,
        receiveBufferBytes: asked,
        log: recording,
      }),
    );
    expect(events).toEqual([
      {
        name: 'receive-buffer-clamped',
        level: 'warn',
        fields: {
          requestedBytes: asked,
          grantedBytes: large.receiveBufferBytes,
          remedy: expect.stringContaining(String(asked)) as unknown,
        },
      },
    ]);
  });
});

describe('datagram size', () => {
  test("follows the interface's MTU, up to what pays", () => {
    for (const [name, addresses] of Object.entries(networkInterfaces())) {
      for (const { address, family } of addresses ?? []) {
        if (address.startsWith('fe80')) continue;
        const mtu = Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8'));
        expect(findInterface(address, 'interface')).toMatchObject({
          name,
          maxDatagramBytes: Math.min(32_768, mtu - (family === 'IPv4' ? 28 : 48)),
        });
      }
    }
    expect(findInterface('127.8.9.10', 'interface')).toMatchObject({ isLoopback: true, maxDatagramBytes: 32_768 });
  });
});

describe('unicast fan-out', () => {
  test('what is no peer is named', async () => {
    const clock = fixedClock(() => 0);
    for (const peer of ['nobody', '127.0.0.1:0', '127.0.0.1:x', '[::1]:5']) {
      await expect(openUdpUnicast({ interfaceAddress, peers: [peer], log, clock })).rejects.toMatchObject({
        code: 'bad-option',
        message: expect.stringContaining(`'${peer}'`) as unknown,
      });
    }
    const tooMany = new Array<string>(limits.maxMembers + 1).fill('127.0.0.1:9');
    await expect(openUdpUnicast({ interfaceAddress, peers: tooMany, log, clock })).rejects.toMatchObject({
      code: 'bad-option',
    });
  });

  test('a name is looked up', async () => {
    const peer = await socketAt();
    const node = keep(
      await openUdpUnicast({
        interfaceAddress,
        peers: [`localhost:${peer.address().port}`],
        log,
        clock: fixedClock(() => 0),
      }),
    );
    const heard = once(peer, 'message');
    node.send(Buffer.from('hello'), 'group');
    expect(String((await heard)[0])).toBe('hello');
  });

  test('whoever was heard is a peer while it is heard, and not for ever; a configured one stays', async () => {
    let nowMs = 0;
    const configured = await socketAt();
    const stranger = await socketAt();
    const node = keep(
      await openUdpUnicast({
        interfaceAddress,
        peers: [formatAddress('127.0.0.1', configured.address().port)],
        log,
        clock: fixedClock(() => nowMs),
      }),
    );
    const heard = { configured: 0, stranger: 0 };
    configured.on('message', () => (heard.configured += 1));
    stranger.on('message', () => (heard.stranger += 1));
    const group = async (count: number): Promise<void> => {
      node.send(Buffer.from('to all'), 'group');
      await until(() => heard.configured === count, 'the configured peer');
    };
    await group(1);
    expect(heard.stranger).toBe(0);
    stranger.send('here I am', Number(node.address.split(':')[1]), '127.0.0.1');
    await until(() => node.counters.receivedDatagrams === 1, 'the stranger');
    await group(2);
    await until(() => heard.stranger === 1, 'the learned peer');
    nowMs = 50_000;
    await group(3);
    await until(() => heard.stranger === 2, 'the learned peer, still');
    nowMs = 60_001;
    await group(4);
    node.send(Buffer.from('direct'), formatAddress('127.0.0.1', stranger.address().port));
    await until(() => heard.stranger === 3, 'only what was sent to it');
    expect(node.counters.sentDatagrams).toBe(7);
  });

  test("what can't be sent is counted", async () => {
    const node = keep(await openUdpUnicast({ interfaceAddress, peers: [], log, clock: fixedClock(() => 0) }));
    node.send(new Uint8Array(node.maxDatagramBytes + 1), '127.0.0.1:9');
    node.send(new Uint8Array(1), 'nowhere');
    // From a loopback address there is no way there.
    node.send(new Uint8Array(1), '203.0.113.1:9');
    await until(() => node.counters.sendErrors === 1, 'the refusal');
    expect(node.counters).toMatchObject({ oversizeRefused: 1, badAddressRefused: 1, sentDatagrams: 1 });
  });
});
