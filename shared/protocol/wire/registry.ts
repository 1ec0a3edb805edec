import type { MessageKind } from './messages.js';

/**
 * Every kind of frame with its number on the wire. A number is never used again: a retired kind stays listed in
 * `retiredOrdinals`. Each family has a block: 1–15 transport, 16–47 session, 48–79 replication, 80–111 delta.
 */
export const messageOrdinals = {
  survey: 16,
  report: 17,
  claim: 18,
  promise: 19,
  join: 20,
  welcome: 21,
  refusal: 22,
  leave: 23,
  status: 24,
  heartbeat: 25,
  'clock-request': 26,
  clock: 27,
  announce: 48,
  prepare: 49,
  vote: 50,
  commit: 51,
  abort: 52,
  inquiry: 53,
  resolution: 54,
  arming: 55,
  'delta-request': 80,
  deltas: 81,
  'too-old': 82,
  'bulk-offer': 83,
  'snapshot-request': 84,
} as const satisfies Record<MessageKind, number>;

/** Frames that the endpoints exchange among themselves; no core ever sees one. */
export const transportOrdinals = {
  'fragment-request': 1,
  'path-probe': 2,
  'path-answer': 3,
  'path-mark': 4,
  'path-report': 5,
} as const;

const pathKinds = ['path-probe', 'path-answer', 'path-mark', 'path-report'] as const;

/** Undefined for a number that names none of the frames about paths. */
export function pathKindOfOrdinal(ordinal: number): (typeof pathKinds)[number] | undefined {
  return pathKinds.find((kind) => transportOrdinals[kind] === ordinal);
}

export const retiredOrdinals: readonly number[] = [];

export const messageKinds = Object.keys(messageOrdinals) as readonly MessageKind[];

const kindByOrdinal: readonly (MessageKind | undefined)[] = Array.from({ length: 256 }, (_, ordinal) =>
  messageKinds.find((kind) => messageOrdinals[kind] === ordinal),
);

/** Undefined for a number that names no message. */
export function kindOfOrdinal(ordinal: number): MessageKind | undefined {
  return kindByOrdinal[ordinal];
}

// Words that travel as their position in these lists: append, never insert or remove.
export const roles = ['master', 'slave'] as const;
export const refusalReasons = ['name-taken', 'cloned-store', 'group-full', 'forgotten'] as const;
export const slaveStates = ['current', 'serving', 'catching up', 'diverged', 'failed'] as const;
export const healPermissions = ['nobody', 'majority', 'operator'] as const;
export const decisionOutcomes = ['committed', 'aborted'] as const;
export const resolutionOutcomes = ['committed', 'aborted', 'superseded', 'unknown'] as const;
export const contentKinds = ['version', 'state', 'change', 'chain'] as const;
export const bulkModes = ['deltas', 'snapshot'] as const;
