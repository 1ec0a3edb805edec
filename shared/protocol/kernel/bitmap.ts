/** Sets of small integers (member slots) as bytes: slot n is bit n % 8 of byte n / 8, least significant first. */
export function bitmapOf(slots: Iterable<number>): Uint8Array {
  const list = [...slots];
  const bytes = new Uint8Array(list.length === 0 ? 0 : (Math.max(...list) >> 3) + 1);
  for (const slot of list) bytes[slot >> 3] = (bytes[slot >> 3] ?? 0) | (1 << (slot & 7));
  return bytes;
}

export function hasBit(bitmap: Uint8Array, slot: number): boolean {
  return ((bitmap[slot >> 3] ?? 0) & (1 << (slot & 7))) !== 0;
}

export function countBits(bitmap: Uint8Array): number {
  let count = 0;
  for (const byte of bitmap) for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
}
