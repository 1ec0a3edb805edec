import { expect, it } from 'vitest';
import { leading } from '../harness/leading.js';

const versions = (deltas: readonly { readonly to: { readonly version: number } }[] | null): unknown =>
  deltas?.map(({ to }) => to.version) ?? null;

it('tells the committed changes above a version, and nothing of an open round', () => {
  const group = leading(['a']);
  for (const version of [1, 2, 5]) group.replicate(version);
  group.run(100);
  group.passes = (packet) => packet.message.kind !== 'vote';
  group.replicate(6, { timeoutMs: 60_000 });
  group.run(100);
  const { committed } = group.master.core;
  expect(versions(committed.after(0, 10))).toEqual([1, 2, 5]);
  expect(versions(committed.after(3, 10)), 'from between two versions').toEqual([5]);
  expect(versions(committed.after(0, 2))).toEqual([1, 2]);
  expect(versions(committed.after(5, 10))).toEqual([]);
  expect([1, 2, 3, 5, 6].map((version) => committed.tipAt(version)?.version ?? null)).toEqual([1, 2, null, 5, null]);
});

it('says when the history no longer reaches back, though it still knows the names', () => {
  const group = leading(['a'], { historyBytes: 2 });
  for (let version = 1; version <= 9; version += 1) group.replicate(version, { phases: 'one' });
  group.run(100);
  const { committed } = group.master.core;
  const oldest = committed.oldestVersion ?? 0;
  expect(oldest).toBeGreaterThan(1);
  expect(committed.after(oldest - 1, 10)).toBeNull();
  expect(versions(committed.after(oldest, 1))).toEqual([oldest + 1]);
  expect(committed.tipAt(1)?.version).toBe(1);
});

it('goes on from what a restarted master finds on its disk', () => {
  const group = leading(['a']);
  for (const version of [1, 2]) group.replicate(version);
  group.run(100);
  group.restartMaster();
  group.run(6000);
  expect(versions(group.master.core.committed.after(0, 10))).toEqual([1, 2]);
});
