import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { platform } from 'node:os';
import { expect, test } from 'vitest';
import { keyValue as originals } from '../../../master/index.js';
import { keyValue as copies } from '../../../slave/index.js';
import { bindUdp } from '../../../shared/runtime/udp-socket.js';
import { KernelDrops, kernelDrops } from '../../../shared/runtime/kernel-drops.js';
import { Loopback, until } from './loopback.js';

test('a mixed group: who has no multicast gets copies by unicast, and the others none', async () => {
  await using loopback = await Loopback.start();
  const events: string[] = [];
  const master = await loopback.master();
  master.on('multicast-unreached', ({ fields }) => events.push(String(fields['node'])));
  const prices = await master.register('prices', originals<number>());
  const near = await loopback.slave('near');
  const far = await loopback.slave('far', { transport: 'unicast', peers: [master.address] });
  const nearCopy = await near.register('prices', copies<number>());
  const farCopy = await far.register('prices', copies<number>());
  await prices.dataSet.leading();
  await until(() => nearCopy.state === 'current' && farCopy.state === 'current', 'both are current');
  const outcome = await prices.change([{ put: ['a', 1] }], { voters: 'all' });
  expect(outcome.kind).toBe('committed');
  await until(() => farCopy.get('a') === 1 && nearCopy.get('a') === 1, 'both show the change');
  expect(master.network()).toMatchObject({ transport: 'auto', unreached: ['far'], unheard: [] });
  expect(near.network()).toMatchObject({ transport: 'auto', unreached: [], unheard: [] });
  expect(far.network().transport).toBe('unicast');
  expect(events).toEqual(['far']);
});

test('an interface of IPv6, which has no multicast here, is used by unicast at once, and that is said', async () => {
  await using loopback = await Loopback.start();
  const names: string[] = [];
  const log = { record: ({ name }: { readonly name: string }) => void names.push(name) };
  const master = await loopback.master({ interface: '::1', log });
  expect(names).toContain('multicast-unavailable');
  expect(master.network().transport).toBe('unicast');
});

test('a transport that is none, and peers that nobody would send to, are refused by name', async () => {
  await using loopback = await Loopback.start();
  await expect(loopback.master({ transport: 'pigeon' as 'auto' })).rejects.toThrow(/transport 'pigeon'/);
  await expect(loopback.master({ transport: 'multicast', peers: ['127.0.0.1:1'] })).rejects.toThrow(
    /peers 127.0.0.1:1/,
  );
});

test.runIf(platform() === 'linux')(
  'what the kernel drops at a full socket is counted for the process that owns it',
  async () => {
    const options = {
      family: 4,
      host: '127.0.0.1',
      port: 0,
      shared: false,
      receiveBufferBytes: 4096,
      option: 'port',
    } as const;
    const full = await bindUdp(options);
    const idle = await bindUdp(options);
    const sender = createSocket('udp4');
    try {
      const { port } = full.address();
      const before = new KernelDrops([port]);
      expect(before.read()).toBe(0);
      // Sent in one turn: nothing is read meanwhile.
      await new Promise<void>((resolve) => {
        let left = 400;
        for (let count = 0; count < 400; count += 1)
          sender.send(Buffer.alloc(1200), port, '127.0.0.1', () => {
            left -= 1;
            if (left === 0) resolve();
          });
      });
      await until(() => (new KernelDrops([port]).read() ?? 0) > 0, 'the kernel tells that it dropped some');
      expect(new KernelDrops([idle.address().port]).read()).toBe(0);
      expect(kernelDrops(), 'all of this process').toBeGreaterThan(0);
      // Once a second at most.
      expect(before.read()).toBe(0);
    } finally {
      for (const socket of [full, idle, sender]) {
        const closed = once(socket, 'close');
        socket.close();
        await closed;
      }
    }
  },
);
