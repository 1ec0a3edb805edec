import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { StoreKey } from '../../../shared/protocol/kernel/store.js';
import { SimBulkNetwork } from './bulk.js';
import { settlePromises, SimClock, SimProcess, Timeline } from './clock.js';
import { SimDisk } from './disk.js';
import type { NetworkFaults } from './network.js';
import { SimNetwork } from './network.js';

const perfect = { offsetMs: 0, wallOffsetMs: 0, rate: 1 };

describe('clock', () => {
  test('runs what is due in order of time, then of insertion', async () => {
    const timeline = new Timeline();
    const ran: string[] = [];
    for (const [atMs, name] of [
      [5, 'c'],
      [1, 'a'],
      [5, 'd'],
      [1, 'b'],
    ] as const)
      timeline.schedule(atMs, () => ran.push(name));
    await timeline.runUntil(10);
    expect(ran.join('')).toBe('abcd');
    expect(timeline.nowMs).toBe(10);
  });

  test('what a cancelled, ended or paused process had under way', async () => {
    const timeline = new Timeline();
    const process = new SimProcess('n', timeline, perfect);
    const clock = new SimClock(process);
    const ran: string[] = [];
    clock.at(1, () => ran.push('cancelled'))();
    clock.at(2, () => ran.push('paused'));
    clock.at(20, () => ran.push('dead'));
    process.pause('pause');
    await timeline.runUntil(10);
    expect(ran).toEqual([]);
    process.resume();
    expect(ran).toEqual(['paused']);
    process.end();
    await timeline.runUntil(30);
    expect(ran).toEqual(['paused']);
  });

  test('a sleep is hidden by as much as the time of day had gone back since the process read it, and not otherwise', async () => {
    const timeline = new Timeline();
    const process = new SimProcess('n', timeline, { offsetMs: 0, wallOffsetMs: 0, rate: 1 });
    const clock = new SimClock(process);
    const sleep = async (forMs: number): Promise<void> => {
      process.pause('suspend');
      await timeline.runUntil(timeline.nowMs + forMs);
      process.resume();
    };
    clock.wallMs();
    await sleep(100);
    await sleep(50);
    clock.wallMs();
    expect(process.hiddenSleepMs).toBe(0);
    process.jumpWall(-1000);
    clock.wallMs();
    await sleep(100);
    clock.wallMs();
    expect(process.hiddenSleepMs, 'the process had seen it go back').toBe(0);
    process.jumpWall(-30);
    await sleep(60);
    await sleep(40);
    clock.wallMs();
    expect(process.hiddenSleepMs, 'seventy are seen, and five more allowed for').toBe(25);
    process.jumpWall(-5000);
    await sleep(100);
    clock.wallMs();
    expect(process.hiddenSleepMs).toBe(125);
  });

  test('a suspended machine loses monotonic time and keeps the time of day; a fast clock wakes early, never too early', async () => {
    const timeline = new Timeline();
    const process = new SimProcess('n', timeline, { offsetMs: 500, wallOffsetMs: 1000, rate: 1.001 });
    const clock = new SimClock(process);
    const woken: number[] = [];
    clock.at(clock.monotonicMs() + 1001, () => woken.push(clock.monotonicMs()));
    process.pause('suspend');
    await timeline.runUntil(400);
    process.resume();
    expect(clock.monotonicMs()).toBeCloseTo(500, 6);
    expect(clock.wallMs()).toBe(1400);
    await timeline.runUntil(1399);
    expect(woken).toEqual([]);
    await timeline.runUntil(1401);
    expect(woken[0]).toBeGreaterThanOrEqual(1501);
  });
});

interface Pair {
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly received: string[];
  readonly send: (text: string, to: 'group' | 'unicast') => void;
}

function pair(faults: Partial<NetworkFaults>): Pair {
  const timeline = new Timeline();
  const network = new SimNetwork({ timeline, random: seededRandom(7), maxDatagramBytes: 1432 });
  network.become(faults);
  const a = network.attach(new SimProcess('a', timeline, perfect));
  const b = network.attach(new SimProcess('b', timeline, perfect));
  const received: string[] = [];
  b.onReceive((bytes) => received.push(Buffer.from(bytes).toString('latin1')));
  return {
    timeline,
    network,
    received,
    send: (text, to) => {
      a.send(Buffer.from(text), to === 'group' ? 'group' : b.address);
    },
  };
}

