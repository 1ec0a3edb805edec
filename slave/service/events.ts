import type { EventShape } from '../../shared/protocol/kernel/events.js';
import type { HaltCode } from './core/io.js';

/** What a data set at a slave records beside its core. `docs/events.md` is made of this. */
export interface SlaveServiceEvents {
  /** The user layer's `open` failed: `register` rejects. */
  readonly 'open-failed': EventShape<'error', { readonly reason: string }>;
  /** The service's record of a change could not be written; the user layer has it already. */
  readonly 'record-not-written': EventShape<'error', { readonly reason: string }>;
  /** How far a transfer over TCP has come: each second, and at its end. */
  readonly 'transfer-progress': EventShape<
    'info',
    {
      readonly mode: 'deltas' | 'snapshot';
      readonly version: number;
      readonly bytes: number;
      readonly ms: number;
    }
  >;
  /** The diverged copy was put aside, before the master's replaced it. */
  readonly 'old-copy-kept': EventShape<'warn', { readonly version: number }>;
  /** The diverged copy is gone: its user layer offers no snapshot. */
  readonly 'old-copy-not-kept': EventShape<'warn', { readonly version: number }>;
  /** The data set gets no more changes in this process, and why. The copy stays readable. */
  readonly halted: EventShape<'error', { readonly code: HaltCode; readonly reason: string }>;
}
