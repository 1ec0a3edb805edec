/**
 * A table of named deadlines inside a core. The driver asks for the next one and wakes the core then; a spurious
 * wake-up does nothing, since the core asks the table what is due.
 */
export class Timers<Name extends string> {
  /** Names are few and stay: Infinity is one that isn't set. */
  readonly #deadlines = new Map<Name, number>();

  /** Sets or moves a deadline. */
  set(name: Name, atMs: number): void {
    this.#deadlines.set(name, atMs);
  }

  /** Keeps the earlier of the deadline already set and this one. */
  setEarlier(name: Name, atMs: number): void {
    if (atMs < this.#deadline(name)) this.#deadlines.set(name, atMs);
  }

  clear(name: Name): void {
    if (this.isSet(name)) this.#deadlines.set(name, Infinity);
  }

  clearAll(): void {
    this.#deadlines.clear();
  }

  isSet(name: Name): boolean {
    return this.#deadline(name) !== Infinity;
  }

  /** True when it is set, and comes no later than that. */
  isDueBy(name: Name, atMs: number): boolean {
    return this.#deadline(name) <= atMs;
  }

  /** True once per deadline: takes it off the table when it has come. */
  takeDue(name: Name, nowMs: number): boolean {
    if (this.#deadline(name) > nowMs) return false;
    this.#deadlines.set(name, Infinity);
    return true;
  }

  /** Infinity when nothing is set. */
  next(): number {
    let earliest = Infinity;
    for (const deadline of this.#deadlines.values()) if (deadline < earliest) earliest = deadline;
    return earliest;
  }

  #deadline(name: Name): number {
    return this.#deadlines.get(name) ?? Infinity;
  }
}
