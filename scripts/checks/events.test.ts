import { join } from 'node:path';
import { expect, test } from 'vitest';
import { declaredEvents, readEventsPage, withEventTables } from './event-tables.js';
import { driftOf, unusedOf } from './events.js';

const root = join(import.meta.dirname, '../..');
const declared = declaredEvents(root);
const page = await readEventsPage(root);

test('docs/events.md lists what the code declares', () => {
  expect(driftOf(page, declared)).toEqual([]);
  expect(declared.length).toBeGreaterThan(50);
  expect(declared.find(({ name }) => name === 'vetoed')).toMatchObject({
    table: 'master',
    levels: ['info'],
    fields: [
      { name: 'round', type: 'number' },
      { name: 'version', type: 'number' },
      { name: 'node', type: 'text' },
      { name: 'reason', type: 'text' },
    ],
  });
});

test('an event more, one less, another field and another order are found', () => {
  const [first, ...others] = declared;
  if (first === undefined) throw new Error('nothing is declared');
  expect(driftOf(page, others)).toEqual([expect.stringContaining('has, and the code not: | `recovering`')]);
  expect(driftOf(page, [...declared, { ...first, name: 'unheard of' }])).toEqual([
    expect.stringContaining('lacks: | `unheard of`'),
  ]);
  expect(driftOf(page, [{ ...first, fields: [] }, ...others])).toHaveLength(2);
  expect(driftOf(page, [...others, first])).toEqual(['docs/events.md has rows in another order']);
  expect(driftOf(page, [{ ...first, when: '' }, ...others])).toContain("'recovering' has no doc comment");
  expect(withEventTables(withEventTables(page, []), declared)).toBe(page);
});

test('what nothing records is found', () => {
  expect(unusedOf(declared.slice(0, 2), "event('recovering')")).toEqual(["nothing records 'surveying'"]);
});
