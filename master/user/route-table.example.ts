import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import type { Delta, Tip } from '../../shared/protocol/kernel/ids.js';
import type { MasterUserLayer } from './contract.js';

type Routes = Readonly<Record<string, string>>;
interface Saved {
  readonly tip: Tip | null;
  readonly routes: Routes;
}

/** Routes by network, in one file. A change is a JSON object of networks and gateways; null removes a network. */
export class RouteTable implements MasterUserLayer {
  #saved: Saved = { tip: null, routes: {} };
  #started: { readonly version: number; readonly bytes: Uint8Array } | null = null;

  constructor(readonly file: string) {}

  get routes(): Routes {
    return this.#saved.routes;
  }

  /** What to give to `replicate`. */
  change(patch: Readonly<Record<string, string | null>>): { version: number; delta: Uint8Array } {
    const version = Math.max(this.#saved.tip?.version ?? 0, this.#started?.version ?? 0) + 1;
    this.#started = { version, bytes: Buffer.from(JSON.stringify(patch)) };
    return { version, delta: this.#started.bytes };
  }

  open(): Tip | null {
    if (existsSync(this.file)) this.#saved = JSON.parse(readFileSync(this.file, 'utf8')) as Saved;
    return this.#saved.tip;
  }

  recover(committed: Tip | null, missing: readonly Delta[]): void {
    for (const step of missing) if (step.from?.chain === this.#saved.tip?.chain) this.committed(step);
    if (this.#saved.tip?.chain !== committed?.chain) throw new Error(`${this.file} isn't at what was committed`);
  }

  delta(_from: Tip | null, to: { readonly version: number }): Uint8Array | null {
    return to.version === this.#started?.version ? this.#started.bytes : null;
  }

  committed(change: Delta): void {
    if (change.to.chain === this.#saved.tip?.chain) return;
    const patch = JSON.parse(Buffer.from(change.bytes).toString('utf8')) as Record<string, string | null>;
    const merged = Object.entries({ ...(change.from === null ? {} : this.routes), ...patch });
    const routes = Object.fromEntries(merged.filter((route): route is [string, string] => route[1] !== null));
    saveAtomically(this.file, { tip: change.to, routes });
    this.#saved = { tip: change.to, routes };
  }

  restore(): void {
    // `routes` never holds what isn't committed, so there is nothing to take back.
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Made now, not when it is read: what commits meanwhile doesn't show in it.
    return Readable.from([Buffer.from(JSON.stringify(this.routes))]);
  }
}

/** Data and tip in one atomic durable write: whoever opens the file finds the old or the new, and both whole. */
function saveAtomically(file: string, content: object): void {
  const draft = openSync(`${file}.new`, 'w');
  writeSync(draft, JSON.stringify(content));
  fsyncSync(draft);
  closeSync(draft);
  renameSync(`${file}.new`, file);
  const folder = openSync(dirname(file), 'r');
  fsyncSync(folder);
  closeSync(folder);
}
