import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { Delta, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { epoch } from '../../tests/support/fake-master-data-set.js';
import { RouteTable } from './route-table.example.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-routes-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function started(table: RouteTable, from: Tip | null, patch: Readonly<Record<string, string | null>>): Delta {
  const { version, delta } = table.change(patch);
  return issueDelta(from, epoch, version as Version, delta);
}

it('keeps the contract: committed is durable with its tip, an aborted change leaves nothing, recovery goes forward', () => {
  const table = new RouteTable(join(folder, 'routes.json'));
  expect(table.open()).toBeNull();
  const v1 = started(table, null, { '10.0.0.0/8': '192.0.2.1' });
  expect(table.delta(null, { version: 1 })).toEqual(v1.bytes);
  expect(table.routes).toEqual({});
  table.committed(v1);
  started(table, v1.to, { '10.0.0.0/8': null });
  table.restore();
  expect(table.routes).toEqual({ '10.0.0.0/8': '192.0.2.1' });
  const v3 = started(table, v1.to, { '10.0.0.0/8': null, '172.16.0.0/12': '192.0.2.2' });
  expect(v3.to.version).toBe(3);
  const again = new RouteTable(table.file);
  expect(again.open()).toEqual(v1.to);
  again.recover(v3.to, [v3]);
  expect(again.routes).toEqual({ '172.16.0.0/12': '192.0.2.2' });
  const third = new RouteTable(table.file);
  expect(third.open()).toEqual(v3.to);
  expect(() => third.recover(v1.to, [])).toThrow("isn't at what was committed");
});

it('gives a snapshot of the moment', async () => {
  const table = new RouteTable(join(folder, 'routes.json'));
  const v1 = started(table, null, { a: 'b' });
  table.committed(v1);
  const snapshot = table.snapshot();
  table.committed(started(table, v1.to, { a: 'c' }));
  const chunks: Uint8Array[] = [];
  for await (const chunk of snapshot) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe('{"a":"b"}');
});

it('stands in the documentation as it is here', () => {
  const withoutImports = (text: string): string => text.replaceAll(/^import type .*\n/gm, '');
  const document = readFileSync(new URL('../../docs/user-layer.md', import.meta.url), 'utf8');
  const source = readFileSync(new URL('./route-table.example.ts', import.meta.url), 'utf8');
  expect(withoutImports(document)).toContain(withoutImports(source));
});
