import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { showInstant } from './instants.js';

describe('an instant', () => {
  it('reads as the platform would write it', () => {
    for (const at of [0, 951_782_399_999, 951_782_400_000, 1_796_115_600_000, 4_107_542_400_000, 253_402_300_799_999])
      expect(showInstant(at)).toBe(new Date(at).toISOString());
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 253_402_300_799_999 }),
        (at) => showInstant(at) === new Date(at).toISOString(),
      ),
    );
  });

  it('stays a number where there is no date for it', () => {
    expect([showInstant(-1), showInstant(Infinity), showInstant(1e18)]).toEqual([
      '-1 ms',
      'Infinity ms',
      '1000000000000000000 ms',
    ]);
  });
});
