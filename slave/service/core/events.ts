import type { EventShape } from '../../../shared/protocol/kernel/events.js';
import type { HealPermission } from '../../../shared/protocol/wire/messages.js';

/** What a slave's core records. `docs/events.md` is made of this. */
export interface SlaveCoreEvents {
  /** The copy is open, with so many rounds in doubt from the run before. */
  readonly started: EventShape<'info', { readonly tip: string; readonly inDoubt: number }>;
  /** A master of this slave's epoch is heard, again or for the first time. */
  readonly 'master heard': EventShape<'info', { readonly master: string; readonly epoch: number }>;
  /** The master said goodbye. */
  readonly 'master left': EventShape<'info', { readonly epoch: number }>;
  /** A claiming master was granted an epoch, durably. */
  readonly promised: EventShape<'info', { readonly epoch: number; readonly to: string }>;
  /** The master took this slave as a member. */
  readonly welcomed: EventShape<'info', { readonly slot: number; readonly epoch: number }>;
  /** The master refuses this slave. */
  readonly refused: EventShape<
    'error',
    {
      readonly by: string;
      readonly reason: 'name-taken' | 'cloned-store' | 'group-full' | 'forgotten';
      readonly text: string;
    }
  >;
  /** This slave vetoed a change, and why. */
  readonly 'voted no': EventShape<
    'info',
    { readonly round: string; readonly version: number; readonly reason: string }
  >;
  /** Readers see a version from now on. */
  readonly exposed: EventShape<'debug', { readonly version: number; readonly epoch: number }>;
  /** A prepared round ended without effect here. */
  readonly 'round ended': EventShape<
    'info',
    { readonly round: string; readonly version: number; readonly outcome: 'aborted' | 'superseded' }
  >;
  /** Started with a round that was voted yes and whose decision isn't known. */
  readonly 'round in doubt': EventShape<'warn', { readonly round: string; readonly version: number }>;
  /** A master answered what became of a round. */
  readonly 'round resolved': EventShape<
    'info',
    { readonly version: number; readonly outcome: 'committed' | 'aborted' | 'superseded' | 'unknown' }
  >;
  /** The operator's word on a round in doubt. */
  readonly 'resolved by operator': EventShape<
    'warn',
    {
      readonly round: string;
      readonly version: number;
      readonly outcome: 'committed' | 'aborted';
      readonly by: string;
    }
  >;
  /** A scheduled change is decided: this slave exposes it at the instant, unasked. It is on disk. */
  readonly armed: EventShape<'info', { readonly version: number; readonly at: string; readonly clockErrorMs: number }>;
  /** Armed before this start, and since. */
  readonly 'still armed': EventShape<'info', { readonly version: number; readonly at: string }>;
  /** The arming was taken back, on disk too. */
  readonly disarmed: EventShape<'info', { readonly version: number }>;
  /** The instant of a scheduled change has come, and readers see it. `lateMs` is by this slave's clock, which is off by `clockErrorMs` at most. */
  readonly activated: EventShape<
    'info',
    { readonly version: number; readonly lateMs: number; readonly clockErrorMs: number }
  >;
  /** Readers see it later than clocks explain, or this slave doesn't know how late. It wasn't current in between. */
  readonly 'activated late': EventShape<
    'warn',
    { readonly version: number; readonly lateMs: number | null; readonly clockErrorMs: number | null }
  >;
  /** The instant may have come, and this slave can't tell: it isn't current until it can, or the master says so. */
  readonly 'activation waits': EventShape<'warn', { readonly version: number; readonly clockErrorMs: number | null }>;
  /** The user layer could not commit what is committed: the copy stops serving, and it is tried again. */
  readonly 'commit failed': EventShape<'error', { readonly version: number; readonly reason: string }>;
  /** It could, after having failed: the copy serves again. */
  readonly 'commit succeeded': EventShape<'info', { readonly version: number }>;
  /** The user layer threw in `abort`, or took too long. */
  readonly 'abort failed': EventShape<'error', { readonly version: number; readonly reason: string }>;
  /** After a restart the user layer says no to what it had accepted; the yes stands. */
  readonly 'prepare failed after restart': EventShape<
    'error',
    { readonly round: string; readonly version: number; readonly reason: string }
  >;
  /** The master's history doesn't reach back to this copy: a snapshot follows, or it has diverged. */
  readonly 'delta too old': EventShape<'info', { readonly from: string; readonly onChain: boolean }>;
  /** Deltas or a snapshot are fetched over TCP. */
  readonly 'transfer started': EventShape<'info', { readonly mode: 'deltas' | 'snapshot'; readonly to: string }>;
  /** That transfer is over; `error` says why when it was cut. */
  readonly 'transfer ended': EventShape<
    'info' | 'warn',
    { readonly mode: 'deltas' | 'snapshot'; readonly to: string; readonly error: string | null }
  >;
  /** This copy holds what isn't on the master's chain; `heal` is who lets it take the master's by itself. */
  readonly diverged: EventShape<
    'error',
    { readonly tip: string; readonly master: string; readonly heal: HealPermission }
  >;
  /** The copy is no longer *current*, because the machine was asleep. */
  readonly 'lease dropped': EventShape<'warn', { readonly reason: string }>;
  /** The group time is known, to within `errorMs`; `era` counts the master's sleeps. */
  readonly 'clock known': EventShape<'debug', { readonly errorMs: number; readonly era: number }>;
  /** What the master's clock shows can't be, after what it showed before: one of the two ran too fast, or stood still unnoticed. */
  readonly 'clock contradicted': EventShape<'warn', { readonly errorMs: number }>;
  /** A write failed: the data set is over in this process. */
  readonly 'store failed': EventShape<'error', { readonly error: string }>;
}
