/** Every bound of the key-value layers, with the reason for it. Sizes are bytes. */
export const keyValueBounds = {
  /** A key, in UTF-8: what an embedded store's index still holds beside the data set's name. */
  maxKeyBytes: 512,
  /** A value, about (texts are counted in characters): one entry has to fit a snapshot's frame, which is held whole in memory. */
  maxValueBytes: 1024 * 1024,
  /** Values nested deeper than this are refused: codecs recurse, and a cycle looks like this too. */
  maxValueDepth: 64,
  /** Properties of one object: what the encoder's 16-bit count holds. */
  maxProperties: 65_535,
  /** Rounds in flight: enough to keep the wire busy while two disks write, few enough to abort cheaply. */
  maxOpenRounds: 8,
  /** Waiting changes share a round up to this size: one veto makes all of them go again. */
  maxGroupBytes: 1024 * 1024,
  maxGroupOperations: 8192,
  /** Changes that wait at the master for a round, and their bytes; more are refused with `queue-full`. */
  maxWaitingChanges: 10_000,
  maxWaitingBytes: 128 * 1024 * 1024,
  /** Outcomes kept by idempotency key: a day's worth at one keyed change every nine seconds, or the last burst. */
  rememberedOutcomes: 10_000,
  maxIdempotencyKeyBytes: 200,
  /** A frame of a snapshot is sent when it has grown to this. */
  frameBytes: 128 * 1024,
  /** No frame is longer: the one above, and the largest entry behind it (counted in characters, so up to three times). */
  maxFrameBytes: 4 * 1024 * 1024,
  /** Refused operations that a vote names: a vote should fit a datagram, and the rest is found in the next round. */
  namedRefusals: 128,
  /** Of those, the ones that come with a reason, and the length of one. */
  explainedRefusals: 8,
  reasonCharacters: 120,
  /** What the newest changes did, in their encoded size, for readers of `changes()` that come a little behind. */
  maxRecentBytes: 16 * 1024 * 1024,
} as const;
