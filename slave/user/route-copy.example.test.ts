import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { issueDelta } from '../../shared/protocol/kernel/digest.js';
import type { Delta, Epoch, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { RouteCopy } from './route-copy.example.js';

const epoch: Epoch = { number: 1, claimant: 'c'.repeat(32) };
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lockstep-routes-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function change(from: Tip | null, version: number, patch: Readonly<Record<string, string | null>>): Delta {
  return issueDelta(from, epoch, version as Version, Buffer.from(JSON.stringify(patch)));
}

it('keeps the contract: prepare exposes nothing, commit is durable with its tip and idempotent, install swaps', async () => {
  const copy = new RouteCopy(join(folder, 'routes.json'), (gateway) => gateway !== '192.0.2.9');
  expect(copy.open()).toBeNull();
  const v1 = change(null, 1, { a: '192.0.2.1', b: '192.0.2.2' });
  expect(copy.prepare(v1)).toEqual({ ok: true });
  expect(copy.routes).toEqual({});
  copy.commit(v1);
  copy.commit(v1);
  expect(copy.prepare(change(v1.to, 2, { a: null, c: '192.0.2.9' }))).toEqual({
    ok: false,
    reason: 'no way to the gateway',
    refused: [1],
  });
  copy.abort();
  const v3 = change(v1.to, 3, { a: null });
  copy.commit(v3);
  const again = new RouteCopy(copy.file, () => true);
  expect(again.open()).toEqual(v3.to);
  expect(again.routes).toEqual({ b: '192.0.2.2' });
  const v9 = change(null, 9, { z: '192.0.2.1' });
  await again.install(v9.to, Readable.from([Buffer.from('{"z":'), Buffer.from('"192.0.2.1"}')]));
  expect(again.routes).toEqual({ z: '192.0.2.1' });
  expect(new RouteCopy(copy.file, () => true).open()).toEqual(v9.to);
  await expect(again.install(v3.to, Readable.from([Buffer.from('{"z":')]))).rejects.toThrow();
  expect(again.routes).toEqual({ z: '192.0.2.1' });
  const chunks: Uint8Array[] = [];
  for await (const chunk of again.snapshot()) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe('{"z":"192.0.2.1"}');
});

it('stands in the documentation as it is here', () => {
  const withoutImports = (text: string): string => text.replaceAll(/^import type .*\n/gm, '');
  const document = readFileSync(new URL('../../docs/user-layer.md', import.meta.url), 'utf8');
  const source = readFileSync(new URL('./route-copy.example.ts', import.meta.url), 'utf8');
  expect(withoutImports(document)).toContain(withoutImports(source));
});
