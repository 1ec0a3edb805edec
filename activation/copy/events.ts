import type { EventShape } from '../../shared/protocol/kernel/events.js';
import type { CycleCopyCoreEvents } from './core/events.js';

/** What a copy of a pull cycle records beside its core. `docs/events.md` is made of this. */
export interface CycleCopyServiceEvents {
  /** The store failed: what shows stays, and nothing follows it in this process. */
  readonly 'copy failed': EventShape<'error', { readonly reason: string }>;
  /** An account for the data server did not arrive; nothing depends on it. */
  readonly 'report lost': EventShape<'debug', { readonly what: 'retrieval' | 'activation'; readonly reason: string }>;
}

/** Everything that a copy of a pull cycle tells through `on` and its log, by name: `docs/events.md`. */
export type CycleCopyEvents = CycleCopyCoreEvents & CycleCopyServiceEvents;
