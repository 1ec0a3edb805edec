import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Durability } from '../../shared/protocol/kernel/outcome.js';
import { Child } from './child.js';
import { freeGroup, shares, type BenchOptions } from './group.js';
import type { MasterTasks, SlavesAccount, SlavesTasks } from './tasks.js';

/** Many share two cores with whatever else runs there. */
const reachMs = 300_000;

/** A master in a process of its own and any number of slaves, several in a process, on loopback multicast; in memory if nothing else is said. */
export class LargeGroup {
  readonly master: Child<MasterTasks>;
  readonly #processes: Child<SlavesTasks>[] = [];
  readonly #options: BenchOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  readonly #onExit = (): void => this.#destroy();
  #group = '';
  #durability: Durability = 'memory';
  #slaves = 0;

  private constructor(options: BenchOptions) {
    process.once('exit', this.#onExit);
    this.#options = options;
    this.master = new Child(join(options.compiled, 'scripts/bench/master-child.js'), options);
  }

  /** Without a slave yet, and with nothing in it. */
  static async start(
    options: BenchOptions,
    settings: { readonly historyBytes?: number; readonly durability?: Durability } = {},
  ): Promise<LargeGroup> {
    const large = new LargeGroup(options);
    large.#group = await freeGroup();
    const store = join(large.#folder, 'master');
    large.#durability = settings.durability ?? 'memory';
    await large.master.ask('open', { store, group: large.#group, ...settings, durability: large.#durability });
    return large;
  }

  get slaves(): number {
    return this.#slaves;
  }

  get processes(): readonly Child<SlavesTasks>[] {
    return this.#processes;
  }

  /** Starts so many processes, without slaves. */
  spawn(processes: number): readonly Child<SlavesTasks>[] {
    const file = join(this.#options.compiled, 'scripts/bench/slaves-child.js');
    const started = Array.from({ length: processes }, () => new Child<SlavesTasks>(file, this.#options));
    this.#processes.push(...started);
    return started;
  }

  /** Opens so many slaves, all at once, in processes that were started before or are started now. */
  async add(
    slaves: number,
    processes = this.spawn(shares(slaves).length),
    clockOf?: (slave: number) => { readonly aheadMs: number; readonly rate: number },
  ): Promise<void> {
    const sizes = shares(slaves);
    await Promise.all(
      processes.map((child, index) => {
        const numbers = Array.from({ length: sizes[index] ?? 0 }, () => (this.#slaves += 1));
        const clocks = clockOf === undefined ? {} : { clocks: numbers.map(clockOf) };
        const names = numbers.map((number) => `s${number}`);
        return child.ask('open', {
          names,
          folder: this.#folder,
          group: this.#group,
          durability: this.#durability,
          ...clocks,
        });
      }),
    );
  }

  /** Resolves when every slave exposes the version. */
  async reached(version: number, processes: readonly Child<SlavesTasks>[] = this.#processes): Promise<void> {
    await Promise.all(processes.map((child) => child.ask('reached', { version, timeoutMs: reachMs })));
  }

  async accounts(): Promise<readonly SlavesAccount[]> {
    return Promise.all(this.#processes.map((child) => child.ask('account', null)));
  }

  /** Throws when a copy isn't what the master holds: a figure for a wrong result would be worth nothing. */
  async assertEqual(): Promise<void> {
    const { digest } = await this.master.ask('account', null);
    const digests = new Set((await this.accounts()).flatMap((account) => account.digests));
    if (digests.size !== 1 || !digests.has(digest)) throw new Error("the copies differ from the master's state");
  }

  async end(): Promise<void> {
    await Promise.all([this.master, ...this.#processes].map((child) => child.end()));
    process.off('exit', this.#onExit);
    this.#destroy();
  }

  #destroy(): void {
    for (const child of [this.master, ...this.#processes]) child.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}
