/** Every code that a `LockstepError` may carry. Codes are for programs; the message says what to do. */
export const errorCodes = [
  'bad-option',
  'address-in-use',
  'store-unusable',
  'store-format',
  'store-foreign',
  'data-set-registered',
  'data-set-unknown',
  'version-not-greater',
  'prior-not-current',
  'change-too-large',
  'queue-full',
  'already-decided',
  'round-unknown',
  'not-leading',
  'not-current',
  'closed',
  'aborted-by-caller',
  'timed-out',
  'member-unknown',
  'instant-too-early',
  'instant-too-late',
  'refused-by-group',
  'bad-operation',
  'wrong-kind',
  'condition-failed',
  'user-layer-failed',
  'stepped-down',
  'write-at-slave',
  'name-taken',
  'cloned-store',
  'bad-input',
  'unreachable',
  'history-pruned',
] as const;

/** For programs: what went wrong. */
export type ErrorCode = (typeof errorCodes)[number];

/**
 * The one error class of the product: misuse and a broken environment. A replication's result is an `Outcome`, never
 * an exception; a peer's bytes are counted, never thrown about.
 */
export class LockstepError extends Error {
  override readonly name = 'LockstepError';
  readonly code: ErrorCode;
  /** With `instant-too-early` and `instant-too-late`: the soonest instant that could have been asked for, Unix time in milliseconds. */
  readonly earliestAtMs?: number;
  /** With `instant-too-late`: the last one. */
  readonly latestAtMs?: number;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; earliestAtMs?: number | undefined; latestAtMs?: number | undefined } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    if (options.earliestAtMs !== undefined) this.earliestAtMs = options.earliestAtMs;
    if (options.latestAtMs !== undefined) this.latestAtMs = options.latestAtMs;
  }
}

/** Numbered exits of the binaries; `docs/` lists them for operators. */
export const exitCodes = {
  ok: 0,
  bug: 1,
  usage: 2,
  aborted: 3,
  unknown: 4,
  notFound: 5,
  different: 6,
  addressInUse: 10,
  storeUnusable: 11,
  storeFormat: 12,
  refusedToLead: 13,
  steppedDown: 14,
  nameTaken: 15,
  storeFailed: 16,
  unreachable: 17,
  unwell: 18,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
