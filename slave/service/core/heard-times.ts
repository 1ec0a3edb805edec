import type { Tip } from '../../../shared/protocol/kernel/ids.js';
import { versionOf } from '../../../shared/protocol/kernel/ids.js';

interface Heard {
  readonly version: number;
  readonly atMs: number;
}

/** Beyond it every second one goes: the further behind a copy is, the less the exact moment matters. */
const maxKept = 256;

/**
 * When this node first heard that a state was committed, for those that it doesn't expose yet. Oldest first, bounded; a
 * thinned-out list tells less than the true age, never more.
 */
export class HeardTimes {
  #waiting: Heard[] = [];

  /** A state was named as committed. */
  note(tip: Tip, exposed: Tip | null, nowMs: number): void {
    const version = versionOf(tip);
    // A reign that begins at an older version: what was heard beyond it isn't committed there.
    while ((this.#waiting.at(-1)?.version ?? 0) > version) this.#waiting.pop();
    if (version <= versionOf(exposed) || this.#waiting.at(-1)?.version === version) return;
    if (this.#waiting.length >= maxKept) this.#waiting = this.#waiting.filter((_, index) => index % 2 === 1);
    this.#waiting.push({ version, atMs: nowMs });
  }

  onExposed(tip: Tip): void {
    while (this.#waiting[0] !== undefined && this.#waiting[0].version <= tip.version) this.#waiting.shift();
  }

  /** When the oldest state that the copy lacks was heard of; null when it lacks none. */
  get oldestMs(): number | null {
    return this.#waiting[0]?.atMs ?? null;
  }
}
