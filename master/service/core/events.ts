import type { EventShape } from '../../../shared/protocol/kernel/events.js';
import type { AbortReason } from '../../../shared/protocol/kernel/outcome.js';

/** What a master's core records. `docs/events.md` is made of this. */
export interface MasterCoreEvents {
  /** The original isn't at what was committed: its user layer is asked to `recover`. */
  readonly recovering: EventShape<
    'info',
    { readonly original: string; readonly committed: string; readonly missing: number }
  >;
  /** The master looks whether it may lead. */
  readonly surveying: EventShape<'info', { readonly registered: number; readonly tip: string }>;
  /** The master asks for an epoch. */
  readonly claimed: EventShape<'info', { readonly epoch: number }>;
  /** The master takes the copy of a slave as its original (`adoptFrom`). */
  readonly adopting: EventShape<'warn', { readonly from: string; readonly tip: string }>;
  /** The master leads; changes go out from now on. */
  readonly leading: EventShape<
    'info',
    { readonly epoch: number; readonly tip: string; readonly promised: number; readonly registered: number }
  >;
  /** A round of two phases began: its prepare leaves. */
  readonly 'round started': EventShape<
    'debug',
    { readonly round: number; readonly version: number; readonly voters: number }
  >;
  /** A voter said no; the round aborts. */
  readonly vetoed: EventShape<
    'info',
    { readonly round: number; readonly version: number; readonly node: string; readonly reason: string }
  >;
  /** A round is decided, durably: its commit leaves. */
  readonly committed: EventShape<'debug', { readonly round: number; readonly version: number; readonly yes: number }>;
  /** A round ended without effect. */
  readonly aborted: EventShape<
    'info',
    { readonly round: number; readonly version: number; readonly reason: AbortReason }
  >;
  /** A scheduled change is decided, durably; its voters are told to expose it at the instant, unasked. */
  readonly armed: EventShape<'info', { readonly version: number; readonly at: string; readonly voters: number }>;
  /** All of its voters reported that they will. */
  readonly 'armed everywhere': EventShape<'info', { readonly version: number; readonly nodes: number }>;
  /** This master started again before the instant: what was armed still is. */
  readonly 'arming carried over': EventShape<
    'info',
    { readonly version: number; readonly at: string; readonly voters: number }
  >;
  /** The instant has come; the original exposes it. */
  readonly activated: EventShape<'info', { readonly version: number; readonly lateMs: number }>;
  /** The original exposes it later than clocks explain: this master didn't run, or didn't lead, at the instant. */
  readonly 'activated late': EventShape<'warn', { readonly version: number; readonly lateMs: number }>;
  /**
   * Each voter told when it exposed it. `spreadMs` lies between the first and the last, by their own clocks; the true spread is
   * at most `boundMs`. Absent when none knew the time.
   */
  readonly 'activated everywhere': EventShape<
    'info',
    {
      readonly version: number;
      readonly nodes: number;
      readonly spreadMs: number | null;
      readonly boundMs: number | null;
    }
  >;
  /** A scheduled change was taken back before its instant, at all that may have been armed. */
  readonly 'activation cancelled': EventShape<'info', { readonly version: number }>;
  /** It wasn't, since these didn't confirm in time: it stands, and all are armed again. */
  readonly 'cancellation failed': EventShape<'warn', { readonly version: number; readonly missing: string }>;
  /** A change of one phase is durable at the master, and leaves. */
  readonly announced: EventShape<'debug', { readonly version: number }>;
  /** A slave that was never seen before is a member from now on. */
  readonly 'member joined': EventShape<'info', { readonly node: string; readonly slot: number }>;
  /** A member is back after a restart. */
  readonly 'member returned': EventShape<'info', { readonly node: string; readonly slot: number }>;
  /** A member said goodbye. */
  readonly 'member left': EventShape<'info', { readonly node: string }>;
  /** The operator dropped a member. */
  readonly 'member forgotten': EventShape<'info', { readonly node: string }>;
  /** A member is too far behind to vote, and why: it is brought up to date first. */
  readonly 'member moved to catch-up': EventShape<
    'info' | 'warn',
    { readonly node: string; readonly behind: number | null; readonly cause: string }
  >;
  /** A member has what is committed, and votes. */
  readonly 'member caught up': EventShape<'info', { readonly node: string }>;
  /** A member did not vote in time: it gets no lease, and no vote, until it has caught up. */
  readonly 'member fenced': EventShape<'warn', { readonly node: string; readonly reason: string }>;
  /** A slave holds something newer than this master: see "diverged" under operations. */
  readonly 'member ahead': EventShape<'error', { readonly node: string; readonly tip: number | undefined }>;
  /** A slave may not join. */
  readonly 'join refused': EventShape<
    'warn',
    { readonly node: string; readonly reason: 'name-taken' | 'cloned-store' | 'group-full' | 'forgotten' }
  >;
  /** A slave may fetch deltas or a snapshot over TCP. */
  readonly 'transfer offered': EventShape<
    'info',
    { readonly node: string; readonly mode: 'deltas' | 'snapshot'; readonly version: number }
  >;
  /** That transfer is over; `error` says why when it was cut. */
  readonly 'transfer ended': EventShape<
    'info' | 'warn',
    { readonly to: string | undefined; readonly error: string | null }
  >;
  /**
   * The time of day leapt ahead: it was set, or the machine slept, and group time stood still meanwhile. Slaves measure it
   * anew; `era` counts how often.
   */
  readonly 'clock jumped': EventShape<'warn', { readonly byMs: number; readonly era: number }>;
  /** A round of an earlier master, whose outcome nobody here knew, is settled by what that master told. */
  readonly 'round told by its master': EventShape<
    'info',
    { readonly version: number; readonly epoch: number; readonly outcome: string }
  >;
}
