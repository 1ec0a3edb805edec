import type { MemberBody } from '../../../shared/http/bodies.js';
import type { LiveDataSet, LiveRound, LiveStatus } from '../../http/live-bodies.js';
import type { DataSet, Group } from './model.js';
import { withRounds, withStatus } from './model.js';

/** What a master would send, for the tests of the page. Its clock is a minute ahead of the browser's. */
export const nowMs = Date.parse('2026-11-21T12:00:00Z');
export const masterAheadMs = 60_000;

export function member(node: string, changes: Partial<MemberBody> = {}): MemberBody {
  return {
    node,
    live: true,
    state: 'current',
    tip: tip(12),
    behind: 0,
    behindMs: 0,
    heardMsAgo: 100,
    lastVote: { version: 12, yes: true, reason: '' },
    lastVeto: null,
    inDoubt: 0,
    oldestInDoubtMs: null,
    roundTripMs: 0.4,
    repairs: 0,
    snapshots: 0,
    resyncs: {},
    ...changes,
  };
}

export function tip(version: number): { epoch: number; version: number; chainId: string } {
  return { epoch: 3, version, chainId: String(version).padStart(32, '0') };
}

export function dataSetOf(members: readonly MemberBody[], changes: Partial<LiveDataSet> = {}): LiveDataSet {
  return {
    dataSet: 'prices',
    phase: 'leading',
    epoch: 3,
    tip: tip(12),
    mayCommit: true,
    entries: 3,
    queued: 0,
    openRounds: [],
    armed: null,
    activation: null,
    historyBytes: 100,
    members,
    gone: [],
    ...changes,
  };
}

export function status(dataSets: readonly LiveDataSet[], whole = true): LiveStatus {
  return { at: new Date(nowMs + masterAheadMs).toISOString(), node: 'master', whole, dataSets };
}

export function round(version: number, changes: Partial<LiveRound> & { readonly agoMs?: number } = {}): LiveRound {
  const { agoMs = 1000, ...rest } = changes;
  return {
    round: `3.1f0c9a77.${version}`,
    version,
    phases: 'two',
    startedAt: new Date(nowMs + masterAheadMs - agoMs).toISOString(),
    outcome: 'committed',
    reason: null,
    decidedMs: 10,
    exposedMs: 12,
    operations: 1,
    bytes: 100,
    votes: [],
    missing: [],
    activation: null,
    yes: 3,
    no: 0,
    silent: 0,
    isShort: false,
    ...rest,
  };
}

export function veto(version: number, node: string, reason: string, agoMs = 1000): LiveRound {
  return round(version, {
    agoMs,
    outcome: 'aborted',
    reason: 'refused',
    exposedMs: null,
    yes: 0,
    no: 1,
    votes: [{ node, yes: false, reason, afterMs: 4 }],
  });
}

/** The group as the page knows it once this was told. */
export function groupOf(dataSet: LiveDataSet, rounds: readonly LiveRound[] = []): { group: Group; dataSet: DataSet } {
  const told = withStatus(null, status([dataSet]), nowMs);
  const group = withRounds(told, { at: '', dataSet: dataSet.dataSet, whole: true, rounds });
  const known = group?.dataSets.get(dataSet.dataSet);
  if (group === null || known === undefined) throw new Error('the page knows nothing of what it was told');
  return { group, dataSet: known };
}
