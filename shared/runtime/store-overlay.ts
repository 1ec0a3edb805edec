/** What one record is in memory: its packed value, or null where it was removed. */
type Layered = Uint8Array | null;

/**
 * Records in memory that lie over what the database has. Keys are the bytes of `store-keys` as text of one character each, so
 * that they compare as the bytes do.
 */
export class StoreOverlay {
  readonly #records = new Map<string, Layered>();
  #sorted: readonly string[] | null = null;

  get isEmpty(): boolean {
    return this.#records.size === 0;
  }

  /** Undefined: what lies below counts. */
  get(key: Uint8Array): Layered | undefined {
    return this.#records.get(textOf(key));
  }

  set(key: Uint8Array, packed: Layered): void {
    const text = textOf(key);
    if (!this.#records.has(text)) this.#sorted = null;
    this.#records.set(text, packed);
  }

  /** A write of the same record to a layer below has come later. */
  drop(key: Uint8Array): void {
    if (this.#records.size > 0 && this.#records.delete(textOf(key))) this.#sorted = null;
  }

  /** In no order. */
  *records(): Iterable<{ readonly key: Buffer; readonly packed: Layered }> {
    for (const [text, packed] of this.#records) yield { key: Buffer.from(text, 'latin1'), packed };
  }

  clear(): void {
    this.#records.clear();
    this.#sorted = null;
  }

  /** In key order, as they are now. */
  between(start: Uint8Array, end: Uint8Array): (readonly [key: Buffer, packed: Layered])[] {
    this.#sorted ??= [...this.#records.keys()].sort((a, b) => (a < b ? -1 : 1));
    const from = textOf(start);
    const to = textOf(end);
    const found: (readonly [Buffer, Layered])[] = [];
    for (let index = firstAtLeast(this.#sorted, from); index < this.#sorted.length; index += 1) {
      const key = this.#sorted[index];
      if (key === undefined || key >= to) break;
      found.push([Buffer.from(key, 'latin1'), this.#records.get(key) ?? null]);
    }
    return found;
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

function firstAtLeast(sorted: readonly string[], wanted: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
