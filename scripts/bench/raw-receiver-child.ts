import { openUdpMulticast } from '../../shared/runtime/udp-multicast.js';
import { silentLog } from '../../shared/runtime/node-events.js';
import { serve } from './serve.js';
import type { RawReceiverTasks } from './tasks.js';

/** Answers each datagram whose first byte asks for it with its own first four bytes. */
serve<RawReceiverTasks>({
  async open({ group, receivers }) {
    for (let index = 0; index < receivers; index += 1) await openReceiver(group);
    return null;
  },
});

async function openReceiver(group: string): Promise<void> {
  const transport = await openUdpMulticast({ group, interfaceAddress: '127.0.0.1', log: silentLog });
  let received = 0;
  transport.onReceive((bytes, from) => {
    received += 1;
    if (bytes[0] !== 1) return;
    const answer = Buffer.allocUnsafe(8);
    answer.set(bytes.subarray(0, 4));
    answer.writeUInt32LE(received, 4);
    received = 0;
    transport.send(answer, from);
  });
}
