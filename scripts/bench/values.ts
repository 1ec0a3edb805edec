import { randomBytes } from 'node:crypto';
import { workload } from './tasks.js';

const keys = Array.from({ length: workload.keys }, (_, index) => `key-${String(index).padStart(6, '0')}`);
/** Not a divisor of the number of keys, so that a key's value changes each time. */
const values = Array.from({ length: 997 }, () => randomBytes(workload.valueBytes / 2).toString('hex'));

/** All keys in turn. */
export function keyOf(turn: number): string {
  return keys[turn % keys.length] ?? '';
}

export function valueOf(turn: number): string {
  return values[turn % values.length] ?? '';
}
