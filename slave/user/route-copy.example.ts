import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import type { Delta, Tip } from '../../shared/protocol/kernel/ids.js';
import type { PrepareAnswer, SlaveUserLayer } from './contract.js';

type Routes = Readonly<Record<string, string>>;
interface Saved {
  readonly tip: Tip | null;
  readonly routes: Routes;
}

/** A copy of the routes, in one file. It refuses a gateway that this machine can't reach. */
export class RouteCopy implements SlaveUserLayer {
  #saved: Saved = { tip: null, routes: {} };

  constructor(
    readonly file: string,
    readonly canReach: (gateway: string) => boolean,
  ) {}

  get routes(): Routes {
    return this.#saved.routes;
  }

  open(): Tip | null {
    if (existsSync(this.file)) this.#saved = JSON.parse(readFileSync(this.file, 'utf8')) as Saved;
    return this.#saved.tip;
  }

  prepare(change: Delta): PrepareAnswer {
    const gateways = Object.values(parsePatch(change));
    const refused = gateways.flatMap((gateway, place) => (gateway === null || this.canReach(gateway) ? [] : [place]));
    return refused.length === 0 ? { ok: true } : { ok: false, reason: 'no way to the gateway', refused };
  }

  commit(change: Delta): void {
    if (change.to.chain === this.#saved.tip?.chain) return;
    const merged = Object.entries({ ...(change.from === null ? {} : this.routes), ...parsePatch(change) });
    const routes = Object.fromEntries(merged.filter((route): route is [string, string] => route[1] !== null));
    this.#save({ tip: change.to, routes });
  }

  abort(): void {
    // `prepare` keeps nothing, so there is nothing to drop.
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const all: Uint8Array[] = [];
    for await (const chunk of chunks) all.push(chunk);
    this.#save({ tip: to, routes: JSON.parse(Buffer.concat(all).toString('utf8')) as Routes });
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Made now, not when it is read: what commits meanwhile doesn't show in it.
    return Readable.from([Buffer.from(JSON.stringify(this.routes))]);
  }

  /** Data and tip in one atomic durable write; only then do readers see them. */
  #save(saved: Saved): void {
    const draft = openSync(`${this.file}.new`, 'w');
    writeSync(draft, JSON.stringify(saved));
    fsyncSync(draft);
    closeSync(draft);
    renameSync(`${this.file}.new`, this.file);
    const folder = openSync(dirname(this.file), 'r');
    fsyncSync(folder);
    closeSync(folder);
    this.#saved = saved;
  }
}

function parsePatch(change: Delta): Readonly<Record<string, string | null>> {
  return JSON.parse(Buffer.from(change.bytes).toString('utf8')) as Record<string, string | null>;
}
