import { describe, expect, test } from 'vitest';
import type { ChainId, Tip, Version } from '../../../shared/protocol/kernel/ids.js';
import { tipKey } from '../../../shared/protocol/kernel/ids.js';
import { Truth } from './truth.js';

function tipNamed(name: string, version: number): Tip {
  return { epoch: { number: 1, claimant: '0'.repeat(32) }, version: version as Version, chain: name as ChainId };
}

describe('what was committed', () => {
  test('the past of a tip is all that the tip contains, on its own branch and no other', () => {
    const truth = new Truth();
    const [root, left, leftmost, right, unknown] = ['root', 'left', 'leftmost', 'right', 'unknown'].map((name, index) =>
      tipNamed(name, index + 1),
    ) as [Tip, Tip, Tip, Tip, Tip];
    truth.commit({ prior: null, to: root }, 1);
    truth.commit({ prior: root, to: left }, 2);
    truth.commit({ prior: left, to: leftmost }, 3);
    truth.commit({ prior: root, to: right }, 4);
    const tips = [null, root, left, leftmost, right, unknown];
    for (const later of tips) {
      const contained = tips.filter((earlier) => truth.contains(later, earlier)).map(tipKey);
      expect([...truth.past(later)].toSorted()).toEqual(contained.toSorted());
    }
    expect(truth.past(leftmost).size).toBe(4);
    expect(truth.past(right).has(tipKey(left))).toBe(false);
  });
});
