import { broken } from '../kernel/invariant.js';
import {
  parseNodeId,
  parseVersion,
  sameTip,
  type ChainId,
  type Delta,
  type Digest,
  type Epoch,
  type NodeId,
  type Peer,
  type RoundId,
  type Tip,
  type Version,
} from '../kernel/ids.js';
import type { PreparedRef } from './messages.js';
import { arrayHead, binHead, packFields } from './msgpack.js';
import { wireLimits } from './wire-limits.js';

/*
 * The fields that several messages share.
 *
 *   id     = bin 16
 *   epoch  = bin 24   number u64, claimant 16
 *   tip    = bin 48   epoch number u64, claimant 16, version u64, chain 16
 *   round  = bin 32   epoch number u64, claimant 16, round number u64
 *   peer   = array 3  node name (str), store id (id), start counter
 *   bits   = bin      bit 0 of byte 0 is slot 0
 *   refs   = array    round, tip | nil, tip, repeated
 *   delta  = array 4  from, to, digest (id), bytes (bin)
 *
 * Numbers inside bins are big-endian and at most 2^53 − 1.
 */

const two32 = 0x1_0000_0000;

export function writeSafe(target: Buffer, value: number, at: number): void {
  if (!(Number.isSafeInteger(value) && value >= 0)) broken(`${value} is no unsigned safe integer`);
  const high = Math.floor(value / two32);
  target.writeUInt32BE(high, at);
  target.writeUInt32BE(value - high * two32, at + 4);
}

/** −1 when the number isn't a safe integer. */
export function readSafe(source: Buffer, at: number): number {
  const high = source.readUInt32BE(at);
  return high > 0x1f_ffff ? -1 : high * two32 + source.readUInt32BE(at + 4);
}

const digits = '0123456789abcdef';
const noDigit = 0xff;
const digitOfCode = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = digits.indexOf(String.fromCharCode(code));
  return value < 0 ? noDigit : value;
});

/** By table: several ids stand in each message, and a call into the library's hexadecimal decoder costs tenfold. */
export function writeId(target: Buffer, hex: string, at: number): void {
  let worst = hex.length === 32 ? 0 : noDigit;
  for (let index = 0; index < 16; index += 1) {
    const high = digitOfCode[hex.charCodeAt(2 * index)] ?? noDigit;
    const low = digitOfCode[hex.charCodeAt(2 * index + 1)] ?? noDigit;
    worst |= high | low;
    target[at + index] = (high << 4) | low;
  }
  if (worst >= 16) broken(`"${hex}" isn't 32 lower-case hexadecimal digits`);
}

/**
 * The ids read lately, by some of their bits. The same few come again and again (a reign's claimant in everything, a
 * state's chain in each message about it); one text for all of them costs no decoding, and compares by its address.
 */
const idSlots = 1024;
const idWords = new Uint32Array(4 * idSlots);
const idTexts = new Array<string>(idSlots).fill('0'.repeat(32));

export function readId(source: Buffer, at: number): string {
  const a = source.readUInt32BE(at);
  const b = source.readUInt32BE(at + 4);
  const c = source.readUInt32BE(at + 8);
  const d = source.readUInt32BE(at + 12);
  const slot = (a ^ d) & (idSlots - 1);
  const word = 4 * slot;
  if (idWords[word] === a && idWords[word + 1] === b && idWords[word + 2] === c && idWords[word + 3] === d) {
    return idTexts[slot] as string;
  }
  const text = source.toString('hex', at, at + 16);
  idWords[word] = a;
  idWords[word + 1] = b;
  idWords[word + 2] = c;
  idWords[word + 3] = d;
  idTexts[slot] = text;
  return text;
}

export function idField(hex: string): Uint8Array {
  const field = Buffer.allocUnsafe(16);
  writeId(field, hex, 0);
  return field;
}

export function epochField(epoch: Epoch): Uint8Array {
  const field = Buffer.allocUnsafe(24);
  writeSafe(field, epoch.number, 0);
  writeId(field, epoch.claimant, 8);
  return field;
}

export function tipField(tip: Tip): Uint8Array;
export function tipField(tip: Tip | null): Uint8Array | null;
export function tipField(tip: Tip | null): Uint8Array | null {
  if (tip === null) return null;
  const field = Buffer.allocUnsafe(48);
  writeSafe(field, tip.epoch.number, 0);
  writeId(field, tip.epoch.claimant, 8);
  writeSafe(field, tip.version, 24);
  writeId(field, tip.chain, 32);
  return field;
}

export function roundField(round: RoundId): Uint8Array {
  const field = Buffer.allocUnsafe(32);
  writeSafe(field, round.epoch.number, 0);
  writeId(field, round.epoch.claimant, 8);
  writeSafe(field, round.number, 24);
  return field;
}

export function peerField(peer: Peer | null): unknown[] | null {
  return peer === null ? null : [peer.node, idField(peer.incarnation.storeId), peer.incarnation.start];
}

