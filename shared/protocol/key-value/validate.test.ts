import { describe, expect, it } from 'vitest';
import { LockstepError } from '../kernel/errors.js';
import { keyValueBounds } from './bounds.js';
import { checkOperations } from './validate.js';

function fault(...operations: readonly unknown[]): string {
  try {
    checkOperations(operations);
  } catch (error) {
    expect(error).toBeInstanceOf(LockstepError);
    expect((error as LockstepError).code).toBe('bad-operation');
    return (error as LockstepError).message;
  }
  throw new Error('it was accepted');
}

const loop: unknown[] = [];
loop.push(loop);

describe('the operations of a change', () => {
  it('are taken apart in their order', () => {
    const checked = checkOperations([
      { put: ['a', { cents: 1 }], ifAbsent: true },
      { delete: 'b', ifVersion: 4 },
      { put: ['c', null] },
    ]);
    expect(checked).toEqual({
      columns: { keys: ['a', 'b', 'c'], values: [{ cents: 1 }, null, null], deletes: [1] },
      conditions: [
        { operation: 0, key: 'a', expected: null },
        { operation: 1, key: 'b', expected: 4 },
      ],
      immutable: false,
    });
  });

  it.each([
    [
      'a text, a number, a boolean, null and a delete',
      [{ put: ['a', 'x'] }, { put: ['b', 1.5] }, { put: ['c', true] }, { put: ['d', null] }, { delete: 'e' }],
      true,
    ],
    ['an object', [{ put: ['a', 1] }, { put: ['b', {}] }], false],
    ['an array', [{ put: ['a', []] }], false],
    ['minus zero, which the copies read as zero', [{ put: ['a', -0] }], false],
  ])('%s: whether they may be kept as they are', (_what, operations, immutable) => {
    expect(checkOperations(operations).immutable).toBe(immutable);
  });

  it.each([
    [{}, 'operation 1: has neither put nor delete'],
    [{ put: ['a', 1], delete: 'a' }, 'operation 1: has both put and delete'],
    [{ put: ['a'] }, 'operation 1: put must be [key, value]'],
    [null, 'operation 1: is no object'],
    [{ put: ['', 1] }, 'operation 1: the key is empty'],
    [{ put: [5, 1] }, 'operation 1: the key must be a text'],
    [{ delete: '\ud800' }, 'half a surrogate pair'],
    [{ put: ['a', '\ud800'] }, 'operation 1 (key "a"): value has half a surrogate pair'],
    [{ put: ['a', { cents: [1, Number.NaN] }] }, 'operation 1 (key "a"): value.cents[1] is NaN'],
    [{ put: ['a', undefined] }, 'value is undefined'],
    [{ put: ['a', { $b: undefined }] }, 'value.$b is undefined'],
    [{ put: ['a', 5n] }, 'value is bigint'],
    [{ put: ['a', new Date(0)] }, 'value is no plain object'],
    [{ put: ['a', new Map()] }, 'value is no plain object'],
    [{ put: ['a', JSON.parse('{"__proto__": 1}')] }, '"__proto__"'],
    [{ put: ['a', loop] }, 'nested deeper than 64 levels'],
    [{ put: ['a', 1], ifVersion: 0 }, 'ifVersion must be'],
    [{ put: ['a', 1], ifAbsent: false }, 'ifAbsent must be true'],
    [{ put: ['a', 1], ifAbsent: true, ifVersion: 1 }, 'exclude each other'],
    [{ delete: 'a', ifAbsent: true }, 'makes no sense'],
    [{ put: ['a', 'x'.repeat(keyValueBounds.maxValueBytes + 1)] }, 'larger than 1048576 bytes'],
    [{ put: ['a', Array.from({ length: 400_000 }, () => '')] }, 'larger than 1048576 bytes'],
  ])('are refused with position and key: %#', (operation, text) => {
    expect(fault({ put: ['fine', 1] }, operation)).toContain(text);
  });

  it('need keys of 1 to 512 bytes, counted in UTF-8', () => {
    expect(() => checkOperations([{ put: ['é'.repeat(256), 1] }])).not.toThrow();
    expect(fault({ put: ['é'.repeat(257), 1] })).toContain('longer than 512 bytes');
    expect(() => checkOperations([{ delete: 'k'.repeat(512) }])).not.toThrow();
    expect(fault({ delete: 'k'.repeat(513) })).toContain('longer than 512 bytes');
  });

  it('are at least one', () => {
    expect(fault()).toContain('at least one');
  });
});
