import type { PageBody } from '../../shared/http/bodies.js';

/** An answer, as a reader saw it. */
export interface SeenContent {
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
  #onHeld: (() => void) | null = null;
  #goOn: () => void = () => undefined;

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

  get last(): SeenContent | undefined {
    return this.seen.at(-1);
  }

  /** Of these answers on: those that called themselves current with an older content than this. */
  staleFrom(place: number, version: number): readonly SeenContent[] {
    return this.seen.slice(place).filter((each) => each.current && each.version < version);
  }

  /** Resolves when nothing is asked any more; the connection stays open. */
  hold(): Promise<void> {
    return new Promise((resolve) => {
      this.#onHeld = resolve;
    });
  }

  /** Goes on after `hold`: what is asked from now on is of no sooner a moment. Gives the place of the next answer. */
  goOn(): number {
    this.#onHeld = null;
    this.#goOn();
    return this.seen.length;
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (this.#onHeld !== null) await this.#standStill(this.#onHeld);
      try {
        const answer = await fetch(`${this.#url()}/v1/data/default?limit=${this.#keys + 1}`);
        this.#look((await answer.json()) as PageBody, answer.headers.get('lockstep-current') === 'true');
        // Several readers at each of several processes: they have to leave the machine something.
        await new Promise((resolve) => setTimeout(resolve, 8));
      } catch {
        // The process is being killed or started again.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  #standStill(told: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = resolve;
      told();
    });
  }

  #look({ entries, version }: PageBody, current: boolean): void {
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
    this.seen.push({ version, current });
  }
}