describe('network', () => {
  test('delivers by group and by address', async () => {
    const { timeline, received, send } = pair({});
    send('one', 'group');
    send('two', 'unicast');
    await timeline.runUntil(10);
    expect([...received].sort()).toEqual(['one', 'two']);
  });

  test('loses, doubles, overtakes and corrupts', async () => {
    const lossy = pair({ loss: 0.5 });
    const doubled = pair({ duplication: 1 });
    const late = pair({ reordering: 0.5, lateMs: 50 });
    const corrupt = pair({ corruption: 1 });
    for (const { send, timeline } of [lossy, doubled, late, corrupt]) {
      for (let count = 0; count < 100; count += 1) send(String(count).padStart(3, '0'), 'group');
      await timeline.runUntil(100);
    }
    expect(lossy.received.length).toBeGreaterThan(20);
    expect(lossy.received.length).toBeLessThan(80);
    expect(doubled.received).toHaveLength(200);
    expect(late.received).toHaveLength(100);
    expect(late.received).not.toEqual([...late.received].sort());
    expect(corrupt.received.filter((text) => /^\d\d\d$/.test(text)).length).toBeLessThan(30);
  });

  test('a cut holds one way, until it is mended; multicast may be dead while unicast lives', async () => {
    const { timeline, network, received, send } = pair({});
    network.cut('a', 'b');
    send('cut', 'group');
    await timeline.runUntil(10);
    network.mend('a', 'b');
    network.become({ multicastDead: true });
    send('dead', 'group');
    send('alive', 'unicast');
    await timeline.runUntil(20);
    network.become({ multicastDead: false, unicastDead: true });
    send('reverse', 'group');
    send('gone', 'unicast');
    await timeline.runUntil(30);
    expect(received).toEqual(['alive', 'reverse']);
  });
});

describe('disk', () => {
  const key: StoreKey = ['data', 'd', 1];

  function opened(seed = 3): { readonly timeline: Timeline; readonly disk: SimDisk; readonly process: SimProcess } {
    const timeline = new Timeline();
    return {
      timeline,
      disk: new SimDisk('n', { timeline, random: seededRandom(seed) }),
      process: new SimProcess('n', timeline, perfect),
    };
  }

  test('a write is on the disk when it is done, and readers get their own copy', async () => {
    const { timeline, disk, process } = opened();
    const store = disk.open(process);
    const value = { bytes: Uint8Array.of(1, 2) };
    const done: (Error | null)[] = [];
    store.write(
      (transaction) => {
        transaction.put(key, value);
      },
      { durable: true },
      (error) => done.push(error),
    );
    expect(done).toEqual([]);
    expect(disk.durable.get(key)).toBeUndefined();
    await timeline.runUntil(5);
    value.bytes[0] = 9;
    expect(done).toEqual([null]);
    const read = store.get(key) as { readonly bytes: Uint8Array };
    expect([...read.bytes]).toEqual([1, 2]);
    read.bytes[0] = 8;
    expect([...(disk.durable.get(key) as { readonly bytes: Uint8Array }).bytes]).toEqual([1, 2]);
  });

  test('keys come in order, numbers before texts', async () => {
    const { timeline, disk, process } = opened();
    const store = disk.open(process);
    store.write(
      (transaction) => {
        for (const part of ['b', 10, 'a', 2]) transaction.put(['data', 'd', part], part);
        transaction.put(['data', 'e', 1], 'another');
      },
      { durable: true },
      () => undefined,
    );
    await timeline.runUntil(5);
    expect([...store.range(['data', 'd'])].map(({ value }) => value)).toEqual([2, 10, 'a', 'b']);
  });

  test('a crash leaves a prefix of what was under way, each transaction whole', async () => {
    const left = new Set<string>();
    for (let seed = 0; seed < 60; seed += 1) {
      const { timeline, disk, process } = opened(seed);
      const store = disk.open(process);
      for (let index = 0; index < 3; index += 1) {
        store.write(
          (transaction) => {
            transaction.put(['x', index], index);
            transaction.put(['y', index], index);
          },
          { durable: index === 2 },
          () => undefined,
        );
      }
      await timeline.runUntil(0.06);
      process.end();
      const x = [...disk.durable.range(['x'])].map(({ value }) => value);
      const y = [...disk.durable.range(['y'])].map(({ value }) => value);
      expect(x).toEqual(y);
      expect(x).toEqual([0, 1, 2].slice(0, x.length));
      left.add(x.join(''));
    }
    expect(left.size).toBeGreaterThan(2);
  });

  test('a failed flush says so, to all later writes too, and the data may be there or not', async () => {
    const found = new Set<boolean>();
    for (let seed = 0; seed < 20; seed += 1) {
      const { timeline, disk, process } = opened(seed);
      const store = disk.open(process);
      disk.failNext();
      const done: (string | undefined)[] = [];
      store.write(
        (transaction) => {
          transaction.put(key, 1);
        },
        { durable: true },
        (error) => done.push(error?.message),
      );
      await timeline.runUntil(5);
      store.write(
        (transaction) => {
          transaction.put(['later'], 1);
        },
        { durable: true },
        (error) => done.push(error?.message),
      );
      await timeline.runUntil(10);
      expect(done).toEqual(['fsync failed: input/output error', 'fsync failed: input/output error']);
      process.end();
      expect(disk.durable.get(['later'])).toBeUndefined();
      found.add(disk.durable.get(key) !== undefined);
    }
    expect([...found].sort()).toEqual([false, true]);
  });
});

