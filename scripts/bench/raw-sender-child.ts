import { openUdpMulticast } from '../../shared/runtime/udp-multicast.js';
import type { Transport } from '../../shared/runtime/ports.js';
import { silentLog } from '../../shared/runtime/node-events.js';
import { cpu, serve, timeEach } from './serve.js';
import type { RawFlood, RawSenderTasks } from './tasks.js';

/** A share of the receive buffer may be under way: what the protocol lets out in one burst, too. */
const windowShare = 0.5;
/** An answer that doesn't come counts as lost. */
const answerMs = 50;

let transport: Transport;
let onAnswer: (bytes: Uint8Array) => void = () => undefined;

serve<RawSenderTasks>({
  async open({ group }) {
    transport = await openUdpMulticast({ group, interfaceAddress: '127.0.0.1', log: silentLog });
    transport.onReceive((bytes) => onAnswer(bytes));
    return null;
  },
  flood,
  async roundTrips({ seconds, receivers, bytes }) {
    const datagram = Buffer.alloc(bytes, 7);
    datagram[0] = 1;
    return timeEach(seconds, async () => {
      await answered(receivers, () => transport.send(datagram, 'group'));
    });
  },
  cpu,
});

/** Messages cut as the protocol cuts them, window after window: the next one leaves when all have answered the last. */
async function flood(task: RawSenderTasks['flood']['ask']): Promise<RawFlood> {
  const { maxDatagramBytes, receiveBufferBytes } = transport;
  const perMessage = Math.ceil(task.messageBytes / maxDatagramBytes);
  const datagramBytes = Math.ceil(task.messageBytes / perMessage);
  const plain = Buffer.alloc(datagramBytes, 7);
  plain[0] = 0;
  const last = Buffer.from(plain);
  last[0] = 1;
  const fitting = Math.max(1, Math.floor((receiveBufferBytes * windowShare) / (datagramBytes * perMessage)));
  const messagesInWindow = task.oneByOne === true ? 1 : fitting;
  const inWindow = messagesInWindow * perMessage;
  const startedMs = performance.now();
  let datagrams = 0;
  let lost = 0;
  while (performance.now() - startedMs < task.seconds * 1000) {
    const counts = await answered(task.receivers, () => {
      for (let index = 1; index <= inWindow; index += 1) transport.send(index === inWindow ? last : plain, 'group');
    });
    datagrams += inWindow;
    lost += Math.max(0, ...counts.map((count) => inWindow - count), counts.length < task.receivers ? inWindow : 0);
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return { datagrams, datagramBytes, messages: Math.floor((datagrams - lost) / perMessage), lost, seconds };
}

/** What each receiver counted since its last answer; fewer than asked for when answers are lost. */
function answered(receivers: number, send: () => void): Promise<readonly number[]> {
  return new Promise((resolve) => {
    const counts: number[] = [];
    const finish = (): void => {
      clearTimeout(limit);
      onAnswer = () => undefined;
      resolve(counts);
    };
    const limit = setTimeout(finish, answerMs);
    onAnswer = (bytes) => {
      counts.push(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(4, true));
      if (counts.length === receivers) finish();
    };
    send();
  });
}
