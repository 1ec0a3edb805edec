import type { StoreKey } from '../protocol/kernel/store.js';
import { LockstepError } from '../protocol/kernel/errors.js';

/**
 * Keys as bytes, so that the order of the bytes is the order of the keys, a prefix of a key is a prefix of its bytes, and
 * every key reads back as it was. Each part begins with its kind; numbers stand before texts.
 *
 * - number: its IEEE-754 bits, big-endian, the sign flipped (negative: all bits), so that they sort as numbers do;
 * - text: UTF-8 ended by a zero byte, a zero inside written as zero and 255.
 *
 * The key encoding that comes with the store isn't used: it leaves control characters in long texts as they are, where
 * they pass for separators.
 */
const numberKind = 0x10;
const textKind = 0x20;
const numberBytes = 9;
const zeroInside = 0xff;

/** What the store holds as a key at most. */
export const maxKeyBytes = 1978;
/** Above every byte that a part begins with: the end of a range. */
const afterEveryPart = 0xff;

/** Keys are built here, then copied out: one allocation each. With room for the part that makes one too long. */
const scratch = Buffer.allocUnsafe(4 * maxKeyBytes);

/** Throws `bad-input` for a key that is too long, a number that isn't finite, a text that isn't well-formed. */
export function encodeKey(key: StoreKey): Buffer {
  let length = 0;
  for (const part of key) {
    length = typeof part === 'number' ? writeNumber(part, length) : writeText(part, length);
    if (length > maxKeyBytes) throw tooLong();
  }
  return Buffer.from(scratch.subarray(0, length));
}

function tooLong(): LockstepError {
  return new LockstepError('bad-input', `a key is longer than ${maxKeyBytes} bytes`);
}

/** Where the records under `prefix`, itself not included, begin and end. */
export function rangeUnder(prefix: StoreKey): { readonly start: Buffer; readonly end: Buffer } {
  const bytes = encodeKey(prefix);
  return {
    start: Buffer.concat([bytes, Buffer.of(numberKind)]),
    end: Buffer.concat([bytes, Buffer.of(afterEveryPart)]),
  };
}

export function decodeKey(bytes: Uint8Array): StoreKey {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: (string | number)[] = [];
  let position = 0;
  while (position < buffer.byteLength) {
    if (buffer[position] === numberKind) {
      parts.push(decodeNumber(buffer, position + 1));
      position += numberBytes;
    } else {
      const end = textEnd(buffer, position + 1);
      parts.push(decodeText(buffer.subarray(position + 1, end)));
      position = end + 1;
    }
  }
  return parts;
}

/** Returns where the next part begins. */
function writeNumber(value: number, start: number): number {
  if (!Number.isFinite(value)) throw new LockstepError('bad-input', `${value} can't be part of a key`);
  const end = start + numberBytes;
  scratch[start] = numberKind;
  // Minus zero is zero.
  scratch.writeDoubleBE(value + 0, start + 1);
  for (let index = start + 1; index < end; index += 1) {
    const byte = scratch[index] ?? 0;
    scratch[index] = value < 0 ? ~byte : index === start + 1 ? byte ^ 0x80 : byte;
  }
  return end;
}

function decodeNumber(buffer: Buffer, position: number): number {
  const bytes = Buffer.from(buffer.subarray(position, position + 8));
  const isNegative = ((bytes[0] ?? 0) & 0x80) === 0;
  for (let index = 0; index < 8; index += 1) {
    const byte = bytes[index] ?? 0;
    bytes[index] = isNegative ? ~byte : index === 0 ? byte ^ 0x80 : byte;
  }
  return bytes.readDoubleBE(0);
}

/** Returns where the next part begins. */
function writeText(text: string, start: number): number {
  const length = Buffer.byteLength(text);
  if (length > maxKeyBytes) throw tooLong();
  // Two texts that differ only in half a character would be one key.
  if (length !== text.length && /\p{Surrogate}/u.test(text)) {
    throw new LockstepError('bad-input', 'a key holds half a character (a lone surrogate)');
  }
  scratch[start] = textKind;
  scratch.write(text, start + 1);
  const end = start + 1 + length;
  scratch[end] = 0;
  return text.includes('\0') ? escapeZeros(start + 1, end) : end + 1;
}

/** Of the text between `start` and `end`; returns where the next part begins. */
function escapeZeros(start: number, end: number): number {
  let position = start;
  for (const byte of Buffer.from(scratch.subarray(start, end))) {
    scratch[position] = byte;
    position += 1;
    if (byte !== 0) continue;
    scratch[position] = zeroInside;
    position += 1;
  }
  scratch[position] = 0;
  return position + 1;
}

/** The index of the zero that ends the text. */
function textEnd(buffer: Buffer, start: number): number {
  let end = buffer.indexOf(0, start);
  while (end >= 0 && buffer[end + 1] === zeroInside) end = buffer.indexOf(0, end + 2);
  return end < 0 ? buffer.byteLength : end;
}

function decodeText(bytes: Buffer): string {
  if (!bytes.includes(0)) return bytes.toString();
  const plain: number[] = [];
  for (let index = 0; index < bytes.byteLength; index += 1) {
    const byte = bytes[index] ?? 0;
    plain.push(byte);
    if (byte === 0) index += 1;
  }
  return Buffer.from(plain).toString();
}