describe('bulk', () => {
  async function* three(): AsyncIterable<Uint8Array> {
    for (let index = 0; index < 3; index += 1) yield Uint8Array.of(index);
  }

  function hosts(): {
    readonly timeline: Timeline;
    readonly network: SimNetwork;
    readonly server: SimProcess;
    readonly client: SimProcess;
    readonly bulk: SimBulkNetwork;
  } {
    const timeline = new Timeline();
    const network = new SimNetwork({ timeline, random: seededRandom(1), maxDatagramBytes: 1432 });
    return {
      timeline,
      network,
      bulk: new SimBulkNetwork({ timeline, network }),
      server: new SimProcess('a', timeline, perfect),
      client: new SimProcess('b', timeline, perfect),
    };
  }

  async function collected(stream: AsyncIterable<Uint8Array>): Promise<string> {
    const bytes: number[] = [];
    try {
      for await (const chunk of stream) bytes.push(...chunk);
    } catch (error) {
      return `${bytes.join(',')} then ${error instanceof Error ? error.message : 'no error'}`;
    }
    return bytes.join(',');
  }

  function settled(promise: Promise<string>): string[] {
    const results: string[] = [];
    void promise.then((result) => results.push(result));
    return results;
  }

  test('a stream arrives whole, once', async () => {
    const { timeline, network, bulk, server, client } = hosts();
    const host = network.hostOf('a');
    const a = bulk.attach(server);
    const b = bulk.attach(client);
    const ended: (Error | null)[] = [];
    a.offer('token', three, 1000, (error) => ended.push(error));
    const got = settled(collected(b.fetch(`${host}:${a.port}`, 'token', new AbortController().signal)));
    await timeline.runUntil(50);
    const again = settled(collected(b.fetch(`${host}:${a.port}`, 'token', new AbortController().signal)));
    await timeline.runUntil(100);
    await settlePromises();
    expect(got).toEqual(['0,1,2']);
    expect(again).toEqual([' then the token is unknown there']);
    expect(ended).toEqual([null]);
  });

  test('a server that crashes, a cut path and an offer that nobody fetches end in errors', async () => {
    for (const what of ['crash', 'cut', 'expiry'] as const) {
      const { timeline, network, bulk, server, client } = hosts();
      const host = network.hostOf('a');
      network.hostOf('b');
      const a = bulk.attach(server);
      const b = bulk.attach(client);
      const ended: (string | undefined)[] = [];
      a.offer('token', three, 1000, (error) => ended.push(error?.message));
      const got =
        what === 'expiry'
          ? []
          : settled(collected(b.fetch(`${host}:${a.port}`, 'token', new AbortController().signal)));
      await timeline.runUntil(1);
      if (what === 'crash') server.end();
      if (what === 'cut') network.partition(['a'], ['b']);
      await timeline.runUntil(5000);
      if (what === 'crash') expect(got).toEqual([expect.stringContaining('then the connection was reset')]);
      if (what === 'cut') expect(got).toEqual([expect.stringContaining('then the connection timed out')]);
      expect(ended).toHaveLength(what === 'crash' ? 0 : 1);
    }
  });
});
