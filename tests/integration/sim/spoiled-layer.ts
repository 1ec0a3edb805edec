import type { Tip } from '../../../shared/protocol/kernel/ids.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import type { PrepareAnswer, SlaveUserLayer } from '../../../slave/user/contract.js';
import type { FaultKind } from './faults.js';

export type CallbackFault = Extract<FaultKind, `callbacks-${string}`>;

/** What is wrong with one node's callbacks now. It outlives the node's processes: it is the host app that is wrong. */
export class Mood {
  readonly #random: Random;
  readonly #struck: (kind: FaultKind) => void;
  readonly #chances = new Map<CallbackFault, number>();
  #hanging: (() => void)[] = [];
  /** A lie was told, and the running process goes by it. */
  lied = false;

  constructor(random: Random, struck: (kind: FaultKind) => void) {
    this.#random = random;
    this.#struck = struck;
  }

  become(fault: CallbackFault, chance: number): void {
    if (chance > 0) this.#chances.set(fault, chance);
    else this.#chances.delete(fault);
    if (fault === 'callbacks-hang' && chance === 0) this.#release();
  }

  heal(): void {
    this.#chances.clear();
    this.#release();
  }

  /** True when the call that asks goes wrong in this way. */
  strikes(fault: CallbackFault): boolean {
    const chance = this.#chances.get(fault);
    if (chance === undefined || !this.#random.chance(chance)) return false;
    this.#struck(fault);
    return true;
  }

  /** Throws, hangs until this fault is over, or lets the call go on. */
  async before(call: string): Promise<void> {
    if (this.strikes('callbacks-throw')) throw new Error(`the host's ${call} threw`);
    if (!this.strikes('callbacks-hang')) return;
    await new Promise<void>((resolve) => {
      this.#hanging.push(resolve);
    });
  }

  get isCalm(): boolean {
    return this.#chances.size === 0;
  }

  /** A yes or a no, whatever the change is; null: the layer may answer itself. */
  waver(): PrepareAnswer | null {
    if (!this.strikes('callbacks-waver')) return null;
    return this.#random.chance(0.5) ? { ok: true } : { ok: false, reason: 'not today' };
  }

  /** A state that isn't the copy's: one that can't be, or one that nobody ever committed. */
  lieAbout(tip: Tip): Tip {
    this.lied = true;
    const version = this.#random.chance(0.3) ? 0.5 : tip.version;
    return { ...tip, version: version as Tip['version'], chain: this.#random.hex128() as Tip['chain'] };
  }

  #release(): void {
    const hanging = this.#hanging;
    this.#hanging = [];
    for (const resolve of hanging) resolve();
  }
}

/** The layer, as far as the mood lets it. What it shows and stores is its own: only the answers are spoiled. */
export function spoiledSlaveLayer(layer: SlaveUserLayer, mood: Mood): SlaveUserLayer {
  const lyingOpen = async (): Promise<Tip | null> => {
    const tip = await layer.open();
    return tip !== null && mood.strikes('callbacks-lie') ? mood.lieAbout(tip) : tip;
  };
  // It fails after it was told: an abort that throws is delivered all the same.
  const brokenAbort: SlaveUserLayer['abort'] = async (to, why) => {
    await layer.abort(to, why);
    await mood.before('abort');
  };
  return {
    ...layer,
    open: () => {
      mood.lied = false;
      return mood.isCalm ? layer.open() : lyingOpen();
    },
    prepare: (change, signal) => {
      if (mood.isCalm) return layer.prepare(change, signal);
      return mood.before('prepare').then(() => mood.waver() ?? layer.prepare(change, signal));
    },
    commit: (change) => (mood.isCalm ? layer.commit(change) : mood.before('commit').then(() => layer.commit(change))),
    abort: (to, why) => (mood.isCalm ? layer.abort(to, why) : brokenAbort(to, why)),
    install: async (to, chunks) => {
      await mood.before('install');
      await layer.install(to, chunks);
    },
  };
}
