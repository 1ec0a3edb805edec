import type { EventShape } from '../../shared/protocol/kernel/events.js';
import type { HaltCode } from './core/io.js';

/** What a data set at a master records beside its core. `docs/events.md` is made of this. */
export interface MasterServiceEvents {
  /** The user layer's `open` failed: `register` rejects. */
  readonly 'open-failed': EventShape<'error', { readonly reason: string }>;
  /** A callback of the user layer failed after the decision, which stands. */
  readonly 'callback-failed': EventShape<
    'error',
    { readonly callback: string; readonly version: number; readonly reason: string }
  >;
  /** The data set takes no more changes in this process, and why. */
  readonly halted: EventShape<'error', { readonly code: HaltCode; readonly reason: string }>;
}
