import { describe, expect, test } from 'vitest';
import { guaranteeIds } from './checkers/checker.js';
import { CoverageTable, impossibleCells } from './coverage-table.js';
import { Coverage } from './coverage.js';
import { defaultFaults, drawSwarm, faultKinds } from './faults.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';

describe('coverage', () => {
  test('a cell counts when the guarantee was judged after the fault had struck, and not before', () => {
    const coverage = new Coverage();
    coverage.judged('G1');
    coverage.struck('loss');
    coverage.judged('G2');
    coverage.struck('pause');
    coverage.judged('G3');
    expect(coverage.cells).toEqual({ loss: ['G2', 'G3'], pause: ['G3'] });
  });

  test('counts seeds, names what is empty, and shows what makes no sense as "–"', () => {
    const table = new CoverageTable(['loss', 'pause']);
    table.add({ loss: [...guaranteeIds] });
    table.add({ loss: ['G1'], pause: ['G2'] });
    expect(table.json.loss).toMatchObject({ G1: 2, G2: 1 });
    const others = guaranteeIds.filter((id) => id !== 'G2');
    expect(table.empty).toEqual(others.map((id) => `pause × ${id}`));
    expect(table.text).toContain('loss');
  });

  test('cells without sense are of kinds that exist, and say why', () => {
    for (const { kind, guarantee, reason } of impossibleCells) {
      expect(faultKinds).toContain(kind);
      expect(guaranteeIds).toContain(guarantee);
      expect(reason.length).toBeGreaterThan(20);
    }
  });

  test('a swarm leaves kinds out, weighs the others, and is the same for the same seed', () => {
    const swarms = Array.from({ length: 50 }, (_, seed) => drawSwarm(seededRandom(seed), defaultFaults));
    const sizes = swarms.map(({ size }) => size);
    expect(Math.max(...sizes)).toBeLessThan(defaultFaults.length);
    expect(new Set(sizes).size).toBeGreaterThan(5);
    expect(new Set(swarms.flatMap((swarm) => [...swarm.keys()])).size).toBe(defaultFaults.length);
    expect([...drawSwarm(seededRandom(7), defaultFaults)]).toEqual([...(swarms[7] ?? [])]);
  });
});