export function refsField(refs: readonly PreparedRef[]): unknown[] {
  withinBound(refs.length, wireLimits.maxPreparedRefs, 'prepared rounds');
  return refs.flatMap((ref) => [roundField(ref.round), tipField(ref.from), tipField(ref.to), ref.armed]);
}

/** Texts are for people: a longer one is cut, at a character's end, rather than refused. */
export function textField(text: string): string {
  if (text.length * 3 <= wireLimits.maxTextBytes) return text;
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= wireLimits.maxTextBytes) return text;
  let end = wireLimits.maxTextBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

export function wordField<Word extends string>(words: readonly Word[], word: Word): number {
  const position = words.indexOf(word);
  if (position < 0) broken(`"${word}" isn't a word of this field`);
  return position;
}

export function withinBound(length: number, bound: number, what: string): void {
  if (length > bound) broken(`${length} ${what} in one message; the bound is ${bound}`);
}

/** Stands for "the same as the message's own tip" (or "where the step before ends"), to save 50 bytes. */
export const same = 0;

/** Tips that need not be said. */
export interface ImpliedTips {
  readonly from?: Tip | null;
  readonly to?: Tip;
}

/** Below this a copy costs less than a piece of its own. */
export function isSmall(delta: Delta): boolean {
  return delta.bytes.length < 2048;
}

/** A whole delta as one field: for those that are small. */
export function deltaField(delta: Delta, implied: ImpliedTips): unknown[] {
  return [...deltaFields(delta, implied), plainBytes(delta.bytes)];
}

function deltaFields(delta: Delta, implied: ImpliedTips): unknown[] {
  return [
    implied.from !== undefined && sameTip(delta.from, implied.from) ? same : tipField(delta.from),
    implied.to !== undefined && sameTip(delta.to, implied.to) ? same : tipField(delta.to),
    idField(delta.digest),
  ];
}

/** A delta's array as pieces, its bytes last and uncopied unless they are few. */
export function pushDelta(parts: Uint8Array[], delta: Delta, implied: ImpliedTips): void {
  if (isSmall(delta)) {
    parts.push(packFields(deltaField(delta, implied)));
    return;
  }
  // The array is packed with an empty element at its end, which the bin then replaces.
  const fields = [...deltaFields(delta, implied), null];
  parts.push(withoutLast(packFields(fields)), binHead(delta.bytes.length), delta.bytes);
}

/** An array of deltas as pieces. A step that starts where the one before it ends says so in one byte. */
export function pushDeltas(parts: Uint8Array[], steps: readonly Delta[]): void {
  parts.push(arrayHead(steps.length));
  let prior: Tip | undefined;
  for (const step of steps) {
    pushDelta(parts, step, prior === undefined ? {} : { from: prior });
    prior = step.to;
  }
}

/** Cuts off the nil that stands for the last element. */
export function withoutLast(packed: Uint8Array): Uint8Array {
  return packed.subarray(0, packed.length - 1);
}

function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array || Buffer.isBuffer(bytes) ? bytes : new Uint8Array(bytes);
}

const nothing = new Uint8Array(0);
const zeroId = '0'.repeat(32);
const zeroEpoch: Epoch = { number: 0, claimant: zeroId };
const zeroTip: Tip = { epoch: zeroEpoch, version: 1 as Version, chain: zeroId as ChainId };
const noName = '-' as NodeId;
const zeroRound: RoundId = { epoch: zeroEpoch, number: 0 };

/**
 * Reads the fields of one body in order. A field that isn't what it should be spoils the whole: the reader then gives
 * placeholders, and `finish` gives null. So decoders read straight on, and nothing throws.
 */
export class FieldReader {
  readonly #fields: readonly unknown[];
  #next = 0;
  #spoilt = false;

  constructor(fields: readonly unknown[]) {
    this.#fields = fields;
  }

  /** The message, or null when a field was wrong, missing or too many. */
  finish<Message>(message: Message): Message | null {
    return this.#spoilt || this.#next !== this.#fields.length ? null : message;
  }

  boolean(): boolean {
    const value = this.#take();
    if (typeof value !== 'boolean') return this.wrong(false);
    return value;
  }

