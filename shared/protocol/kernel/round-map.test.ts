import { describe, expect, test } from 'vitest';
import type { Epoch, RoundId } from './ids.js';
import { RoundMap } from './round-map.js';

const first: Epoch = { number: 1, claimant: 'a'.repeat(32) };
const rival: Epoch = { number: 1, claimant: 'b'.repeat(32) };
const second: Epoch = { number: 2, claimant: 'a'.repeat(32) };
const round = (epoch: Epoch, number: number): RoundId => ({ epoch: { ...epoch }, number });

describe('a map of rounds', () => {
  test('tells rounds apart by number, by epoch and by claimant', () => {
    const map = new RoundMap<string>(10);
    map.set(round(first, 1), 'first 1');
    map.set(round(rival, 1), 'rival 1');
    map.set(round(second, 1), 'second 1');
    map.set(round(first, 2), 'first 2');
    expect(map.get(round(first, 1))).toBe('first 1');
    expect(map.get(round(rival, 1))).toBe('rival 1');
    expect(map.get(round(second, 1))).toBe('second 1');
    expect(map.get(round(first, 2))).toBe('first 2');
    expect(map.get(round(second, 2))).toBeUndefined();
    expect(map.has(round(rival, 2))).toBe(false);
    expect([...map.values()].sort()).toEqual(['first 1', 'first 2', 'rival 1', 'second 1']);
  });

  test('a round that is set again counts once and holds the newer value', () => {
    const map = new RoundMap<string>(2);
    map.set(round(first, 1), 'old');
    map.set(round(first, 2), 'two');
    map.set(round(first, 1), 'new');
    expect(map.size).toBe(2);
    expect(map.get(round(first, 1))).toBe('new');
    expect(map.get(round(first, 2))).toBe('two');
  });

  test('forgets the oldest of the oldest reign first, and never holds more than its bound', () => {
    const map = new RoundMap<number>(3);
    map.set(round(first, 1), 1);
    map.set(round(first, 2), 2);
    map.set(round(second, 1), 3);
    map.set(round(second, 2), 4);
    expect(map.has(round(first, 1))).toBe(false);
    expect(map.has(round(first, 2))).toBe(true);
    map.set(round(second, 3), 5);
    map.set(round(second, 4), 6);
    expect(map.size).toBe(3);
    expect([...map.values()]).toEqual([4, 5, 6]);
    map.clear();
    expect(map.size).toBe(0);
    expect(map.has(round(second, 4))).toBe(false);
  });
});
