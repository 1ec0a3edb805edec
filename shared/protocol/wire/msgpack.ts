import { Packr, Unpackr } from 'msgpackr';
import { wireLimits } from './wire-limits.js';

/**
 * Bodies are plain msgpack: nil, booleans, integers, floats, strings, bins and arrays. Maps and extensions are refused
 * before the library sees them, since some of them name things to construct, and none is needed.
 */
const packr = new Packr({ useRecords: false, int64AsType: 'number', encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number', copyBuffers: false });

/** The same fields give the same bytes. */
export function packFields(fields: readonly unknown[]): Uint8Array {
  return packr.pack(fields);
}

/** The fields of a body, or null when it isn't one plain array. Bins are views of `bytes`. */
export function unpackFields(bytes: Uint8Array): readonly unknown[] | null {
  if (!isPlainArray(bytes)) return null;
  try {
    const fields: unknown = unpackr.unpack(bytes);
    return Array.isArray(fields) ? fields : null;
  } catch {
    return null;
  }
}

/** The marker and length that stand before a bin of so many bytes. */
export function binHead(length: number): Uint8Array {
  if (length < 0x100) return Uint8Array.of(0xc4, length);
  if (length < 0x1_0000) return Uint8Array.of(0xc5, length >>> 8, length & 0xff);
  return Uint8Array.of(0xc6, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff);
}

/** The marker and length that stand before an array of so many elements. */
export function arrayHead(length: number): Uint8Array {
  if (length < 0x10) return Uint8Array.of(0x90 | length);
  if (length < 0x1_0000) return Uint8Array.of(0xdc, length >>> 8, length & 0xff);
  return Uint8Array.of(0xdd, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff);
}

/**
 * Walks over the markers: exactly one array, complete, of allowed types, not too deep. Each element costs at least a
 * byte, so a length beyond the bytes at hand is a lie, found before anything is allocated for it.
 */
function isPlainArray(bytes: Uint8Array): boolean {
  const end = bytes.length;
  const first = bytes[0];
  if (first === undefined || !((first & 0xf0) === 0x90 || first === 0xdc || first === 0xdd)) return false;
  const missing: number[] = [];
  let open = 1;
  let at = 0;
  for (;;) {
    while (open === 0) {
      const outer = missing.pop();
      if (outer === undefined) return at === end;
      open = outer;
    }
    open -= 1;
    const marker = bytes[at];
    if (marker === undefined) return false;
    at += 1;
    let elements = -1;
    if (marker < 0x80 || marker >= 0xe0) continue; // small integers
    if (marker < 0x90) return false; // maps
    if (marker < 0xa0) elements = marker & 0x0f;
    else if (marker < 0xc0)
      at += marker & 0x1f; // short strings
    else {
      switch (marker) {
        case 0xc0:
        case 0xc2:
        case 0xc3:
          break;
        case 0xcc:
        case 0xd0:
          at += 1;
          break;
        case 0xcd:
        case 0xd1:
          at += 2;
          break;
        case 0xca:
        case 0xce:
        case 0xd2:
          at += 4;
          break;
        case 0xcb:
        case 0xcf:
        case 0xd3:
          at += 8;
          break;
        case 0xc4:
        case 0xd9:
          at += 1 + number8(bytes, at);
          break;
        case 0xc5:
        case 0xda:
          at += 2 + number16(bytes, at);
          break;
        case 0xc6:
        case 0xdb:
          at += 4 + number32(bytes, at);
          break;
        case 0xdc:
          elements = number16(bytes, at);
          at += 2;
          break;
        case 0xdd:
          elements = number32(bytes, at);
          at += 4;
          break;
        default:
          return false; // maps, extensions, the reserved marker
      }
    }
    if (at > end) return false;
    if (elements >= 0) {
      if (elements > end - at || missing.length >= wireLimits.maxDepth) return false;
      missing.push(open);
      open = elements;
    }
  }
}

function number8(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function number16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function number32(bytes: Uint8Array, at: number): number {
  return number16(bytes, at) * 0x1_0000 + number16(bytes, at + 2);
}
