/**
 * The names of things that both sides agree on. Ids are branded, so that a version is never taken for a slot and a
 * node's name never for a data set's.
 */
declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** The configured name of a process, unique among the members of a group: 1 to 64 bytes of UTF-8. */
export type NodeId = Brand<string, 'NodeId'>;
/** The name of a unit of replication, with one version sequence: 1 to 64 bytes of UTF-8. */
export type DataSetId = Brand<string, 'DataSetId'>;
/** A state's number, given by the master's user layer: a safe integer of at least 1, strictly increasing, gaps allowed. */
export type Version = Brand<number, 'Version'>;
/** 128 bits as 32 lower-case hexadecimal digits; names a state by its whole history. */
export type ChainId = Brand<string, 'ChainId'>;
/** 128 bits as 32 lower-case hexadecimal digits; the digest of a delta's bytes. */
export type Digest = Brand<string, 'Digest'>;

/** One master's reign. Ordered by number, then by claimant: two claims at once never tie. */
export interface Epoch {
  /** 0 means "none yet"; a reign's number is at least 1. */
  readonly number: number;
  /** 128 random bits of the claiming process, 32 hexadecimal digits. */
  readonly claimant: string;
}

/** One process lifetime of a node. Same store and a higher start is a restart; another store is another node. */
export interface Incarnation {
  /** 128 random bits, made when the store was created. */
  readonly storeId: string;
  /** Durable, raised by one at every start. */
  readonly start: number;
}

/** Who sent a packet: two processes may use one name, but never one name and one store. */
export interface Peer {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
}

/** What a copy is at. Tips compare whole, never by version alone. */
export interface Tip {
  /** The reign in which the state was made. */
  readonly epoch: Epoch;
  readonly version: Version;
  readonly chain: ChainId;
}

/** One two-phase attempt: its birth epoch and its number, which rises by one with each round of that epoch. */
export interface RoundId {
  readonly epoch: Epoch;
  readonly number: number;
}

/**
 * What leads from one state to another. `from === null` means "from nothing": the bytes are a whole state, and
 * applying them replaces whatever was there.
 */
export interface Delta {
  readonly from: Tip | null;
  readonly to: Tip;
  readonly bytes: Uint8Array;
  /** Digest of `bytes`; a receiver checks it, then adopts `to`. */
  readonly digest: Digest;
}

export const noEpoch: Epoch = { number: 0, claimant: '0'.repeat(32) };

/** Negative when `a` is the older reign, 0 when they are one, positive when `a` is the newer. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.number !== b.number) return a.number - b.number;
  return a.claimant < b.claimant ? -1 : a.claimant > b.claimant ? 1 : 0;
}

export function sameEpoch(a: Epoch, b: Epoch): boolean {
  return a.number === b.number && a.claimant === b.claimant;
}

/** True when both name the same state: by epoch, version and chain id. */
export function sameTip(a: Tip | null, b: Tip | null): boolean {
  if (a === null || b === null) return a === b;
  return a.version === b.version && a.chain === b.chain && sameEpoch(a.epoch, b.epoch);
}

export function sameRound(a: RoundId, b: RoundId): boolean {
  return a.number === b.number && sameEpoch(a.epoch, b.epoch);
}

export function sameIncarnation(a: Incarnation, b: Incarnation): boolean {
  return a.storeId === b.storeId && a.start === b.start;
}

/** A map key for a round; also what logs and status show. */
export function roundKey(round: RoundId): string {
  return `${epochKey(round.epoch)}.${round.number}`;
}

/** What a round's name begins with. */
export function epochKey({ number, claimant }: Epoch): string {
  return `${number}.${claimant.slice(0, 8)}`;
}

/** A map key for a tip. The chain id names a state by its whole history, so equal keys mean equal tips. */
export function tipKey(tip: Tip | null): string {
  return tip === null ? 'nothing' : tip.chain;
}

/** The version of a tip, 0 for nothing. */
export function versionOf(tip: Tip | null): number {
  return tip === null ? 0 : tip.version;
}

/** As people read it: `e3 v12`. */
export function showTip(tip: Tip | null): string {
  return tip === null ? 'nothing' : `e${tip.epoch.number} v${tip.version}`;
}

const maxNameBytes = 64;

function isName(text: string): boolean {
  const bytes = Buffer.byteLength(text, 'utf8');

  return bytes >= 1 && bytes <= maxNameBytes && !/[\u0000-\u001f\u007f/]/.test(text);
}

/** Null when `text` can't be a node's name (1 to 64 bytes, no control characters, no slash). */
export function parseNodeId(text: string): NodeId | null {
  return isName(text) ? (text as NodeId) : null;
}

/** Null when `text` can't be a data set's name (1 to 64 bytes, no control characters, no slash). */
export function parseDataSetId(text: string): DataSetId | null {
  return isName(text) ? (text as DataSetId) : null;
}

/** Null when `value` is no version (a safe integer of at least 1). */
export function parseVersion(value: unknown): Version | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? (value as Version) : null;
}
