/** The bounds of one endpoint (G10). Times are milliseconds, sizes are bytes. */
export interface StreamLimits {
  /** Peers whose address is remembered: twice a full group, for those that come and go. The stalest leaves first. */
  readonly maxPeers: number;
  /** Bodies that wait for their pace. */
  readonly maxQueuedBytes: number;
  /** Recently sent fragmented messages, kept to serve repairs: bytes, and age since the last of them left. */
  readonly resendBytes: number;
  readonly resendAgeMs: number;
  /** A request waits so long for others that ask for the same; with two or more the answer is multicast. */
  readonly gatherMs: number;
  /** A request that crosses with the answer just sent isn't answered again. */
  readonly repairHoldMs: number;
  /** What left more recently than this is on its way. Below `repairMinMs`, so that no request for a lost end is in vain. */
  readonly inFlightMs: number;
  /** Memory for partial messages: a whole node, and of one sender, so that none can use it up for the others. */
  readonly reassemblyBytes: number;
  readonly reassemblyBytesPerSender: number;
  readonly maxPartials: number;
  readonly maxPartialsPerSender: number;
  /** Senders whose finished messages are remembered, and how many of each: late duplicates start nothing again. */
  readonly maxSenders: number;
  readonly maxFinishedPerSender: number;
  /** How long a hole may be reordering before it counts as loss. */
  readonly reorderMs: number;
  /** Silence after which the end of a message counts as lost; doubles with each request, up to the slowest. */
  readonly repairMinMs: number;
  readonly repairMaxMs: number;
  /** A partial message without progress is dropped after this; and after this in all, progress or not. */
  readonly giveUpMs: number;
  readonly maxPartialAgeMs: number;
  /** A peer's window counts for so long after its status. */
  readonly windowAgeMs: number;
  /** No peer can make the sender slower than this window would. */
  readonly minWindowBytes: number;
  /** The share of the smallest window that may leave at once. */
  readonly burstShare: number;
  /** Rates, bytes per millisecond: at first, and the bounds. */
  readonly initialRate: number;
  readonly minRate: number;
  readonly maxRate: number;
  /** Reported loss above this halves the rate. */
  readonly lossThreshold: number;
  /** Loss is judged over so many fragments at least, or after so long. */
  readonly lossSampleFragments: number;
  readonly lossSampleMs: number;
  readonly lossSampleMaxMs: number;
  /** Quiet for so long raises the rate by a quarter. */
  readonly quietMs: number;
}

const mebibyte = 1024 * 1024;

export const streamLimits: StreamLimits = {
  maxPeers: 8192,
  maxQueuedBytes: 64 * mebibyte,
  resendBytes: 32 * mebibyte,
  resendAgeMs: 5000,
  gatherMs: 1,
  repairHoldMs: 3,
  inFlightMs: 4,
  reassemblyBytes: 64 * mebibyte,
  reassemblyBytesPerSender: 32 * mebibyte,
  maxPartials: 1024,
  maxPartialsPerSender: 128,
  maxSenders: 4096,
  maxFinishedPerSender: 128,
  reorderMs: 1,
  repairMinMs: 5,
  repairMaxMs: 200,
  giveUpMs: 1000,
  maxPartialAgeMs: 10_000,
  windowAgeMs: 10_000,
  minWindowBytes: 64 * 1024,
  burstShare: 0.5,
  initialRate: 150_000,
  minRate: 4000,
  maxRate: 400_000,
  lossThreshold: 0.01,
  lossSampleFragments: 100,
  lossSampleMs: 50,
  lossSampleMaxMs: 250,
  quietMs: 100,
};
