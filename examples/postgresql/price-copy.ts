import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { sameTip, type Delta, type PrepareAnswer, type SlaveUserLayer, type Tip } from 'lockstep/slave';

type Prices = Readonly<Record<string, number>>;

/** A copy of the prices, in memory and in one file with its tip. It refuses a price that is above its limit. */
export class PriceCopy implements SlaveUserLayer {
  #tip: Tip | null = null;
  prices: Prices = {};

  constructor(
    readonly file: string,
    readonly maxCents: number,
  ) {}

  open(): Tip | null {
    if (existsSync(this.file)) {
      const saved = JSON.parse(readFileSync(this.file, 'utf8')) as { tip: Tip; prices: Prices };
      this.#tip = saved.tip;
      this.prices = saved.prices;
    }
    return this.#tip;
  }

  prepare(change: Delta): PrepareAnswer {
    const dear = Object.entries(patchOf(change)).find(([, cents]) => cents !== null && cents > this.maxCents);
    return dear === undefined
      ? { ok: true }
      : { ok: false, reason: `${dear[0]} costs more than ${this.maxCents} cents` };
  }

  commit(change: Delta): void {
    if (sameTip(change.to, this.#tip)) return;
    const merged = Object.entries({ ...(change.from === null ? {} : this.prices), ...patchOf(change) });
    this.#save(change.to, Object.fromEntries(merged.filter((price): price is [string, number] => price[1] !== null)));
  }

  abort(): void {
    // `prepare` keeps nothing.
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const all: Uint8Array[] = [];
    for await (const chunk of chunks) all.push(chunk);
    this.#save(to, JSON.parse(Buffer.concat(all).toString('utf8')) as Prices);
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return Readable.from([Buffer.from(JSON.stringify(this.prices))]);
  }

  /** Data and tip in one atomic durable write; only then do readers see them. */
  #save(tip: Tip, prices: Prices): void {
    const draft = openSync(`${this.file}.new`, 'w');
    writeSync(draft, JSON.stringify({ tip, prices }));
    fsyncSync(draft);
    closeSync(draft);
    renameSync(`${this.file}.new`, this.file);
    const folder = openSync(dirname(this.file), 'r');
    fsyncSync(folder);
    closeSync(folder);
    this.#tip = tip;
    this.prices = prices;
  }
}

function patchOf(change: Delta): Readonly<Record<string, number | null>> {
  return JSON.parse(Buffer.from(change.bytes).toString('utf8')) as Record<string, number | null>;
}
