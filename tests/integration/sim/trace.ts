import { createHash } from 'node:crypto';

/**
 * What happened, line by line. The same seed gives the same lines, byte for byte, and so the same digest; the lines
 * themselves are kept only on request, since a run makes tens of thousands of them.
 */
export class Trace {
  readonly #hash = createHash('sha256');
  readonly #lines: string[] = [];
  readonly #keep: boolean;
  #atMs = -1;
  #at = '';
  #pending = '';
  #count = 0;

  constructor(options: { readonly keep: boolean }) {
    this.#keep = options.keep;
  }

  get count(): number {
    return this.#count;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  line(atMs: number, node: string, text: string): void {
    if (atMs !== this.#atMs) {
      this.#atMs = atMs;
      this.#at = atMs.toFixed(3);
    }
    const line = `${this.#at} ${node} ${text}\n`;
    this.#count += 1;
    this.#pending += line;
    if (this.#keep) this.#lines.push(line.trimEnd());
    if (this.#pending.length > flushCharacters) this.#flush();
  }

  /** Call once, at the end. */
  digest(): string {
    this.#flush();
    return this.#hash.copy().digest('hex').slice(0, 32);
  }

  #flush(): void {
    this.#hash.update(this.#pending);
    this.#pending = '';
  }
}

const flushCharacters = 65_536;
