/**
 * A table of named deadlines inside a core. The driver asks for the next one and wakes the core then; a spurious
 * wake-up does nothing, since the core asks the table what is due.
 */
export class Timers<Name extends string> {
  readonly #deadlines = new Map<Name, number>();

  /** Sets or moves a deadline. */
  set(name: Name, atMs: number): void {
    this.#deadlines.set(name, atMs);
  }

  /** Keeps the earlier of the deadline already set and this one. */
  setEarlier(name: Name, atMs: number): void {
    const current = this.#deadlines.get(name);
    if (current === undefined || atMs < current) this.#deadlines.set(name, atMs);
  }

  clear(name: Name): void {
    this.#deadlines.delete(name);
  }

  clearAll(): void {
    this.#deadlines.clear();
  }

  isSet(name: Name): boolean {
    return this.#deadlines.has(name);
  }

  /** True once per deadline: takes it off the table when it has come. */
  takeDue(name: Name, nowMs: number): boolean {
    const deadline = this.#deadlines.get(name);
    if (deadline === undefined || deadline > nowMs) return false;
    this.#deadlines.delete(name);
    return true;
  }

  /** Infinity when nothing is set. */
  next(): number {
    let earliest = Infinity;
    for (const deadline of this.#deadlines.values()) if (deadline < earliest) earliest = deadline;
    return earliest;
  }
}
