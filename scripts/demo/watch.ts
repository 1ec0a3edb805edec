import { setTimeout as pause } from 'node:timers/promises';
import { versionText } from '../../cli/status-text.js';
import type { EntryBody, MasterDataSetBody, SlaveDataSetBody, StatusBody } from '../../shared/http/bodies.js';
import type { Json } from '../../shared/protocol/key-value/operations.js';
import type { DemoNode } from './processes.js';

/** One line of the table: what a node says of itself. */
export interface NodeRow {
  readonly node: string;
  readonly role: 'master' | 'slave';
  readonly state: string;
  /** As people write it, `e1 v3`. */
  readonly version: string | null;
  readonly behind: number | null;
  readonly digest: string | null;
  readonly entries: number | null;
  readonly snapshots: number | null;
  readonly repairs: number | null;
  readonly inDoubt: number;
}

const pollMs = 20;
const requestMs = 2000;

/** The demo's own eyes: everything that it says was read over HTTP from the node that it says it of. */
export async function rowOf(node: DemoNode): Promise<NodeRow> {
  const status = node.isRunning ? await statusOf(node) : null;
  const empty = { node: node.name, role: node.role, version: null, behind: null, digest: null, entries: null } as const;
  const nothingCounted = { snapshots: null, repairs: null, inDoubt: 0 } as const;
  if (status === null) {
    return { ...empty, ...nothingCounted, state: node.isRunning ? 'starting' : 'killed' };
  }
  if (status.role === 'master') {
    const [own] = status.dataSets;
    if (own === undefined) return { ...empty, ...nothingCounted, state: 'starting' };
    const { phase, tip, stateDigest, entries } = own;
    return { ...empty, ...nothingCounted, state: phase, version: versionText(tip), digest: stateDigest, entries };
  }
  const [copy] = status.dataSets;
  if (copy === undefined) return { ...empty, ...nothingCounted, state: 'starting' };
  const { state, tip, heardOf, stateDigest, entries, snapshots, repairs, inDoubt } = copy;
  return {
    node: node.name,
    role: 'slave',
    state: inDoubt.length === 0 ? state : `${state}, in doubt`,
    version: versionText(tip),
    behind: heardOf === null ? null : Math.max(0, heardOf.version - (tip?.version ?? 0)),
    digest: stateDigest,
    entries,
    snapshots,
    repairs,
    inDoubt: inDoubt.length,
  };
}

export async function rowsOf(nodes: readonly DemoNode[]): Promise<readonly NodeRow[]> {
  return Promise.all(nodes.map(rowOf));
}

export async function masterStatus(node: DemoNode): Promise<MasterDataSetBody | null> {
  const status = await statusOf(node);
  return status?.role === 'master' ? (status.dataSets[0] ?? null) : null;
}

export async function slaveStatus(node: DemoNode): Promise<SlaveDataSetBody | null> {
  const status = await statusOf(node);
  return status?.role === 'slave' ? (status.dataSets[0] ?? null) : null;
}

/** What a node answers a reader of one key; null when it has no such key, or doesn't answer. */
export async function readValue(node: DemoNode, dataSet: string, key: string): Promise<Json | null> {
  const body = await read(`${node.url}/v1/data/${encodeURIComponent(dataSet)}/${encodeURIComponent(key)}`);
  return body === null ? null : (body as EntryBody).value;
}

/** Looks again and again until `look` finds what it looks for; null when the deadline comes first. */
export async function waitFor<Found>(look: () => Promise<Found | null>, deadlineMs: number): Promise<Found | null> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== null || performance.now() > endMs) return found;
    await pause(pollMs);
  }
}

async function statusOf(node: DemoNode): Promise<StatusBody | null> {
  return (await read(`${node.url}/v1/status`)) as StatusBody | null;
}

async function read(url: string): Promise<unknown> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(requestMs) });
    return response.status === 200 ? await response.json() : null;
  } catch {
    return null;
  }
}