  /** A safe integer from 0 to `most`. */
  count(most = Number.MAX_SAFE_INTEGER): number {
    const value = this.#take();
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > most) return this.wrong(0);
    return value;
  }

  /** A finite number: a reading of somebody's clock. */
  stamp(): number {
    const value = this.#take();
    if (typeof value !== 'number' || !Number.isFinite(value)) return this.wrong(0);
    return value;
  }

  /** A finite number of at least 0. */
  duration(): number {
    const value = this.stamp();
    return value < 0 ? this.wrong(0) : value;
  }

  text(): string {
    const value = this.#take();
    if (typeof value !== 'string' || value.length > wireLimits.maxTextBytes) return this.wrong('');
    return value;
  }

  word<Word extends string>(words: readonly [Word, ...Word[]]): Word {
    return words[this.count(words.length - 1)] ?? words[0];
  }

  id(): string {
    const field = this.#bin(16);
    return field === null ? zeroId : readId(field, 0);
  }

  epoch(): Epoch {
    const field = this.#bin(24);
    return field === null ? zeroEpoch : this.#epochAt(field);
  }

  round(): RoundId {
    const field = this.#bin(32);
    if (field === null) return zeroRound;
    const number = readSafe(field, 24);
    return number < 0 ? this.wrong(zeroRound) : { epoch: this.#epochAt(field), number };
  }

  roundOrNull(): RoundId | null {
    return this.takeNull() ? null : this.round();
  }

  tip(): Tip {
    const field = this.#bin(48);
    if (field === null) return zeroTip;
    const version = parseVersion(readSafe(field, 24));
    if (version === null) return this.wrong(zeroTip);
    return { epoch: this.#epochAt(field), version, chain: readId(field, 32) as ChainId };
  }

  tipOrNull(): Tip | null {
    return this.takeNull() ? null : this.tip();
  }

  /** 0 stands for the one that is implied. */
  tipOrSame(implied: Tip | null): Tip | null {
    return this.#takeSame() ? implied : this.tipOrNull();
  }

  bitmap(): Uint8Array {
    const bytes = this.bytes();
    return bytes.length > wireLimits.maxBitmapBytes ? this.wrong(nothing) : bytes;
  }

  bytes(): Uint8Array {
    const value = this.#take();
    return value instanceof Uint8Array ? value : this.wrong(nothing);
  }

  /** True and past it when the next field is nil. */
  takeNull(): boolean {
    if (this.#fields[this.#next] !== null) return false;
    this.#next += 1;
    return true;
  }

  nothing(): void {
    if (!this.takeNull()) this.wrong(null);
  }

  /** Spoils the whole; gives the placeholder back. */
  wrong<Placeholder>(placeholder: Placeholder): Placeholder {
    this.#spoilt = true;
    return placeholder;
  }

  /** An array of at most `most` items, each read from `width` elements in a row. */
  list<Item>(options: { most: number; width: number }, read: (reader: FieldReader) => Item): Item[] {
    const value = this.#take();
    if (!Array.isArray(value) || value.length % options.width !== 0 || value.length / options.width > options.most) {
      return this.wrong([]);
    }
    const inner = new FieldReader(value);
    const items: Item[] = [];
    while (inner.#next < value.length && !inner.#spoilt) items.push(read(inner));
    if (inner.#spoilt || inner.#next !== value.length) return this.wrong([]);
    return items;
  }

  refs(): PreparedRef[] {
    return this.list({ most: wireLimits.maxPreparedRefs, width: 4 }, (reader) => ({
      round: reader.round(),
      from: reader.tipOrNull(),
      to: reader.tip(),
      armed: reader.boolean(),
    }));
  }

  peerOrNull(): Peer | null {
    if (this.takeNull()) return null;
    const [peer] = this.list({ most: 1, width: 3 }, (reader) => ({
      node: reader.nodeId(),
      incarnation: { storeId: reader.id(), start: reader.count() },
    }));
    // An empty array is no peer: only nil says that there is none.
    return peer ?? this.wrong(null);
  }

  nodeId(): NodeId {
    return parseNodeId(this.text()) ?? this.wrong(noName);
  }

  /** One array of four. `implied` are the tips that the number 0 stands for, where it may stand at all. */
  delta(implied: { from?: Tip | null; to?: Tip }): Delta {
    const value = this.#take();
    if (!Array.isArray(value) || value.length !== 4) return this.wrong(emptyDelta);
    const inner = new FieldReader(value);
    const from = implied.from === undefined ? inner.tipOrNull() : inner.tipOrSame(implied.from);
    const to = implied.to !== undefined && inner.#takeSame() ? implied.to : inner.tip();
    const digest = inner.id() as Digest;
    const bytes = inner.bytes();
    return inner.#spoilt ? this.wrong(emptyDelta) : { from, to, bytes, digest };
  }

  deltas(most: number): Delta[] {
    let prior: Tip | undefined;
    return this.list({ most, width: 1 }, (reader) => {
      const delta = reader.delta(prior === undefined ? {} : { from: prior });
      prior = delta.to;
      return delta;
    });
  }

  #take(): unknown {
    const value = this.#fields[this.#next];
    this.#next += 1;
    return value;
  }

  #takeSame(): boolean {
    if (this.#fields[this.#next] !== same) return false;
    this.#next += 1;
    return true;
  }

  #bin(length: number): Buffer | null {
    const value = this.#take();
    if (!(value instanceof Uint8Array) || value.length !== length) return this.wrong(null);
    return asBuffer(value);
  }

  #epochAt(field: Buffer): Epoch {
    const number = readSafe(field, 0);
    return number < 0 ? this.wrong(zeroEpoch) : { number, claimant: readId(field, 8) };
  }
}

const emptyDelta: Delta = { from: null, to: zeroTip, bytes: nothing, digest: zeroId as Digest };

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
