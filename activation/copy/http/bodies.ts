import type { Activation, CycleView } from '../core/io.js';

/** `GET /v1/status` of a copy of a pull cycle. Instants are milliseconds since 1970 by the data server's clock. */
export interface CycleCopyStatusBody {
  readonly node: string;
  readonly role: 'cycle-copy';
  /** Where its data server is. */
  readonly from: string;
  /** What the content is called in the paths of reads. */
  readonly dataSet: string;
  readonly state: CycleView['state'];
  /** Why it isn't current; empty when it is. */
  readonly reason: string;
  /** The cycle that readers see; null: none yet. */
  readonly active: number | null;
  readonly staged: number | null;
  readonly entries: number;
  readonly stateDigest: string | null;
  readonly table: {
    readonly source: string;
    readonly cycle: number;
    readonly activateAtMs: number;
    readonly intervalMs: number;
    readonly activeCycle: number;
    /** How long ago it was read. */
    readonly readMsAgo: number;
  } | null;
  /** What waits for its instant. */
  readonly armed: { readonly cycle: number; readonly activateAtMs: number; readonly inMs: number } | null;
  readonly clock: { readonly nowMs: number; readonly errorMs: number } | null;
  readonly retrieval: { readonly cycle: number; readonly durationMs: number; readonly longestMs: number } | null;
  readonly lastActivation: Activation | null;
}
