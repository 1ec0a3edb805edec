import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Address, Transport } from '../../../shared/runtime/ports.js';
import type { ConformanceTime } from './harness.js';

export interface TransportHarness {
  readonly time: ConformanceTime;
  /** One more node of the group. All of them hear each other's `group`. */
  node(): Promise<Transport>;
  /** An address of the same kind where nobody is. */
  deadAddress(): Promise<Address>;
  close(): Promise<void>;
}

interface Heard {
  readonly bytes: Uint8Array;
  readonly from: Address;
}

function listen(transport: Transport): Heard[] {
  const heard: Heard[] = [];
  transport.onReceive((bytes, from) => heard.push({ bytes, from }));
  return heard;
}

function texts(heard: readonly Heard[]): string[] {
  return heard.map(({ bytes }) => Buffer.from(bytes).toString());
}

/** What every transport keeps, on a network that loses nothing. */
export function transportConformance(name: string, makeHarness: () => Promise<TransportHarness>): void {
  describe(`${name}: transport`, () => {
    let harness: TransportHarness;
    beforeEach(async () => {
      harness = await makeHarness();
    });
    afterEach(async () => {
      await harness.close();
    });

    test('unicast reaches the one it names; its sender can be answered', async () => {
      const [a, b, c] = [await harness.node(), await harness.node(), await harness.node()];
      const [heardA, heardB, heardC] = [listen(a), listen(b), listen(c)];
      a.send(Buffer.from('question'), b.address);
      await harness.time.until(() => heardB.length > 0, 'the question');
      expect(heardB[0]?.from).toBe(a.address);
      b.send(Buffer.from('answer'), heardB[0]?.from ?? '');
      await harness.time.until(() => heardA.length > 0, 'the answer');
      expect(texts(heardA)).toEqual(['answer']);
      expect(texts(heardB)).toEqual(['question']);
      expect(heardC).toEqual([]);
    });

    test('group reaches all others, once, and not the sender', async () => {
      const nodes = [await harness.node(), await harness.node(), await harness.node()];
      const heard = nodes.map(listen);
      for (const [index, node] of nodes.entries()) node.send(Buffer.from(`from ${index}`), 'group');
      await harness.time.until(() => heard.every((one) => one.length >= 2), 'everybody hears the two others');
      await harness.time.pass(20);
      for (const [index, one] of heard.entries()) {
        expect(texts(one).sort()).toEqual([0, 1, 2].filter((other) => other !== index).map((other) => `from ${other}`));
        for (const { bytes, from } of one)
          expect(from).toBe(nodes[Number(Buffer.from(bytes).toString().slice(5))]?.address);
      }
    });

    test("datagrams of any size up to the largest arrive as they were; the bytes are the receiver's to keep", async () => {
      const [a, b] = [await harness.node(), await harness.node()];
      const heard = listen(b);
      const sizes = [1, 2, 255, 1400, a.maxDatagramBytes - 1, a.maxDatagramBytes].filter(
        (size) => size <= a.maxDatagramBytes,
      );
      const sent = sizes.map((size, index) => Uint8Array.from({ length: size }, (_, at) => (at * 7 + index) % 256));
      for (const bytes of sent) a.send(bytes, b.address);
      for (const bytes of sent) a.send(bytes, 'group');
      await harness.time.until(() => heard.length >= 2 * sent.length, 'all datagrams');
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
      expect(heard.map(({ bytes }) => hex(bytes)).sort()).toEqual(
        sent.flatMap((bytes) => [hex(bytes), hex(bytes)]).sort(),
      );
    });

    test('what is too long, or goes to no address, is not sent and throws nothing', async () => {
      const [a, b] = [await harness.node(), await harness.node()];
      const heard = listen(b);
      a.send(new Uint8Array(a.maxDatagramBytes + 1), b.address);
      a.send(new Uint8Array(a.maxDatagramBytes + 1), 'group');
      for (const address of ['', 'nonsense', 'host:', ':1', '1.2.3.4:99999', '[::1', 'no.such.host:1'])
        a.send(Buffer.from('lost'), address);
      a.send(Buffer.from('good'), b.address);
      await harness.time.until(() => heard.length > 0, 'the good one');
      await harness.time.pass(20);
      expect(texts(heard)).toEqual(['good']);
    });

    test('sending to where nobody is throws nothing, and all goes on', async () => {
      const [a, b] = [await harness.node(), await harness.node()];
      const heard = listen(b);
      const dead = await harness.deadAddress();
      for (let count = 0; count < 10; count += 1) a.send(Buffer.from('hello?'), dead);
      await harness.time.pass(20);
      a.send(Buffer.from('one'), b.address);
      a.send(Buffer.from('two'), 'group');
      await harness.time.until(() => heard.length === 2, 'what came after');
      expect(texts(heard).sort()).toEqual(['one', 'two']);
    });

    test('after close nothing is sent or heard, nothing throws, and closing again is fine', async () => {
      const [a, b, c] = [await harness.node(), await harness.node(), await harness.node()];
      const [heardB, heardC] = [listen(b), listen(c)];
      await b.close();
      await b.close();
      b.send(Buffer.from('late'), c.address);
      b.send(Buffer.from('late'), 'group');
      a.send(Buffer.from('to b'), b.address);
      a.send(Buffer.from('to all'), 'group');
      await harness.time.until(() => heardC.length > 0, 'the others go on');
      await harness.time.pass(20);
      expect(texts(heardC)).toEqual(['to all']);
      expect(heardB).toEqual([]);
    });

    test('says where it is and how much it takes', async () => {
      const [a, b] = [await harness.node(), await harness.node()];
      expect(a.address).toMatch(/:\d+$/);
      expect(a.address).not.toBe(b.address);
      expect(a.maxDatagramBytes).toBeGreaterThan(500);
      expect(a.receiveBufferBytes).toBeGreaterThanOrEqual(a.maxDatagramBytes);
    });
  });
}
