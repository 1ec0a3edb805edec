/** The bounds of the pull cycle, with the reason for each. Times are milliseconds. */
export const cycleBounds = {
  defaultIntervalMs: 10 * 60 * 1000,
  /** A cycle is a request, a fetch and a write at each server: more often than this is what replication is for. */
  minIntervalMs: 100,
  /** A year, leap day included. */
  maxIntervalMs: 366 * 24 * 3_600_000,
  /** How far from now an activation may be put by hand: the same year. */
  maxLeadMs: 366 * 24 * 3_600_000,
  /** The last instant that a date can be: the year 275760. */
  latestInstantMs: 8_640_000_000_000_000,
  /** How long a roll may hold the lock: many times what the largest takes, and short against any interval in use. */
  lockMs: 30_000,
  /** A promotion leaves servers a tenth of the interval to notice it, but no more than this. */
  maxNoticeMs: 10_000,
  /** Retrievals older than this say nothing about the next one. */
  retrievalMemoryMs: 24 * 3_600_000,
  /** Servers whose retrievals are kept; of more, those that haven't reported for longest go. */
  maxRetrievers: 4096,
  /** Activations whose instants are kept, with who reported them. */
  rememberedActivations: 16,
  maxNameCharacters: 200,
  /** Cycles for which deletes are remembered: a week of the default interval. Who is further behind takes a whole copy. */
  rememberedCycles: 1000,
  /** Changes of one page: all are read in one turn of the event loop. */
  pageChanges: 10_000,
  /** Values of one page, characters of JSON: a page is held in memory, on both sides. */
  pageCharacters: 4 * 1024 * 1024,
  /** Items of production in one answer: at a megabyte each they're held in memory. */
  pageItems: 1000,
  /** Edits of one request; the body has its own bound. */
  edits: 100_000,
  /** Keys that a refusal names. */
  namedKeys: 5,
} as const;
