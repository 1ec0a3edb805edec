import type { EventShape } from '../../../shared/protocol/kernel/events.js';

/** Instants are milliseconds since 1970 by the data server's clock. */
type Activated = {
  readonly cycle: number;
  readonly activateAtMs: number | null;
  readonly reachedMs: number;
  readonly errorMs: number;
  readonly afterMs: number | null;
};

/** What a copy of a pull cycle records. `docs/events.md` is made of this. */
export interface CycleCopyCoreEvents {
  /** The data server gave no usable answer: asked again and again, and told once. The copy goes on serving. */
  readonly 'data server unreached': EventShape<'warn', { readonly reason: string }>;
  /** The data server answers, first or again. */
  readonly 'data server heard': EventShape<
    'info',
    {
      readonly cycle: number;
      readonly activateAtMs: number;
      readonly intervalMs: number;
      readonly clockErrorMs: number;
    }
  >;
  /** What the data server's clock shows doesn't fit what it showed before: it was restarted or set, and is measured anew. */
  readonly 'data server clock moved': EventShape<'warn', { readonly reason: string }>;
  /** The machine may have slept, or its wall clock was set: the data server's clock is measured anew. */
  readonly 'clock in doubt': EventShape<'warn', { readonly byMs: number }>;
  /** This copy was the first after the instant: the data server has moved staged to active, and production to staged. */
  readonly rolled: EventShape<'info', { readonly cycle: number; readonly activateAtMs: number }>;
  /** Another one rolls, or died while it did: asked again, at the latest when its lock is over. */
  readonly 'roll locked': EventShape<'info', { readonly holder: string; readonly untilMs: number }>;
  /** The active content was taken from the data server and shows: at a new or returning copy, or after a missed activation. */
  readonly 'active taken': EventShape<
    'info',
    { readonly cycle: number; readonly from: number | null; readonly changes: number }
  >;
  /** The staged content is here, and durable. `durationMs`: of the attempt that succeeded; `wantedMs`: since the first one. */
  readonly retrieved: EventShape<
    'info',
    {
      readonly cycle: number;
      readonly from: number | null;
      readonly changes: number;
      readonly durationMs: number;
      readonly wantedMs: number;
    }
  >;
  /** A retrieval failed; it is tried again until it succeeds, and told once. */
  readonly 'retrieval failed': EventShape<'warn', { readonly of: 'staged' | 'active'; readonly reason: string }>;
  /** A retrieval took longer than the interval between activations: make the interval longer. */
  readonly 'retrieval too long': EventShape<
    'warn',
    { readonly cycle: number; readonly durationMs: number; readonly intervalMs: number }
  >;
  /** The instant is set: a timer runs, by the data server's clock. */
  readonly armed: EventShape<
    'info',
    { readonly cycle: number; readonly activateAtMs: number; readonly inMs: number; readonly errorMs: number }
  >;
  /** The instant came and the staged content of its cycle isn't here: the old one stays, and isn't called current. */
  readonly 'activation missed': EventShape<'warn', { readonly cycle: number; readonly activateAtMs: number }>;
  /** The clock error is above the bound at the instant: activates when it has certainly passed. */
  readonly 'clock unsure': EventShape<
    'warn',
    { readonly cycle: number; readonly errorMs: number; readonly boundMs: number }
  >;
  /** Readers see the new content: the instant reached, how far the clock may be off, and how long after the instant. */
  readonly activated: EventShape<'info', Activated>;
  /** The same, later than it should have been; between the instant and this the copy was not current. */
  readonly 'activated late': EventShape<'warn', Activated>;
  /** The data server's cycles went back, as from a backup, or were rearranged: the copy follows. */
  readonly 'cycle went back': EventShape<'warn', { readonly from: number; readonly to: number }>;
}
