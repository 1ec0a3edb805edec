import type { PageBody } from '../../shared/http/bodies.js';

/** An answer, as a reader saw it. */
export interface SeenContent {
  readonly answeredMs: number;
  readonly version: number;
  readonly current: boolean;
}

/**
 * Reads whole contents of a process again and again until it is told to stop, and keeps account of what it was shown. Every key of
 * a version has one value, so that two values in one answer are a mixture; readers that share `valueOf` hold each other's versions
 * to one value, too.
 */
export class ContentReader {
  readonly seen: SeenContent[] = [];
  readonly problems: string[] = [];
  readonly #url: () => string;
  readonly #keys: number;
  readonly #valueOf: Map<number, unknown>;
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(options: {
    /** It may change, when the process starts again. */
    readonly url: () => string;
    readonly keys: number;
    readonly valueOf: Map<number, unknown>;
  }) {
    this.#url = options.url;
    this.#keys = options.keys;
    this.#valueOf = options.valueOf;
    this.#done = this.#run();
  }

  /** Answers that came since then and called themselves current with an older content than this. */
  staleSince(sinceMs: number, version: number): readonly SeenContent[] {
    return this.seen.filter((each) => each.answeredMs > sinceMs && each.current && each.version < version);
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const answer = await fetch(`${this.#url()}/v1/data/default?limit=${this.#keys + 1}`);
        const answeredMs = performance.now();
        this.#look((await answer.json()) as PageBody, answer.headers.get('lockstep-current') === 'true', answeredMs);
        // Several readers at each of several processes: they have to leave the machine something.
        await new Promise((resolve) => setTimeout(resolve, 4));
      } catch {
        // The process is being killed or started again.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  #look({ entries, version }: PageBody, current: boolean, answeredMs: number): void {
    if (!Array.isArray(entries)) return;
    const values = new Set<unknown>(entries.map(({ value }): unknown => value));
    if (values.size > 1) this.problems.push(`${version} shows ${[...values].join(' and ')}`);
    if (entries.length !== 0 && entries.length !== this.#keys)
      this.problems.push(`${version} shows ${entries.length} keys`);
    const [value] = values;
    if (!this.#valueOf.has(version)) this.#valueOf.set(version, value);
    const known = this.#valueOf.get(version);
    if (known !== value) this.problems.push(`${version} is ${String(known)}, and here ${String(value)}`);
    const before = this.seen.at(-1)?.version ?? 0;
    if (version < before) this.problems.push(`${version} came after ${before}`);
    this.seen.push({ answeredMs, version, current });
  }
}
