/** Every bound of the directory layers, with the reason for it. Sizes are bytes. */
export const directoryBounds = {
  /** Files and folders of one data set: its list is held in memory, and travels whole in a snapshot. */
  maxEntries: 100_000,
  /** A path below the folder, in UTF-8: with the folders above it, it has to stay below what systems take (4096). */
  maxPathBytes: 1024,
  /** One name of a path: what file systems take. */
  maxNameBytes: 255,
  /** The list at the front of a change or a snapshot: the largest folder, with paths of a usual length. */
  maxHeadBytes: 48 * 1024 * 1024,
  /** What a folder may hold in all: a slave keeps two versions of it. */
  maxTotalBytes: 64 * 1024 * 1024 * 1024,
  /** Content goes in pieces of this size, so that a large file is never whole in memory. */
  pieceBytes: 256 * 1024,
  /** Files that are written or synced to disk at once: the disk sorts them, and few enough to stay below limits of open files. */
  filesAtOnce: 16,
  /** What a check or a reason may say in a vote: it should fit a datagram. */
  reasonCharacters: 400,
} as const;
