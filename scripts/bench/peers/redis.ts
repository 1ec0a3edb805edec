import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { timeEach } from '../serve.js';
import { rateOf, type Load, type Peer, type PeerGroup, type Storage } from './peer.js';
import { freePorts, Program, versionOf } from './program.js';
import { keyOf, valueOf } from '../values.js';

const replicas = 3;
const waitMs = 10_000;

/** One primary and three replicas; each request ends with WAIT 3. */
export const redis: Peer = {
  name: 'Redis',
  packageName: 'redis-server',
  storages: ['memory', 'disk'],
  version: () => versionOf('redis-server'),
  start: async (storage, folder) => {
    const ports = await freePorts(1 + replicas);
    const [primary = 0, ...copies] = ports;
    const programs = [startServer(primary, storage, folder)];
    try {
      await programs[0]?.ready(async () => (await ask(primary, 'PING')).includes('PONG'));
      for (const port of copies) {
        programs.push(startServer(port, storage, folder, ['--replicaof', '127.0.0.1', String(primary)]));
      }
      await programs[0]?.ready(
        async () => (await ask(primary, 'INFO replication')).split('state=online').length > replicas,
      );
      return new RedisGroup(primary, programs);
    } catch (error) {
      await Promise.all(programs.map((program) => program.end()));
      throw error;
    }
  },
};

export function startServer(port: number, storage: Storage, folder: string, more: readonly string[] = []): Program {
  const own = join(folder, String(port));
  mkdirSync(own, { recursive: true });
  const durability = storage === 'disk' ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no'];
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', own, '--save', ''];
  const sync = ['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0'];
  return new Program('redis-server', [...place, ...durability, ...sync, ...more]);
}

/** The whole answer to one command, for setting up. */
export async function ask(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write(`${command}\r\n`);
    const [data] = (await once(socket, 'data')) as [Buffer];
    return data.toString();
  } finally {
    socket.destroy();
  }
}

class RedisGroup implements PeerGroup {
  readonly #port: number;
  readonly #programs: readonly Program[];
  #turn = 0;

  constructor(port: number, programs: readonly Program[]) {
    this.#port = port;
    this.#programs = programs;
  }

  async throughput(load: Load): Promise<number> {
    const connections = await Promise.all(Array.from({ length: load.callers }, () => RedisConnection.open(this.#port)));
    try {
      return await rateOf(load, async (caller) => {
        await connections[caller]?.put(this.#next(load.batch));
        return load.batch;
      });
    } finally {
      for (const connection of connections) connection.end();
    }
  }

  async latency(seconds: number): Promise<Awaited<ReturnType<typeof timeEach>>> {
    const connection = await RedisConnection.open(this.#port);
    try {
      return await timeEach(seconds, () => connection.put(this.#next(1)));
    } finally {
      connection.end();
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.end()));
  }

  #next(count: number): readonly number[] {
    const first = this.#turn;
    this.#turn += count;
    return Array.from({ length: count }, (_, index) => first + index);
  }
}

/** As little client as there can be, so that what is measured is the server: commands out, lines of replies counted. */
export class RedisConnection {
  readonly #socket: Socket;
  #missing = 0;
  #copies = replicas;
  #last = '';
  #done: (() => void) | null = null;
  #fail: ((error: Error) => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (data) => this.#onData(data));
    socket.on('error', (error) => this.#fail?.(error));
  }

  static async open(port: number): Promise<RedisConnection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RedisConnection(socket);
  }

  /** Resolves when so many replicas have acknowledged. */
  put(turns: readonly number[], copies = replicas): Promise<void> {
    return this.send(
      turns.map((turn) => setCommand(keyOf(turn), valueOf(turn))),
      copies,
    );
  }

  send(commands: readonly string[], copies: number): Promise<void> {
    this.#missing = commands.length + 1;
    this.#copies = copies;
    const digits = String(copies).length;
    this.#socket.write(`${commands.join('')}*3\r\n$4\r\nWAIT\r\n$${digits}\r\n${copies}\r\n$5\r\n${waitMs}\r\n`);
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#fail = reject;
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  #onData(data: Buffer): void {
    const text = this.#last + data.toString('latin1');
    const lines = text.split('\r\n');
    this.#last = lines.pop() ?? '';
    this.#missing -= lines.length;
    const wrong = lines.find((line) => line.startsWith('-'));
    if (wrong !== undefined) this.#fail?.(new Error(`Redis answered ${wrong}`));
    if (this.#missing > 0) return;
    const acknowledged = lines.at(-1);
    if (acknowledged === `:${this.#copies}`) this.#done?.();
    else this.#fail?.(new Error(`${acknowledged ?? 'nobody'} instead of ${this.#copies} replicas acknowledged`));
  }
}

export function setCommand(key: string, value: string): string {
  return `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`;
}
