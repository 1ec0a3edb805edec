/** Why a datagram was refused. Counted by reason; nothing else comes of it (G11). */
export const rejectReasons = [
  /** Shorter than its own lengths say. */
  'truncated',
  /** Not of this protocol. */
  'bad-magic',
  /** Of a wire version that this build doesn't speak. */
  'other-version',
  /** Protected with a key that this node doesn't hold. */
  'unknown-key',
  /** The bytes aren't those that were sent. */
  'bad-checksum',
  /** A field of the datagram's header is out of its range. */
  'bad-header',
  /** A field of a frame's header is out of its range, or the lengths contradict each other. */
  'bad-frame',
  /** A message kind that this build doesn't know. */
  'unknown-kind',
  /** A body that isn't what its kind prescribes. */
  'bad-body',
] as const;

export type RejectReason = (typeof rejectReasons)[number];
