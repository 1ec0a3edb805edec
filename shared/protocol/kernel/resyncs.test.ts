import { expect, test } from 'vitest';
import type { ChainId, Tip, Version } from './ids.js';
import { limits } from './limits.js';
import { Resyncs } from './resyncs.js';

const at = (version: number): Tip => ({
  epoch: { number: 1, claimant: 'c'.repeat(32) },
  version: version as Version,
  chain: String(version).padStart(32, '0') as ChainId,
});

test('counts a resync once, however often it asks until it is where it was going', () => {
  const resyncs = new Resyncs();
  resyncs.onAsked(at(3), at(9), 6);
  resyncs.onAsked(at(3), at(9), 6);
  resyncs.onAsked(at(7), at(12), 5);
  expect(resyncs.counts).toEqual({ gap: 1 });
  resyncs.onAsked(at(9), at(12), 3);
  expect(resyncs.counts).toEqual({ gap: 2 });
});

test('tells the causes apart', () => {
  const resyncs = new Resyncs();
  resyncs.onAsked(null, at(500), 500);
  resyncs.onAsked(at(500), at(501), 1);
  resyncs.onAsked(at(501), at(502 + limits.voterLagVersions), limits.voterLagVersions + 1);
  expect(resyncs.counts).toEqual({ new: 1, gap: 1, 'fell-behind': 1 });
});

test('counts what a resync turns into beside what it began as, once', () => {
  const resyncs = new Resyncs();
  resyncs.onAsked(at(3), at(9), 6);
  resyncs.onTurnedInto('too-old', at(9));
  resyncs.onTurnedInto('too-old', at(9));
  resyncs.onReached(at(9));
  resyncs.onTurnedInto('too-old', at(20));
  resyncs.onTurnedInto('diverged', at(20));
  expect(resyncs.counts).toEqual({ gap: 1, 'too-old': 2, diverged: 1 });
});

test('a new reign may begin at an older version', () => {
  const resyncs = new Resyncs();
  resyncs.onAsked(at(3), at(900), 897);
  resyncs.onNewReign();
  resyncs.onAsked(at(3), at(5), 2);
  expect(resyncs.counts).toEqual({ 'fell-behind': 1, gap: 1 });
});
