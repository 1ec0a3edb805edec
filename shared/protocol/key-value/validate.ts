import { LockstepError } from '../kernel/errors.js';
import { keyValueBounds as bounds } from './bounds.js';
import type { Columns } from './change-codec.js';

/** What must hold at the master for the change to apply; all of it is judged against the state before the change. */
export interface Condition {
  /** Position of the operation that it stands at. */
  readonly operation: number;
  readonly key: string;
  /** The version that last touched the key; null: there must be no such key. */
  readonly expected: number | null;
}

export interface CheckedChange {
  readonly columns: Columns;
  readonly conditions: readonly Condition[];
  /** Each value decodes to itself and can't be changed by whoever holds it: no objects, no arrays. */
  readonly immutable: boolean;
}

/** Takes a caller's operations apart. Throws `bad-operation`, naming the position and the key, and changes nothing. */
export function checkOperations(operations: readonly unknown[]): CheckedChange {
  if (!Array.isArray(operations)) throw new LockstepError('bad-operation', 'give the operations as an array');
  if (operations.length === 0) throw new LockstepError('bad-operation', 'a change needs at least one operation');
  const keys: string[] = [];
  const values: unknown[] = [];
  const deletes: number[] = [];
  const conditions: Condition[] = [];
  let immutable = true;
  operations.forEach((operation: unknown, position) => {
    if (typeof operation !== 'object' || operation === null) throw bad(position, null, 'is no object');
    const { put, delete: removed, ifVersion, ifAbsent } = operation as Readonly<Record<string, unknown>>;
    let key: string;
    if (put !== undefined) {
      if (removed !== undefined) throw bad(position, null, 'has both put and delete; give one of them');
      if (!Array.isArray(put) || put.length !== 2) throw bad(position, null, 'put must be [key, value]');
      key = checkKey(put[0], position);
      checkValue(put[1], position, key);
      values.push(put[1]);
      if ((typeof put[1] === 'object' && put[1] !== null) || Object.is(put[1], -0)) immutable = false; // −0 comes out as 0
    } else {
      if (removed === undefined) throw bad(position, null, 'has neither put nor delete');
      if (ifAbsent !== undefined) throw bad(position, null, 'ifAbsent makes no sense for a delete');
      key = checkKey(removed, position);
      values.push(null);
      deletes.push(position);
    }
    keys.push(key);
    if (ifAbsent !== undefined || ifVersion !== undefined) {
      conditions.push({ operation: position, key, expected: expectedVersion(ifVersion, ifAbsent, position, key) });
    }
  });
  return { columns: { keys, values, deletes }, conditions, immutable };
}

function expectedVersion(ifVersion: unknown, ifAbsent: unknown, position: number, key: string): number | null {
  if (ifAbsent !== undefined) {
    if (ifAbsent !== true) throw bad(position, key, 'ifAbsent must be true, or left out');
    if (ifVersion !== undefined) throw bad(position, key, 'ifAbsent and ifVersion exclude each other');
    return null;
  }
  if (typeof ifVersion !== 'number' || !Number.isSafeInteger(ifVersion) || ifVersion < 1) {
    throw bad(position, key, 'ifVersion must be an integer of at least 1');
  }
  return ifVersion;
}

/** 1 to 512 bytes of UTF-8. */
function checkKey(key: unknown, position: number): string {
  if (typeof key !== 'string') throw bad(position, null, 'the key must be a text');
  if (key === '') throw bad(position, null, 'the key is empty');
  // Three bytes for each UTF-16 unit at most, so most keys need no counting.
  if (key.length * 3 > bounds.maxKeyBytes && Buffer.byteLength(key) > bounds.maxKeyBytes) {
    throw bad(position, `${key.slice(0, 40)}…`, `the key is longer than ${bounds.maxKeyBytes} bytes`);
  }
  if (!isWellFormed(key)) throw bad(position, null, 'the key has half a surrogate pair in it');
  return key;
}

function checkValue(value: unknown, position: number, key: string): void {
  const budget = { bytes: bounds.maxValueBytes };
  const fault = jsonFault(value, 'value', 0, budget);
  if (fault !== null) throw bad(position, key, fault);
}

/** Why a value isn't JSON as it comes out at the other end, or null. The path is built only for a fault. */
function jsonFault(value: unknown, path: string, depth: number, budget: { bytes: number }): string | null {
  switch (typeof value) {
    case 'string':
      budget.bytes -= 3 + (value.length * 3 <= budget.bytes ? value.length : Buffer.byteLength(value));
      if (!isWellFormed(value)) return `${path} has half a surrogate pair in it`;
      break;
    case 'number':
      if (!Number.isFinite(value)) return `${path} is ${value}, which JSON can't hold`;
      budget.bytes -= 9;
      break;
    case 'boolean':
      budget.bytes -= 1;
      break;
    case 'object': {
      if (value === null) {
        budget.bytes -= 1;
        break;
      }
      if (depth >= bounds.maxValueDepth) return `${path} is nested deeper than ${bounds.maxValueDepth} levels`;
      budget.bytes -= 5;
      const fault = Array.isArray(value)
        ? arrayFault(value, path, depth, budget)
        : objectFault(value as Readonly<Record<string, unknown>>, path, depth, budget);
      if (fault !== null) return fault;
      break;
    }
    default:
      return `${path} is ${typeof value}, which JSON can't hold`;
  }
  return budget.bytes < 0 ? `the JSON is larger than ${bounds.maxValueBytes} bytes` : null;
}

function arrayFault(values: readonly unknown[], path: string, depth: number, budget: { bytes: number }): string | null {
  for (let index = 0; index < values.length; index += 1) {
    const fault = jsonFault(values[index], path, depth + 1, budget);
    if (fault !== null) return fault.replace(path, `${path}[${index}]`);
  }
  return null;
}

function objectFault(
  object: Readonly<Record<string, unknown>>,
  path: string,
  depth: number,
  budget: { bytes: number },
): string | null {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) {
    // Objects of another realm (a worker, a test's sandbox) are as plain as ours.
    if (Object.getPrototypeOf(prototype) !== null) return `${path} is no plain object`;
  }
  const names = Object.keys(object);
  if (names.length > bounds.maxProperties) return `${path} has more than ${bounds.maxProperties} properties`;
  for (const name of names) {
    // Decoders rename it, to keep prototypes safe: the copies would differ from the original.
    if (name === '__proto__') return `${path} has a property "__proto__"`;
    if (!isWellFormed(name)) return `${path} has a name with half a surrogate pair in it`;
    budget.bytes -= name.length + 1;
    const fault = jsonFault(object[name], path, depth + 1, budget);
    if (fault !== null) return fault.replace(path, `${path}.${name.replaceAll('$', '$$$$')}`);
  }
  return null;
}

/** ES2024's `isWellFormed`, which Node has since 20: its answer is immediate for texts of one-byte characters. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

function bad(position: number, key: string | null, fault: string): LockstepError {
  const where = key === null ? `operation ${position}` : `operation ${position} (key ${JSON.stringify(key)})`;
  return new LockstepError('bad-operation', `${where}: ${fault}`);
}
