import { describe, expect, test } from 'vitest';
import { campaignOptions } from './campaign.js';

describe('the campaign', () => {
  test.each([1, 137, 9501])('holds every size of group in any 500 seeds in a row, from %i on', (from) => {
    const options = Array.from({ length: 500 }, (_, index) => campaignOptions(from + index));
    const count = (slaves: number): number => options.filter((option) => option.slaves === slaves).length;
    expect(count(1000)).toBe(2);
    expect(count(100)).toBe(5);
    expect(count(10)).toBe(50);
    expect(count(3)).toBeGreaterThan(40);
    // 1 to 5, drawn.
    expect(options.filter(({ slaves }) => slaves === undefined).length).toBeGreaterThan(350);
  });

  test('has one seed in 500 for pauses of ten minutes, and an eighth with a master that takes over', () => {
    const options = Array.from({ length: 500 }, (_, index) => campaignOptions(1 + index));
    expect(options.filter(({ faultsMs }) => (faultsMs ?? 0) > 600_000)).toHaveLength(1);
    expect(options.filter(({ faults }) => faults?.includes('take-over')).length).toBeGreaterThan(50);
  });
});
