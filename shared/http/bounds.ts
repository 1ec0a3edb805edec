import { limits } from '../protocol/kernel/limits.js';
import { keyValueBounds } from '../protocol/key-value/bounds.js';

/** The bounds of the HTTP API, with the reason for each. Sizes are bytes, times are milliseconds. */
export const httpBounds = {
  /** A body: one change of the largest size, and the JSON around it. */
  bodyBytes: limits.maxChangeBytes + 64 * 1024,
  /** A body of `POST /v1/reads`: keys only. */
  readBodyBytes: 8 * 1024 * 1024,
  /** A key, UTF-8. */
  keyBytes: keyValueBounds.maxKeyBytes,
  /** A path parameter, as it may arrive: three characters for each byte of a key. */
  pathParameterCharacters: keyValueBounds.maxKeyBytes * 3,
  /** Operations of one change: each may come back by number in a refusal. */
  operations: 100_000,
  /** Keys of one `POST /v1/reads`: all are read in one turn of the event loop. */
  readKeys: 10_000,
  /** Entries of one page: all are read in one turn of the event loop. */
  pageEntries: 10_000,
  defaultPageEntries: 100,
  /** A round that takes longer has lost its caller. */
  changeTimeoutMs: 10 * 60 * 1000,
  /** How long a read may wait for a version; and how long it does by default. */
  readTimeoutMs: 60 * 1000,
  defaultReadTimeoutMs: 2000,
  /** Status names the digest of larger copies only when asked for it: it hashes every entry in one turn. */
  promptDigestEntries: 50_000,
  /** Requests that wait until the node is ready: each looks at it again and again. */
  readyWaiters: 64,
  /** Rounds of one answer; each may bring thousands of votes. */
  rounds: limits.loggedRounds,
  defaultRounds: 100,
  idempotencyKeyBytes: keyValueBounds.maxIdempotencyKeyBytes,
  /** A client that sends its request more slowly than this is cut off, so that it holds no memory for ever. */
  requestTimeoutMs: 120 * 1000,
  /** The same for its headers, which are small. */
  headersTimeoutMs: 10 * 1000,
  /** How often slow clients are looked for. */
  slowCheckMs: 1000,
  /** Connections at once; more are closed at the door. Far above what clients need, so that slow ones don't stop others. */
  connections: 2048,
  /** Feeds open at once: each change is written to each of them. */
  feedListeners: 256,
  /** A feed on which nothing happens says so this often, below the usual patience of proxies. */
  feedIdleMs: 15 * 1000,
  /** A listener that takes nothing for so long is cut; it can resume. */
  feedStallMs: 30 * 1000,
  /** Lines kept for all listeners of a data set, so that each change is decoded once. */
  feedLineBytes: 8 * 1024 * 1024,
  /** Bodies that are being received, together: four of the largest, or thousands of the usual. */
  allBodiesBytes: 4 * (limits.maxChangeBytes + 64 * 1024),
} as const;

export type HttpBounds = { readonly [Name in keyof typeof httpBounds]: number };
