import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../tests/support/fake-clock.js';
import type { NodeId, Tip, Version } from '../protocol/kernel/ids.js';
import { limits } from '../protocol/kernel/limits.js';
import { SharedStreams, type StreamGiven } from './shared-streams.js';

function tipAt(version: number): Tip {
  return {
    epoch: { number: 1, claimant: 'c'.repeat(32) },
    version: version as Version,
    chain: 'a'.repeat(32) as Tip['chain'],
  };
}

class Asked {
  readonly clock = new FakeClock();
  readonly streams = new SharedStreams(this.clock);
  opened = 0;

  give(
    version: number,
    options: { readonly node?: string; readonly name?: string; readonly notBelow?: number } = {},
  ): StreamGiven {
    const { node = 'a', name = 'snapshot', notBelow = 1 } = options;
    const open = (): AsyncIterable<Uint8Array> => this.#chunks();
    return this.streams.give({ node: node as NodeId, name, at: tipAt(version), notBelow, open });
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, void> {
    this.opened += 1;
    await Promise.resolve();
    for (let index = 0; index < 4; index += 1) yield new Uint8Array(limits.sharedStreamBytes / 2);
  }
}

async function lengthOf({ chunks }: StreamGiven): Promise<number> {
  let length = 0;
  for await (const chunk of chunks) length += chunk.byteLength;
  return length;
}

describe('streams that several ask for', () => {
  test('are opened once, though the data went on: who comes later gets the earlier state', async () => {
    const asked = new Asked();
    const given = Array.from({ length: 100 }, (_, index) => asked.give(10 + index, { node: `s${index}` }));
    expect(given.every(({ at }) => at.version === 10)).toBe(true);
    expect(new Set(given.map(({ group }) => group)).size).toBe(1);
    expect(new Set(await Promise.all(given.map(lengthOf)))).toEqual(new Set([2 * limits.sharedStreamBytes]));
    expect(asked.opened).toBe(1);
  });

  test('are another when that state is too old, when time has passed, or for another name', () => {
    const asked = new Asked();
    const first = asked.give(10);
    expect(asked.give(20, { notBelow: 11 }).at.version).toBe(20);
    expect(asked.give(21, { name: 'round' }).at.version).toBe(21);
    expect(asked.give(22).group).toBe(first.group);
    asked.clock.advance(limits.sharedStreamMs);
    expect(asked.give(23).at.version).toBe(23);
    expect(asked.clock.timers, 'the ones before are not kept').toBe(1);
  });

  test('are bounded in readers', () => {
    const asked = new Asked();
    const groups = Array.from({ length: limits.sharedStreamReaders + 1 }, () => asked.give(1).group);
    expect(new Set(groups).size).toBe(2);
  });

  test('are its own for one that was too slow, and shared with it again after', async () => {
    const asked = new Asked();
    asked.give(1, { node: 'slow' });
    const rest = lengthOf(asked.give(1, { node: 'b' }));
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    asked.clock.advance(limits.sharedStreamPatienceMs);
    expect(await rest).toBe(2 * limits.sharedStreamBytes);
    const own = asked.give(2, { node: 'slow' });
    expect(own.at.version).toBe(2);
    expect(asked.give(3, { node: 'b' }).group).not.toBe(own.group);
    expect(asked.give(4, { node: 'slow' }).at.version).toBe(3);
  });
});
