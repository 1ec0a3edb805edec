import { describe, expect, test } from 'vitest';
import type { MasterUserLayer } from '../../../master/user/contract.js';
import type { Delta, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip } from '../../../shared/protocol/kernel/ids.js';
import type { Store } from '../../../shared/runtime/ports.js';
import type { PrepareAnswer, SlaveUserLayer } from '../../../slave/user/contract.js';
import type { LayerContext } from './index.js';
import { simulate } from './index.js';

/** A host's own data: flags, kept with their tip in one record of the host's own. */
type Flags = Readonly<Record<string, number>>;

interface Saved {
  readonly tip: Tip | null;
  readonly flags: Flags;
}

const key = ['host', 'flags'];

class SavedFlags {
  saved: Saved;

  constructor(private readonly store: Store) {
    this.saved = (store.get(key) as Saved | undefined) ?? { tip: null, flags: {} };
  }

  /** Data and tip in one atomic durable write. */
  async save(next: Saved): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.store.write(
        (transaction) => {
          transaction.put(key, next);
        },
        { durable: true },
        (error) => {
          if (error === null) resolve();
          else reject(error);
        },
      );
    });
    this.saved = next;
  }

  after(change: Delta): Saved {
    const patch = JSON.parse(Buffer.from(change.bytes).toString()) as Flags;
    return { tip: change.to, flags: change.from === null ? patch : { ...this.saved.flags, ...patch } };
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from(JSON.stringify(this.saved.flags)));
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    await this.save({ tip: to, flags: JSON.parse(Buffer.concat(parts).toString()) as Flags });
  }
}

class FlagsMaster implements MasterUserLayer {
  readonly #copy: SavedFlags;
  /** Changes of the original that aren't committed yet, by version. */
  readonly #started = new Map<number, Uint8Array>();

  constructor({ store }: LayerContext) {
    this.#copy = new SavedFlags(store);
  }

  start(version: number, flags: Flags): Uint8Array {
    const bytes = Buffer.from(JSON.stringify(flags));
    this.#started.set(version, bytes);
    return bytes;
  }

  open(): Tip | null {
    return this.#copy.saved.tip;
  }

  async recover(committed: Tip | null, missing: readonly Delta[]): Promise<void> {
    for (const step of missing) await this.committed(step);
    if (!sameTip(this.#copy.saved.tip, committed)) throw new Error('the flags can not reach what was committed');
  }

  delta(_from: Tip | null, to: { readonly version: number }): Uint8Array | null {
    return this.#started.get(to.version) ?? null;
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return this.#copy.chunks();
  }

  restore(_to: Tip | null, dropped: readonly number[]): void {
    for (const version of dropped) this.#started.delete(version);
  }

  async committed(change: Delta): Promise<void> {
    if (sameTip(change.to, this.#copy.saved.tip)) return;
    await this.#copy.save(this.#copy.after(change));
    this.#started.delete(change.to.version);
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#copy.install(to, chunks);
  }
}

class FlagsSlave implements SlaveUserLayer {
  protected readonly copy: SavedFlags;

  constructor({ store }: LayerContext) {
    this.copy = new SavedFlags(store);
  }

  open(): Tip | null {
    return this.copy.saved.tip;
  }

  prepare(change: Delta): PrepareAnswer {
    const { flags } = this.copy.after(change);
    return flags['poison'] === 13 ? { ok: false, reason: 'poison must not be 13' } : { ok: true };
  }

  async commit(change: Delta): Promise<void> {
    if (sameTip(change.to, this.copy.saved.tip)) return;
    await this.copy.save(this.copy.after(change));
  }

  abort(): void {
    // `prepare` stages nothing.
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.copy.install(to, chunks);
  }
}

/** Says that it has committed while the write is still under way. */
class HastySlave extends FlagsSlave {
  override async commit(change: Delta): Promise<void> {
    const next = this.copy.after(change);
    this.copy.save(next).catch(() => undefined);
    this.copy.saved = next;
    await Promise.resolve();
  }
}

const host = {
  slaves: 3,
  faultsMs: 8000,
  master: (context: LayerContext): MasterUserLayer => new FlagsMaster(context),
  change: ({
    layer,
    version,
    random,
  }: Parameters<NonNullable<Parameters<typeof simulate>[0]>['change'] & object>[0]) =>
    layer instanceof FlagsMaster
      ? layer.start(version, { [`flag-${random.below(5)}`]: version, poison: random.below(20) })
      : undefined,
};

describe("a host's own callbacks under simulation", () => {
  test('hold every guarantee through crashes and loss when they keep the contract', async () => {
    const { passed, seeds } = await simulate({ ...host, seeds: 6, slave: (context) => new FlagsSlave(context) });
    expect(passed).toBe(6);
    expect(seeds.reduce((sum, { stats }) => sum + stats.committed, 0)).toBeGreaterThan(20);
    expect(seeds.reduce((sum, { stats }) => sum + stats.aborted, 0)).toBeGreaterThan(0);
  });

  test('are caught when they break it: a commit that is told before it is durable', async () => {
    await expect(simulate({ ...host, seeds: 20, slave: (context) => new HastySlave(context) })).rejects.toThrow(
      /seed \d+: G\d+ at/,
    );
  });
});
