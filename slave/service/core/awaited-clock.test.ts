import { describe, expect, test } from 'vitest';
import type { ChainId, DataSetId, Epoch, NodeId, Version } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Prepare } from '../../../shared/protocol/wire/messages.js';
import { AwaitedClock } from './awaited-clock.js';
import { SlaveContext } from './context.js';

const epoch: Epoch = { number: 1, claimant: 'b'.repeat(32) };
const groupMs = 1_796_119_200_000;
const activateAtMs = groupMs + 60_000;

function prepareOf(round: number): Prepare {
  return {
    kind: 'prepare',
    round,
    from: null,
    to: { epoch, version: round as Version, chain: 'c'.repeat(16) as ChainId },
    content: { kind: 'version' },
    voters: Uint8Array.of(1),
    lowestOpenRound: round,
    committed: null,
    activateAtMs,
  };
}

/** A slave that doesn't know its master's clock yet. */
class Bench {
  readonly context = new SlaveContext({
    dataSet: 'prices' as DataSetId,
    node: 's1' as NodeId,
    incarnation: { storeId: 'a'.repeat(32), start: 1 },
    seed: 1,
    durability: 'disk',
    maxLeaseMs: 5000,
    windowBytes: 1 << 20,
  });
  /** The instant at which the clock is to be known well, as was said last. */
  expected: number | null = null;
  readonly awaited = new AwaitedClock(this.context, (instantMs) => {
    this.expected = instantMs;
  });

  keepsWaiting(round: number): boolean {
    return this.awaited.keepsWaiting(prepareOf(round), { epoch, number: round });
  }

  learnClock(): void {
    const hereMs = this.context.nowMs;
    this.context.clock.sample({
      sentMs: hereMs,
      remoteReceivedMs: groupMs,
      remoteSentMs: groupMs,
      receivedMs: hereMs,
    });
  }
}

describe('a prepare with an instant, at a slave that doesn’t know the clock', () => {
  test('waits, asks for the clock, and goes on with the answer, once', () => {
    const bench = new Bench();
    expect(bench.keepsWaiting(1)).toBe(true);
    expect(bench.expected).toBe(activateAtMs);
    expect(bench.awaited.take(), 'nothing has come').toBeNull();
    bench.learnClock();
    expect(bench.awaited.take()).toEqual(prepareOf(1));
    expect(bench.expected).toBeNull();
    expect(bench.awaited.take()).toBeNull();
  });

  test('waits no longer than its time, and is repeated in vain meanwhile: the vote says why not', () => {
    const bench = new Bench();
    expect(bench.keepsWaiting(1)).toBe(true);
    bench.context.nowMs = limits.clockVoteMs - 1;
    expect(bench.keepsWaiting(1)).toBe(true);
    expect(bench.awaited.take()).toBeNull();
    expect(bench.context.timers.next()).toBe(limits.clockVoteMs);
    bench.context.nowMs = limits.clockVoteMs;
    expect(bench.awaited.take()).toEqual(prepareOf(1));
    expect(bench.keepsWaiting(1), 'its repeat is answered at once').toBe(false);
    expect(bench.awaited.fault()).toBe("the master's clock is not known here yet");
    expect([bench.expected, bench.context.timers.next()]).toEqual([null, Infinity]);
  });

  test('is forgotten with its reign, and so is the clock that it asked for', () => {
    const bench = new Bench();
    expect(bench.keepsWaiting(1)).toBe(true);
    bench.awaited.onNewReign();
    expect([bench.expected, bench.context.timers.next()]).toEqual([null, Infinity]);
    bench.learnClock();
    expect(bench.awaited.take()).toBeNull();
  });
});

test('a prepare whose vote was let go does not take back, with its reign, what is expected for another reason', () => {
  const bench = new Bench();
  bench.keepsWaiting(1);
  bench.learnClock();
  bench.awaited.take();
  bench.expected = activateAtMs; // it is armed now
  bench.awaited.onNewReign();
  expect(bench.expected).toBe(activateAtMs);
});
