/** Fewer new keys than this are worth keeping beside the order, whatever its size. */
const keptAside = 1024;

/**
 * The keys of a map in order, for listing. Built when somebody lists, never before; a change of a value costs it
 * nothing, a new key one push, and so the path of updates doesn't notice it.
 */
export class KeyIndex {
  /** Null: nobody has listed since it was last worth keeping. */
  #sorted: readonly string[] | null = null;
  /** New since then, unordered; one may be among the sorted too, when it went and came back. */
  #added: string[] = [];
  #removed = false;

  added(key: string): void {
    if (this.#sorted === null) return;
    this.#added.push(key);
    if (this.#added.length > Math.max(keptAside, this.#sorted.length / 4)) this.reset();
  }

  removed(): void {
    this.#removed = true;
  }

  reset(): void {
    this.#sorted = null;
    this.#added = [];
    this.#removed = false;
  }

  /** All keys of `entries`, by UTF-16 code units. */
  sorted(entries: ReadonlyMap<string, unknown>): readonly string[] {
    if (this.#sorted === null) this.#sorted = [...entries.keys()].sort();
    else if (this.#added.length > 0 || this.#removed) this.#sorted = merged(this.#sorted, this.#added.sort(), entries);
    this.#added = [];
    this.#removed = false;
    return this.#sorted;
  }
}

function merged(old: readonly string[], added: readonly string[], entries: ReadonlyMap<string, unknown>): string[] {
  const keys: string[] = [];
  let next = 0;
  const take = (key: string): void => {
    if (keys.at(-1) !== key && entries.has(key)) keys.push(key);
  };
  for (const key of old) {
    for (let candidate = added[next]; candidate !== undefined && candidate < key; candidate = added[next]) {
      take(candidate);
      next += 1;
    }
    take(key);
  }
  for (; next < added.length; next += 1) take(added[next] ?? '');
  return keys;
}

/** The first position in `keys` that is not below `bound`. */
export function lowerBound(keys: readonly string[], bound: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? '') < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
