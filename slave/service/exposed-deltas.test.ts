import { expect, test } from 'vitest';
import { limits } from '../../shared/protocol/kernel/limits.js';
import { deltaOf, tipAt } from '../../tests/integration/process/http-fakes.js';
import { ExposedDeltas } from './exposed-deltas.js';

const change = (version: number): ReturnType<typeof deltaOf> => deltaOf(version, [{ put: ['k', version] }]);
const versions = (deltas: readonly { readonly to: { readonly version: number } }[] | null): unknown =>
  deltas?.map(({ to }) => to.version) ?? null;

test('knows what came since the start, and nothing before', () => {
  const exposed = new ExposedDeltas();
  expect([exposed.after(0, 10), exposed.oldestVersion]).toEqual([[], null]);
  exposed.begin(tipAt(4));
  expect([exposed.after(4, 10), exposed.after(3, 10), exposed.oldestVersion]).toEqual([[], null, 4]);
  for (const version of [5, 6, 7]) exposed.push(change(version));
  expect(versions(exposed.after(4, 10))).toEqual([5, 6, 7]);
  expect(versions(exposed.after(5, 1))).toEqual([6]);
  expect(exposed.after(7, 10)).toEqual([]);
  expect(exposed.after(3, 10)).toBeNull();
  expect([3, 4, 5, 7, 8].map((version) => exposed.tipAt(version)?.version ?? null)).toEqual([null, 4, 5, 7, null]);
  expect(exposed.breaks).toBe(0);
});

test('a compacted change leads on from any version that it covers', () => {
  const exposed = new ExposedDeltas();
  exposed.begin(tipAt(1));
  exposed.push({ ...change(9), from: tipAt(1) });
  expect(versions(exposed.after(5, 10))).toEqual([9]);
  expect(exposed.tipAt(5)).toBeNull();
});

test('a whole state leads on from anywhere', () => {
  const exposed = new ExposedDeltas();
  exposed.begin(tipAt(4));
  exposed.push({ ...change(9), from: null });
  expect([versions(exposed.after(0, 10)), versions(exposed.after(4, 10))]).toEqual([[9], [9]]);
});

test('a snapshot breaks it off', () => {
  const exposed = new ExposedDeltas();
  exposed.begin(tipAt(4));
  exposed.push(change(5));
  let news = 0;
  const stop = exposed.listen(() => (news += 1));
  exposed.begin(tipAt(9));
  expect([exposed.breaks, news, exposed.after(5, 10), exposed.oldestVersion]).toEqual([1, 1, null, 9]);
  stop();
  exposed.push(change(10));
  expect([news, exposed.listeners]).toEqual([1, 0]);
});

test('is bounded in number and in bytes, and always keeps the newest', () => {
  const exposed = new ExposedDeltas();
  for (let version = 1; version <= limits.exposedDeltas + 50; version += 1) exposed.push(change(version));
  expect(exposed.oldestVersion).toBe(50);
  expect(exposed.after(49, 1)).toBeNull();
  expect(versions(exposed.after(50, 1))).toEqual([51]);
  const large = new Uint8Array(limits.exposedDeltaBytes / 2);
  const at = limits.exposedDeltas + 50;
  for (const version of [at + 1, at + 2, at + 3]) exposed.push({ ...change(version), bytes: large });
  expect(versions(exposed.after(at + 1, 10))).toEqual([at + 2, at + 3]);
  expect(exposed.after(at, 10)).toBeNull();
  exposed.push({ ...change(at + 4), bytes: new Uint8Array(limits.exposedDeltaBytes + 1) });
  expect(versions(exposed.after(at + 3, 10))).toEqual([at + 4]);
});
