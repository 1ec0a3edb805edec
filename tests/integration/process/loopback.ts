import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomInt } from 'node:crypto';
import type { Delta, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import type { MasterOptions, MasterUserLayer } from '../../../master/index.js';
import { Master } from '../../../master/index.js';
import type { PrepareAnswer, SlaveOptions, SlaveUserLayer } from '../../../slave/index.js';
import { Slave } from '../../../slave/index.js';

/** A port that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Waits for a condition, with a deadline. */
export async function until(condition: () => boolean, what: string, deadlineMs = 8000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A group of its own on loopback, with folders that go away with it. */
export class Loopback implements AsyncDisposable {
  readonly #folder: string;
  readonly #group: string;
  readonly #open: AsyncDisposable[] = [];

  private constructor(folder: string, group: string) {
    this.#folder = folder;
    this.#group = group;
  }

  static async start(): Promise<Loopback> {
    const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
    return new Loopback(await mkdtemp(join(tmpdir(), 'lockstep-')), group);
  }

  async master(options: Partial<MasterOptions> = {}): Promise<Master> {
    const master = await Master.open({ store: join(this.#folder, 'master'), group: this.#group, ...options });
    this.#open.push(master);
    return master;
  }

  async slave(name: string, options: Partial<SlaveOptions> = {}): Promise<Slave> {
    const slave = await Slave.open({ name, store: join(this.#folder, name), group: this.#group, ...options });
    this.#open.push(slave);
    return slave;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#open.reverse()) await node[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** An original that grows by appended text: its deltas must be applied exactly once and in order. */
export class TextOriginal implements MasterUserLayer {
  text = '';
  tip: Tip | null = null;
  readonly restored: (Tip | null)[] = [];
  deltasAsked = 0;
  readonly #appended = new Map<number, string>();

  /** Changes the original; then `replicate` is due. */
  append(version: number, text: string): void {
    this.#appended.set(version, text);
  }

  open(): Tip | null {
    return this.tip;
  }

  recover(committed: Tip | null): void {
    if (!sameTip(committed, this.tip)) throw new Error('a text in memory recovers nothing');
  }

  delta(from: Tip | null, to: { readonly version: number }): Uint8Array | null {
    this.deltasAsked += 1;
    const appended = this.#appended.get(to.version);
    if (appended === undefined || !sameTip(from, this.tip)) return null;
    return Buffer.from(from === null ? this.text + appended : appended);
  }

  async *snapshot(): AsyncIterable<Uint8Array> {
    yield Buffer.from(this.text);
  }

  restore(to: Tip | null): void {
    this.restored.push(to);
  }

  committed(change: Delta): void {
    this.text = change.from === null ? textOf(change) : this.text + textOf(change);
    this.tip = change.to;
  }
}

/** The copy of a `TextOriginal`; its prepare can be made to refuse or to hang. */
export class TextCopy implements SlaveUserLayer {
  text = '';
  tip: Tip | null = null;
  readonly seen: string[] = [];
  readonly versions: number[] = [];
  onPrepare: (change: Delta, signal: AbortSignal) => PrepareAnswer | Promise<PrepareAnswer> = () => ({ ok: true });

  open(): Tip | null {
    return this.tip;
  }

  prepare(change: Delta, signal: AbortSignal): PrepareAnswer | Promise<PrepareAnswer> {
    this.seen.push(`prepare ${change.to.version}`);
    return this.onPrepare(change, signal);
  }

  commit(change: Delta): void {
    if (sameTip(change.to, this.tip)) return;
    if (change.from !== null && !sameTip(change.from, this.tip))
      throw new Error(`a change from v${versionOf(change.from)} on v${versionOf(this.tip)}`);
    this.seen.push(`commit ${change.to.version}`);
    this.versions.push(change.to.version);
    this.text = change.from === null ? textOf(change) : this.text + textOf(change);
    this.tip = change.to;
  }

  abort(to: Tip, why: 'aborted' | 'superseded'): void {
    this.seen.push(`abort ${to.version} ${why}`);
  }

  async install(to: Tip, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    this.seen.push(`install ${to.version}`);
    this.text = Buffer.concat(parts).toString();
    this.tip = to;
  }
}

function textOf(change: Delta): string {
  return Buffer.from(change.bytes).toString();
}
