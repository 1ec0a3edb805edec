/** Every bound of the product, with the reason for it. Times are milliseconds, sizes are bytes. */
export const limits = {
  /** A change: it is held whole in memory at both ends while its round is open. */
  maxChangeBytes: 64 * 1024 * 1024,
  /** A change above this goes as "version only" and is fetched over TCP: datagrams would flood receive buffers. */
  maxMulticastChangeBytes: 4 * 1024 * 1024,
  /** A delta answer above this goes over TCP. */
  maxInlineDeltaBytes: 1024 * 1024,
  /** Steps in one answer of deltas: one fsync each at the slave, so more would hold its queue for long. */
  maxDeltaSteps: 4096,
  /** Changes in one chain packet, the new one included. */
  maxChainSteps: 16,
  /** Replications that wait at the master for their turn; more are refused with `queue-full`. */
  maxQueuedReplications: 10_000,
  /** Rounds open at once, for user layers that allow it. */
  maxOpenRounds: 64,
  /** Members of one data set: sizes bitmaps. */
  maxMembers: 4096,
  /** A member without a lease that lags more than this is left out of rounds while it catches up. */
  voterLagVersions: 64,
  /** Outcomes repeated in heartbeats; older ones are learnt by inquiry. */
  recentDecisions: 16,
  /** Rounds that a master keeps an account of, with their votes: 8 MiB with the largest group. */
  loggedRounds: 500,
  /** Committed rounds whose last voter is waited for, to say when all had shown them; older ones are left without. */
  unexposedRounds: 64,
  /** Settled rounds that a slave remembers beyond "all below n are settled". */
  rememberedRounds: 1024,
  /** Bytes of committed changes that wait at a slave for its user layer; beyond it the slave drops them and asks again. */
  maxPendingBytes: 128 * 1024 * 1024,
  /** Tips that the master can name as its own; a prepared round below them is answered "superseded". */
  chainTips: 100_000,
  /** The default bound on the delta history, in bytes and in age. */
  historyBytes: 64 * 1024 * 1024,
  historyAgeMs: 60 * 60 * 1000,
  /** Reigns of its own that a master remembers; it answers for no others. */
  reigns: 1000,
  /** A lease: longer than the slowest heartbeat by enough to lose two in a row. */
  leaseMs: 3000,
  /** No lease of this protocol is longer: what a new reign waits for when it can't hear everybody. */
  maxLeaseMs: 5000,
  /** The clock-rate error ρ that a node's monotonic clock may have: crystals are off by a tenth of it, and NTP slews by half of it. */
  clockRateError: 0.001,
  /** A slave arms nothing while its clock error is above this: members would switch too far apart. */
  maxClockErrorMs: 50,
  /** No activation is scheduled further ahead: an armed change holds up all that come after it. */
  activationHorizonMs: 366 * 24 * 60 * 60 * 1000,
  /**
   * After a node has shown a scheduled change it rests for so long: others of its machine may wait for a processor, for the same instant, by
   * clocks that are off by up to `maxClockErrorMs`.
   */
  afterShowingMs: 50,
  /** Before an instant that is asked for, besides a lease and the clock error: time to vote and to arm. */
  armingMarginMs: 250,
  /** Clock requests: a burst first, since of several round trips the quickest tells most, then at leisure. */
  clockBurst: 8,
  clockBurstMs: 50,
  clockEveryMs: 5000,
  /** While an instant is nearer than `clockNearMs`: an error grows by half a millisecond at most in between. */
  clockNearMs: 10_000,
  clockNearEveryMs: 250,
  /** Nobody asks for so long before the instant, and after it: the error grows by a fifth of a millisecond meanwhile. */
  clockQuietMs: 100,
  /** A vote on a change with an instant waits at most so long for the answer that makes the clock known well enough. */
  clockVoteMs: 1000,
  /** What all slaves together ask for in a second while nothing is to happen: a quiet group stays quiet, however large (G10), … */
  clockAnswersPerSecond: 20,
  /** … and while an instant is near: with keys a master signs each answer, some 50 µs. */
  clockNearAnswersPerSecond: 500,
  /** Survey by an empty master, which has no members to wait for: time for a silent group to be heard through loss. */
  surveyMs: 1000,
  /** Heartbeats: the first ones after data, and the slowest. */
  heartbeatFastMs: 100,
  heartbeatFastCount: 4,
  heartbeatSlowMs: 1000,
  /** Statuses that a heartbeat asks everybody for within one lease; while data flows, also the heartbeats within one. */
  statusesInLease: 8,
  /** Heartbeats that a slave remembers having echoed, and that a heartbeat acknowledges echoes of: those of a lease, and more. */
  acknowledgedHeartbeats: 64,
  /** What a slave exposes is told within this, so that one status acknowledges many commits; sooner when asked. */
  acknowledgeMs: 5,
  /** Retry of prepare and commit: never sooner than this, doubling to the slowest. */
  retryMinMs: 2,
  retryMaxMs: 250,
  /** Retry of delta requests and inquiries. */
  repairMinMs: 20,
  repairMaxMs: 500,
  /** Time that a callback of the user layer may take by default. */
  callbackMs: 10_000,
  /** Default deadline of a round. */
  roundTimeoutMs: 2000,
  /** A join to all: each copy of it reaches everybody. Once a master is heard it goes to that alone, and sooner. */
  joinMinMs: 100,
  joinMaxMs: 10_000,
  /** Votes that arrive together fit into a receive buffer of the usual default, 208 KiB, with room for other datagrams. */
  promptVoters: 200,
  /** Beyond them votes are spread, no faster than a master reads them: the spread costs no time that it wouldn't take. */
  votesPerMs: 50,
  /** Largest group for which a slave asks for repair without a back-off. */
  promptRepairMembers: 8,
  /** Transfers over TCP that the master serves at once. */
  bulkTransfers: 4,
  /** What a stream that several slaves share holds between the fastest and the slowest: some 30 chunks, or a small state whole. */
  sharedStreamBytes: 4 * 1024 * 1024,
  /** Who asks within this after another gets the same stream: a mass start is spread over less. */
  sharedStreamMs: 1000,
  /** A reader that takes nothing for so long, while others wait for it, leaves a shared stream. */
  sharedStreamPatienceMs: 2000,
  /** Readers of one stream: each has a socket, and what the system buffers for it. */
  sharedStreamReaders: 256,
  /** An offer that nobody fetches: its source is pinned in memory until then. */
  bulkOfferMs: 15_000,
  /** A transfer that brings nothing for so long is given up. */
  bulkIdleMs: 10_000,
  /** States that a slow reader of `changes()` may lag behind before it is given the newest only. */
  changesBuffered: 1024,
  /** Changes that a slave keeps for who follows its feed: enough to reconnect, in a memory that nobody notices. */
  exposedDeltas: 10_000,
  exposedDeltaBytes: 16 * 1024 * 1024,
} as const;
