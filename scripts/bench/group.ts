import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawKey, keyFileText, masterFile, slaveFileOf } from '../../shared/runtime/key-files.js';
import { Child } from './child.js';
import type { MasterTasks, RawReceiverTasks, RawSenderTasks, SlaveTasks } from './tasks.js';

const slaveNames = ['a', 'b', 'c'] as const;
export const slaveCount = slaveNames.length;

export interface BenchOptions {
  /** Where the translated sources are. */
  readonly compiled: string;
  /** Where CPU profiles go. */
  readonly profileFolder?: string;
  /** The text of the key files, made for this run; absent: without keys. */
  readonly keys?: { readonly master: string; readonly slave: string };
  /** Default `memory`. */
  readonly durability?: 'memory' | 'disk';
}

/** A master and three slaves, each a process of its own, on a multicast group of their own on loopback. */
export class BenchGroup {
  readonly master: Child<MasterTasks>;
  readonly slaves: readonly Child<SlaveTasks>[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  readonly #onExit = (): void => this.#destroy();

  private constructor(options: BenchOptions) {
    process.once('exit', this.#onExit);
    this.master = new Child(join(options.compiled, 'scripts/bench/master-child.js'), options);
    this.slaves = slaveNames.map(() => new Child(join(options.compiled, 'scripts/bench/slave-child.js'), options));
  }

  /** With every key put once. */
  static async start(options: BenchOptions): Promise<BenchGroup> {
    const bench = new BenchGroup(options);
    const group = await freeGroup();
    const { keys, durability = 'memory' } = options;
    const masters = keys === undefined ? {} : { keys: keys.master };
    const slaves = keys === undefined ? {} : { keys: keys.slave };
    await bench.master.ask('open', { store: join(bench.#folder, 'master'), group, durability, ...masters });
    await Promise.all(
      bench.slaves.map((slave, index) => {
        const name = slaveNames[index] ?? '';
        return slave.ask('open', { name, store: join(bench.#folder, name), group, durability, ...slaves });
      }),
    );
    const { version } = await bench.master.ask('fill', { slaves: slaveCount });
    await bench.reached(version);
    return bench;
  }

  /** Resolves when every slave exposes the version. */
  async reached(version: number): Promise<void> {
    await Promise.all(this.slaves.map((slave) => slave.ask('reached', { version, timeoutMs: 30_000 })));
  }

  /** Throws when a copy isn't what the master holds: a figure for a wrong result would be worth nothing. */
  async assertEqual(): Promise<void> {
    const master = await this.master.ask('account', null);
    const copies = await Promise.all(this.slaves.map((slave) => slave.ask('account', null)));
    const different = copies.filter(({ digest }) => digest !== master.digest).length;
    if (different > 0) throw new Error(`${different} of ${copies.length} copies differ from the master's state`);
  }

  async end(): Promise<void> {
    await Promise.all([this.master, ...this.slaves].map((child) => child.end()));
    process.off('exit', this.#onExit);
    this.#destroy();
  }

  #destroy(): void {
    for (const child of [this.master, ...this.slaves]) child.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** Receivers of one process, in a group of more than the usual three. */
export const perProcess = 10;

/** Sockets and nothing else: three receivers, each a process of its own, or many, several in a process. */
export class RawGroup {
  readonly sender: Child<RawSenderTasks>;
  readonly #receivers: readonly Child<RawReceiverTasks>[];
  readonly #onExit = (): void => this.#destroy();

  private constructor(options: BenchOptions, processes: number) {
    process.once('exit', this.#onExit);
    this.sender = new Child(join(options.compiled, 'scripts/bench/raw-sender-child.js'));
    const file = join(options.compiled, 'scripts/bench/raw-receiver-child.js');
    this.#receivers = Array.from({ length: processes }, () => new Child(file));
  }

  static async start(options: BenchOptions, receivers?: number): Promise<RawGroup> {
    const sizes = receivers === undefined ? slaveNames.map(() => 1) : shares(receivers);
    const raw = new RawGroup(options, sizes.length);
    const group = await freeGroup();
    await Promise.all(
      raw.#receivers.map((receiver, index) => receiver.ask('open', { group, receivers: sizes[index] ?? 1 })),
    );
    await raw.sender.ask('open', { group });
    return raw;
  }

  async end(): Promise<void> {
    await Promise.all([this.sender, ...this.#receivers].map((child) => child.end()));
    process.off('exit', this.#onExit);
  }

  #destroy(): void {
    for (const child of [this.sender, ...this.#receivers]) child.kill();
  }
}

/** How many go into each process. */
export function shares(total: number): readonly number[] {
  const processes = Math.ceil(total / perProcess);
  return Array.from({ length: processes }, (_, index) => Math.min(perProcess, total - index * perProcess));
}

export async function freeGroup(): Promise<string> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${port}`;
}

/** Keys of this run alone. */
export function benchKeys(): NonNullable<BenchOptions['keys']> {
  const file = masterFile([drawKey(1, 'current')]);
  return { master: keyFileText(file), slave: keyFileText(slaveFileOf(file)) };
}
