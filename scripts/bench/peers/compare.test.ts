import { describe, expect, test } from 'vitest';
import { figuresText, missedTargets } from '../report.js';
import { compare } from './compare.js';
import type { Load, Peer, Storage } from './peer.js';

interface Told {
  readonly rate: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** A product that says how fast it was, and notes what it was asked. */
function product(name: string, told: Told, storages: readonly Storage[], log: string[]): Peer {
  return {
    name,
    packageName: name,
    storages,
    version: () => Promise.resolve('1'),
    start: (storage) => {
      log.push(`start ${name} ${storage}`);
      return Promise.resolve({
        throughput: (load: Load) => {
          log.push(`${name} ${load.callers}×${load.batch}`);
          return Promise.resolve(told.rate);
        },
        latency: () => Promise.resolve({ count: 1, p50Us: told.p50Us, p99Us: told.p99Us }),
        end: () => {
          log.push(`end ${name}`);
          return Promise.resolve();
        },
      });
    },
  };
}

describe('products side by side', () => {
  test('get the same work in turns, one to warm up first, and are ended', async () => {
    const log: string[] = [];
    const told = { rate: 100, p50Us: 10, p99Us: 20 };
    const products = [
      product('Lockstep', told, ['memory', 'disk'], log),
      product('Redis', told, ['memory', 'disk'], log),
      product('etcd', told, ['disk'], log),
    ];
    await compare({ products, seconds: 1, repeats: 2, say: () => undefined });
    const memory = log.slice(0, log.indexOf('start Lockstep disk'));
    expect(memory.filter((line) => line.endsWith('4×1000'))).toEqual([
      'Lockstep 4×1000',
      'Redis 4×1000',
      'Lockstep 4×1000',
      'Redis 4×1000',
      'Lockstep 4×1000',
      'Redis 4×1000',
    ]);
    expect(memory).not.toContain('start etcd memory');
    expect(log.filter((line) => line.startsWith('end'))).toHaveLength(5);
  });

  test('are compared by medians: rates are to be so many times as high, times so many times as short', async () => {
    const products = [
      product('Lockstep', { rate: 300, p50Us: 100, p99Us: 300 }, ['memory', 'disk'], []),
      product('Redis', { rate: 100, p50Us: 100, p99Us: 100 }, ['memory', 'disk'], []),
    ];
    const figures = await compare({ products, seconds: 1, repeats: 1, say: () => undefined });
    const after = (name: string): (typeof figures)[number] | undefined =>
      figures[figures.findIndex((figure) => figure.name === name) + 1];
    const batches = after('in memory, batches of 1,000: Redis');
    expect(batches).toMatchObject({ spread: { median: 3 }, target: { kind: 'at least', value: 2 } });
    const slow = after('in memory, one update at a time, p99: Redis');
    expect(slow).toMatchObject({ spread: { median: 3 }, target: { kind: 'at most', value: 1.25 } });
    const missed = missedTargets(figures);
    expect(missed).toContain(slow);
    expect(missed).not.toContain(batches);
    const text = figuresText(figures);
    expect(text).toMatch(/÷ Redis.*3\.00.*✓ at least 2/);
    expect(text).toMatch(/÷ Redis.*3\.00.*✗ at most 1\.25/);
  });

  test('that fail are ended with those that were started, and the reason comes out', async () => {
    const log: string[] = [];
    const broken: Peer = {
      ...product('Redis', { rate: 1, p50Us: 1, p99Us: 1 }, ['memory'], log),
      start: () => Promise.reject(new Error('port taken')),
    };
    const products = [product('Lockstep', { rate: 1, p50Us: 1, p99Us: 1 }, ['memory'], log), broken];
    await expect(compare({ products, seconds: 1, repeats: 1, say: () => undefined })).rejects.toThrow('port taken');
    expect(log).toEqual(['start Lockstep memory', 'end Lockstep']);
  });
});
