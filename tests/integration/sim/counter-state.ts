import { hash } from 'node:crypto';
import { Packr } from 'msgpackr';
import type { Digest } from '../../../shared/protocol/kernel/ids.js';

/**
 * A data set whose changes may not be applied twice, nor left out, nor in another order: a running sum, a count, and a
 * hash over everything that was ever added. A change on the wrong base, a step skipped or repeated shows in the digest
 * for good.
 */
export interface CounterState {
  readonly count: number;
  readonly total: number;
  readonly hash: string;
}

export const emptyCounter: CounterState = { count: 0, total: 0, hash: '' };

export interface CounterOperation {
  /** Unique in the run. */
  readonly id: string;
  readonly add: number;
  /** Slaves that will veto it. */
  readonly vetoedBy: readonly string[];
  /** Makes a change as large as a test wants it. */
  readonly padding: Uint8Array;
}

export type CounterChange =
  | { readonly kind: 'operations'; readonly operations: readonly CounterOperation[] }
  | { readonly kind: 'whole'; readonly state: CounterState };

const packr = new Packr({ useRecords: false });

export function packChange(change: CounterChange): Uint8Array {
  return new Uint8Array(packr.pack(change));
}

/** These bytes come from the layer of the same kind on the other side, checked by digest on the way. */
export function unpackChange(bytes: Uint8Array): CounterChange {
  return packr.unpack(bytes) as CounterChange;
}

/** Blind on purpose: whatever the base is, the change goes on top of it. */
export function applyChange(state: CounterState, change: CounterChange): CounterState {
  return change.kind === 'whole' ? change.state : change.operations.reduce(applyOperation, state);
}

function applyOperation(state: CounterState, operation: CounterOperation): CounterState {
  const name = Buffer.from(`${state.hash}|${operation.id}|${operation.add}|`);
  const digest = hash('sha256', Buffer.concat([name, operation.padding]), 'hex');
  return { count: state.count + 1, total: state.total + operation.add, hash: digest.slice(0, 32) };
}

export function digestOfState(state: CounterState): Digest {
  const text = `${state.count}|${state.total}|${state.hash}`;
  return hash('sha256', text, 'hex').slice(0, 32) as Digest;
}

/** A snapshot in several small chunks, so that transfers can be cut in the middle. */
export async function* chunksOf(state: CounterState): AsyncIterable<Uint8Array> {
  const bytes = packChange({ kind: 'whole', state });
  for (let offset = 0; offset < bytes.byteLength; offset += snapshotChunkBytes) {
    yield bytes.slice(offset, offset + snapshotChunkBytes);
  }
}

export async function stateFrom(chunks: AsyncIterable<Uint8Array>): Promise<CounterState> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return applyChange(emptyCounter, unpackChange(Buffer.concat(parts)));
}

const snapshotChunkBytes = 24;
