import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../tests/support/fake-clock.js';
import { SharedStream } from './shared-stream.js';

const patienceMs = 1000;

/** So many chunks of one byte, and how many were made. */
function counted(count: number): {
  readonly source: AsyncIterable<Uint8Array>;
  readonly made: () => number;
  readonly returned: () => boolean;
} {
  let made = 0;
  let returned = false;
  async function* chunks(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (let index = 0; index < count; index += 1) {
        await Promise.resolve();
        made += 1;
        yield Uint8Array.of(index);
      }
    } finally {
      returned = true;
    }
  }
  return { source: chunks(), made: () => made, returned: () => returned };
}

function shared(
  count: number,
  windowBytes: number,
): ReturnType<typeof counted> & { stream: SharedStream; clock: FakeClock } {
  const clock = new FakeClock();
  const chunks = counted(count);
  return { ...chunks, clock, stream: new SharedStream({ source: chunks.source, clock, windowBytes, patienceMs }) };
}

const ignore = (): void => undefined;

async function all(reader: AsyncIterable<Uint8Array>): Promise<number[]> {
  const read: number[] = [];
  for await (const chunk of reader) read.push(...chunk);
  return read;
}

async function take(reader: AsyncIterator<Uint8Array>, count: number): Promise<number[]> {
  const read: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const result = await reader.next();
    if (result.done !== true) read.push(...result.value);
  }
  return read;
}

/** Everything that can happen without the clock has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
}

describe('a shared stream', () => {
  test('is made once, and read whole by each, at whatever turns', async () => {
    const { stream, made } = shared(100, 10);
    const readers = [stream.join(ignore), stream.join(ignore), stream.join(ignore)];
    const read = await Promise.all(readers.map((reader) => all(reader)));
    const whole = Array.from({ length: 100 }, (_, index) => index);
    expect(read).toEqual([whole, whole, whole]);
    expect(made()).toBe(100);
  });

  test('holds no more than its window and one chunk, however far apart the readers are', async () => {
    const { stream, clock } = shared(100, 10);
    const fast = stream.join(ignore);
    const slow = stream.join(ignore);
    expect(await take(fast, 10)).toHaveLength(10);
    const eleventh = fast.next();
    await settled();
    expect(stream.heldBytes).toBeLessThanOrEqual(11);
    expect(clock.timers, 'the fast one waits for the slow one').toBe(1);
    expect(await take(slow, 5)).toEqual([0, 1, 2, 3, 4]);
    expect((await eleventh).value).toEqual(Uint8Array.of(10));
    expect(clock.timers).toBe(0);
    await Promise.all([all(fast), all(slow)]);
    expect(stream.heldBytes).toBeLessThanOrEqual(11);
  });

  test('can be joined while its beginning is held, and not after', async () => {
    const { stream, made } = shared(100, 10);
    const first = stream.join(ignore);
    await take(first, 9);
    const second = stream.join(ignore);
    expect(await take(second, 9)).toHaveLength(9);
    await Promise.all([take(first, 20), take(second, 20)]);
    expect(stream.isJoinable).toBe(false);
    expect(() => stream.join(ignore)).toThrow('the beginning of this stream is gone');
    expect(made()).toBeLessThan(45);
  });

  test('that fits into its window is there for who comes after it ended, until it is closed', async () => {
    const { stream, made } = shared(5, 10);
    await all(stream.join(ignore));
    expect(await all(stream.join(ignore))).toEqual([0, 1, 2, 3, 4]);
    expect(made()).toBe(5);
    stream.close();
    expect(stream.heldBytes).toBe(0);
  });

  test('cuts off a reader that takes nothing, in time, and the others go on', async () => {
    const { stream, clock } = shared(100, 10);
    let isCut = false;
    const dead = stream.join(() => (isCut = true));
    const rest = all(stream.join(ignore));
    await settled();
    clock.advance(patienceMs - 1);
    await settled();
    expect(isCut).toBe(false);
    clock.advance(1);
    expect(await rest).toHaveLength(100);
    expect(isCut).toBe(true);
    await expect(dead.next()).rejects.toThrow('too slow for a stream that others share');
  });

  test('cuts off a steady reader that costs the others more than half of their time', async () => {
    const { stream, clock } = shared(1000, 10);
    let isCut = false;
    const slow = stream.join(() => (isCut = true));
    const fast = all(stream.join(ignore));
    let steps = 0;
    for (; !isCut && steps < 1000; steps += 1) {
      await settled();
      clock.advance(100);
      if (!isCut) await slow.next();
    }
    expect(steps).toBeGreaterThanOrEqual(patienceMs / 100);
    expect(steps).toBeLessThan(2 + (2 * patienceMs) / 100);
    expect(await fast).toHaveLength(1000);
  });

  test('lets go of its source when nobody reads it and nobody can come', async () => {
    const { stream, returned } = shared(100, 10);
    const reader = stream.join(ignore);
    await take(reader, 3);
    await reader.return?.();
    expect(returned(), 'others may still join').toBe(false);
    stream.close();
    await settled();
    expect(returned()).toBe(true);
  });

  test('tells every reader of a source that fails', async () => {
    async function* failing(): AsyncGenerator<Uint8Array, void, void> {
      yield Uint8Array.of(1);
      await Promise.resolve();
      throw new Error('no more');
    }
    const stream = new SharedStream({ source: failing(), clock: new FakeClock(), windowBytes: 10, patienceMs });
    const readers = [stream.join(ignore), stream.join(ignore)];
    for (const result of await Promise.allSettled(readers.map((reader) => all(reader)))) {
      expect(result).toMatchObject({ status: 'rejected', reason: { message: 'no more' } });
    }
    expect(stream.isJoinable).toBe(false);
  });
});
