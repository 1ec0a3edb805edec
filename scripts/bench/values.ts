import { randomBytes } from 'node:crypto';
import { workload } from './tasks.js';

const keys = Array.from({ length: workload.keys }, (_, index) => `key-${String(index).padStart(6, '0')}`);
/** Their number is no divisor of that of the keys, so that a key's value changes each time. */
const values = valuesOf(workload.valueBytes);

export function valuesOf(bytes: number): readonly string[] {
  return Array.from({ length: 997 }, () => randomBytes(bytes / 2).toString('hex'));
}

/** All keys in turn. */
export function keyOf(turn: number): string {
  return keys[turn % keys.length] ?? '';
}

export function valueOf(turn: number): string {
  return values[turn % values.length] ?? '';
}
