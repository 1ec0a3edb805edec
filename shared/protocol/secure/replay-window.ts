/**
 * Which sequences of one sender have come: the newest ones one by one, all older ones as a whole. A multiple of 32. Large
 * enough for the datagrams of a few large changes that overtake each other; what is later than that counts as lost.
 */
export const replayWindow = 4096;

const words = replayWindow / 32;

export class ReplayWindow {
  readonly #bits = new Uint32Array(words);
  #highest = -1;

  /** False when it was taken already, or is too old for anybody to know. */
  isFresh(sequence: number): boolean {
    if (sequence > this.#highest) return true;
    if (sequence <= this.#highest - replayWindow) return false;
    return ((this.#bits[wordOf(sequence)] ?? 0) & bitOf(sequence)) === 0;
  }

  /** Only for what was authenticated: whoever may move the window decides what is refused. */
  take(sequence: number): void {
    if (sequence > this.#highest) this.#moveTo(sequence);
    const word = wordOf(sequence);
    this.#bits[word] = (this.#bits[word] ?? 0) | bitOf(sequence);
  }

  #moveTo(sequence: number): void {
    if (sequence - this.#highest >= replayWindow) {
      this.#bits.fill(0);
    } else {
      for (let skipped = this.#highest + 1; skipped <= sequence; skipped += 1) {
        const word = wordOf(skipped);
        this.#bits[word] = (this.#bits[word] ?? 0) & ~bitOf(skipped);
      }
    }
    this.#highest = sequence;
  }
}

/** Sequences go beyond 32 bits, so arithmetic, not shifts. */
function wordOf(sequence: number): number {
  return Math.floor((sequence % replayWindow) / 32);
}

function bitOf(sequence: number): number {
  return 1 << (sequence % 32);
}
