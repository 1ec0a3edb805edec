/** Every bound of a copy that follows a pull cycle, with the reason for it. Times are milliseconds, sizes are bytes. */
export const cycleBounds = {
  /**
   * The clock and the table are read again after this: it carries the lease below, and connections that idle longer are
   * closed by many servers and clients, so that the next reading would pay for a new one.
   */
  readEveryMs: 3000,
  /** How long a copy calls itself current without having read the table again: two readings may be lost in a row. */
  leaseMs: 10_000,
  /** Before the instant the clock is read more often: what it drifts between readings is part of the error. */
  nearMs: 10_000,
  readNearMs: 1000,
  soonMs: 2000,
  readSoonMs: 250,
  /** A promotion in between leaves a tenth of the interval to notice it: read at least twice in that time, … */
  readShare: 20,
  /** … but no more often than this. */
  readMinMs: 25,
  /** No reading begins so shortly before the instant: its answer would be handled when the timer is due. */
  quietMs: 20,
  /** The copies ask to roll spread over this, and over no more than a twentieth of the interval: one is enough. */
  rollSpreadMs: 500,
  rollSpreadShare: 20,
  /** The data server's clock may be a little behind the one here when the instant comes: asked again after this. */
  rollAgainMs: 20,
  /** Retry of what failed: never sooner than this, doubling to the slowest. */
  retryMinMs: 100,
  retryMaxMs: 5000,
  /** An activation that shows itself later than this after its instant, as far as the clock tells, is a late one. */
  lateMs: 50,
  /** An answer about the table is small: what takes longer is lost. */
  askTimeoutMs: 5000,
  /** A retrieval that brings nothing for so long is given up, and begun again. */
  idleMs: 10_000,
  /** One answer with content is parsed as a whole. */
  maxContentBytes: 256 * 1024 * 1024,
  /** States that a slow reader of `changes()` may lag behind before it is given the newest only. */
  changesBuffered: 64,
} as const;
