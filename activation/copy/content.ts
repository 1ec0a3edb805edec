import type { ChainId, Tip, Version } from '../../shared/protocol/kernel/ids.js';
import { noEpoch } from '../../shared/protocol/kernel/ids.js';
import type { Columns } from '../../shared/protocol/key-value/change-codec.js';
import type { Cycle } from './core/io.js';

/** What a retrieval brought: the changes that lead from the content of one cycle to that of another. */
export interface Content {
  readonly source: string;
  readonly cycle: Cycle;
  /** Null: the changes are the whole content. */
  readonly from: Cycle | null;
  readonly columns: Columns;
}

/** Cycle 0 is the empty content before the first activation: it has no tip. */
export function tipOf(cycle: Cycle): Tip | null {
  if (cycle === 0) return null;
  return { epoch: noEpoch, version: cycle as Version, chain: '0'.repeat(32) as ChainId };
}
