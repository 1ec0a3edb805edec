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
  /** Unkeyed, at a node that holds keys. */
  'unkeyed',
  /** Not encrypted with the key that it names, or altered on the way. */
  'unauthenticated',
  /** Came already, or is so old that nobody can tell. */
  'replayed',
  /** Of an earlier process of a node that has been heard in a later one. */
  'old-incarnation',
  /** A message that only a master may say, without a master's signature. */
  'unsigned',
  /** … with a signature that isn't that of a master's key. */
  'bad-signature',
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
