import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '../protocol/kernel/random.js';

const maxBound = 2 ** 47;

/** Numbers that nobody can guess: claimants, store ids, tokens of transfers. */
export function systemRandom(): Random {
  const next = (): number => randomInt(maxBound) / maxBound;
  return {
    next,
    below: (bound) => Math.floor(next() * bound),
    chance: (probability) => next() < probability,
    hex128: () => randomBytes(16).toString('hex'),
    fork: systemRandom,
  };
}
