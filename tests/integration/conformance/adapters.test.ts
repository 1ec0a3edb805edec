import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { NodeId } from '../../../shared/protocol/kernel/ids.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import { formatAddress } from '../../../shared/runtime/addresses.js';
import { SystemClock } from '../../../shared/runtime/clock.js';
import type { Store, Transport } from '../../../shared/runtime/ports.js';
import { openStore } from '../../../shared/runtime/store-open.js';
import { openTcpBulk, type TcpBulk } from '../../../shared/runtime/tcp-bulk.js';
import { openUdpMulticast } from '../../../shared/runtime/udp-multicast.js';
import { openUdpUnicast, type UdpUnicast } from '../../../shared/runtime/udp-unicast.js';
import { testKeys } from '../sim/keys.js';
import { bulkConformance } from './bulk-conformance.js';
import { clockConformance } from './clock-conformance.js';
import { realTime } from './harness.js';
import { storeConformance } from './store-conformance.js';
import { transportConformance } from './transport-conformance.js';

const clock = new SystemClock();
const log = { record: () => undefined };

async function freePort(host: '127.0.0.1' | '::1'): Promise<number> {
  const socket = createSocket(host === '::1' ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

clockConformance('system', async () => ({ time: realTime, clock }));

test('while an exact time is near, datagrams are read as ever', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const order: string[] = [];
  socket.on('message', () => order.push('datagram'));
  try {
    clock.exactlyAt(clock.monotonicMs() + 1.5, () => order.push('instant'));
    // In the kernel's buffer when the call returns, and the instant is more than a turn of the event loop away.
    socket.send('x', socket.address().port, '127.0.0.1');
    await realTime.until(() => order.length === 2, 'both');
    expect(order).toEqual(['datagram', 'instant']);
  } finally {
    socket.close();
  }
});

transportConformance('UDP multicast', async () => {
  const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort('127.0.0.1')}`;
  const nodes: Transport[] = [];
  return {
    time: realTime,
    async node() {
      const node = await openUdpMulticast({ group, interfaceAddress: '127.0.0.1', log });
      nodes.push(node);
      return node;
    },
    deadAddress: async () => formatAddress('127.0.0.1', await freePort('127.0.0.1')),
    async close() {
      await Promise.all(nodes.map((node) => node.close()));
    },
  };
});

for (const host of ['127.0.0.1', '::1'] as const) {
  transportConformance(`UDP unicast, ${host}`, async () => {
    const nodes: UdpUnicast[] = [];
    return {
      time: realTime,
      async node() {
        const node = await openUdpUnicast({
          interfaceAddress: host,
          peers: nodes.map(({ address }) => address),
          log,
          clock,
        });
        for (const earlier of nodes) earlier.addPeer(node.address);
        nodes.push(node);
        return node;
      },
      deadAddress: async () => formatAddress(host, await freePort(host)),
      async close() {
        await Promise.all(nodes.map((node) => node.close()));
      },
    };
  });
}

for (const [name, keys] of [
  ['TCP', undefined],
  ['TLS', () => testKeys('master')],
] as const) {
  bulkConformance(name, async () => {
    const nodes: TcpBulk[] = [];
    return {
      time: realTime,
      async node() {
        const bulk = await openTcpBulk({ host: '127.0.0.1', clock, ...(keys === undefined ? {} : { keys }) });
        nodes.push(bulk);
        return { bulk, address: formatAddress('127.0.0.1', bulk.port) };
      },
      async close() {
        await Promise.all(nodes.map((node) => node.close()));
      },
    };
  });
}

storeConformance('LMDB', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep-store-'));
  const stores: Store[] = [];
  return {
    time: realTime,
    async open() {
      const { store } = await openStore({ folder, node: 's1' as NodeId, role: 'slave', random: seededRandom(1) });
      stores.push(store);
      return store;
    },
    async close() {
      await Promise.all(stores.map((store) => store.close()));
      await rm(folder, { recursive: true, force: true });
    },
  };
});
