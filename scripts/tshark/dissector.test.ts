import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import * as registry from '../../shared/protocol/wire/registry.js';

/** `npm run tshark` tries the dissector; this holds its tables to the registry wherever there is no tshark. */

const lua = await readFile(join(import.meta.dirname, '../../deploy/wireshark/lockstep.lua'), 'utf8');

test('the dissector knows exactly the kinds that there are', () => {
  const [, table = ''] = /^local kinds = \{\n([\s\S]*?)^\}/m.exec(lua) ?? [];
  const known = [...table.matchAll(/\[(\d+)\] = "([a-z-]+)"/g)].map(([, ordinal, kind]) => [kind, Number(ordinal)]);
  expect(Object.fromEntries(known)).toEqual({ ...registry.transportOrdinals, ...registry.messageOrdinals });
});

test.each([
  ['role', registry.roles],
  ['refusal_reason', registry.refusalReasons],
  ['state', registry.slaveStates],
  ['heal', registry.healPermissions],
  ['decision', registry.decisionOutcomes],
  ['outcome', registry.resolutionOutcomes],
  ['content_kind', registry.contentKinds],
  ['bulk_mode', registry.bulkModes],
] as const)('the words of %s stand in their order', (name, words) => {
  const [, list = ''] = new RegExp(`^  ${name} = \\{ \\[0\\] = (.*) \\},$`, 'm').exec(lua) ?? [];
  expect(list.split(', ')).toEqual(words.map((word) => `"${word}"`));
});
