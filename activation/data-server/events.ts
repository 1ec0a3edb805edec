import type { EventShape } from '../../shared/protocol/kernel/events.js';

/** Everything that a data server records. `docs/events.md` is made of this. */
export interface DataServerEvents {
  /** The first server after the activation time rolled the cycle; `missed` intervals had nobody come. */
  readonly 'cycle rolled': EventShape<
    'info',
    {
      readonly by: string;
      readonly cycle: number;
      readonly activateAtMs: number;
      readonly activated: number;
      readonly staged: number;
      readonly missed: number;
    }
  >;
  /** Somebody wanted to roll while another had the lock. */
  readonly 'roll refused': EventShape<
    'info',
    { readonly by: string; readonly holder: string; readonly untilMs: number }
  >;
  /** Production was staged in between, by hand. */
  readonly 'cycle promoted': EventShape<
    'info',
    { readonly cycle: number; readonly staged: number; readonly activateAtMs: number }
  >;
  /** The next activation was put to another instant, by hand. */
  readonly 'activation moved': EventShape<'info', { readonly cycle: number; readonly activateAtMs: number }>;
  /** Another interval, from the next roll on. */
  readonly 'interval changed': EventShape<'info', { readonly wasMs: number; readonly intervalMs: number }>;
  /** The database has an interval of its own, and keeps it: what the start asked for is for a new one. */
  readonly 'interval kept': EventShape<'warn', { readonly askedMs: number; readonly intervalMs: number }>;
  /** A server took longer to retrieve than the interval is: it can't be in time for every activation. */
  readonly 'retrieval too long': EventShape<
    'warn',
    { readonly by: string; readonly cycle: number; readonly durationMs: number; readonly intervalMs: number }
  >;
  /** The database doesn't do what it's asked for. */
  readonly 'database failed': EventShape<'error', { readonly reason: string }>;
  /** A connection to the database broke while nobody used it; the next use makes another. */
  readonly 'connection lost': EventShape<'warn', { readonly reason: string }>;
  /** The database does what it's asked for again. */
  readonly 'database back': EventShape<'info', { readonly failedMs: number }>;
}
