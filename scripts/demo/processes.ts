import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crashPointVariable } from '../../shared/runtime/crash-points.js';

const commandLine = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const tsConfig = fileURLToPath(new URL('../../tsconfig.json', import.meta.url));

/** What is kept of a process's output, to show when it ends by itself. */
const keptCharacters = 4000;

/** One node of the demo: the same name, store and address in each of its lives. */
export class DemoNode {
  readonly name: string;
  readonly role: 'master' | 'slave';
  readonly url: string;
  readonly #parameters: readonly string[];
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #ended: Promise<NodeJS.Signals | null> = Promise.resolve(null);
  #output = '';

  constructor(options: {
    readonly name: string;
    readonly role: 'master' | 'slave';
    readonly http: string;
    readonly parameters: readonly string[];
    readonly folder: string;
  }) {
    this.name = options.name;
    this.role = options.role;
    this.url = `http://${options.http}`;
    this.#parameters = [options.role, '--name', options.name, '--http', options.http, ...options.parameters];
    this.#folder = options.folder;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What the process said last, for the one who looks for the reason. */
  get output(): string {
    return this.#output.trim();
  }

  /** `crashAt`: a named crash point, `NAME:COUNT`. */
  start(options: { readonly crashAt?: string } = {}): void {
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), commandLine, ...this.#parameters], {
      cwd: this.#folder,
      env: { ...process.env, TSX_TSCONFIG_PATH: tsConfig, [crashPointVariable]: options.crashAt ?? '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (text: string): void => {
      this.#output = (this.#output + text).slice(-keptCharacters);
    };
    this.#output = '';
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => {
        keep(error.message);
        resolve(null);
      });
      child.once('exit', (_code, signal) => resolve(signal));
    });
    this.#child = child;
  }

  /** At once, without a chance to say or save anything. Returns when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** For the way out, where nothing can be waited for. */
  killNow(): void {
    if (this.isRunning) this.#child?.kill('SIGKILL');
  }

  /** The signal that ended it. */
  get ended(): Promise<NodeJS.Signals | null> {
    return this.#ended;
  }
}

/** One master and three slaves on a group, ports and a folder of their own. */
export class DemoGroup {
  readonly group: string;
  readonly master: DemoNode;
  readonly slaves: readonly [DemoNode, DemoNode, DemoNode];
  readonly #folder: string;

  private constructor(parts: {
    readonly group: string;
    readonly master: DemoNode;
    readonly slaves: readonly [DemoNode, DemoNode, DemoNode];
    readonly folder: string;
  }) {
    this.group = parts.group;
    this.master = parts.master;
    this.slaves = parts.slaves;
    this.#folder = parts.folder;
  }

  /** Starts nothing yet. `validator` is the text of the module that slave c judges changes with. */
  static async create(options: { readonly dataSet: string; readonly validator: string }): Promise<DemoGroup> {
    // Administratively scoped, and never beyond loopback.
    const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freeUdpPort()}`;
    const ports = await freeTcpPorts(4);
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-demo-'));
    const validator = join(folder, 'no-negative-price.mjs');
    writeFileSync(validator, options.validator);
    const node = (role: 'master' | 'slave', name: string, position: number, ...extra: string[]): DemoNode =>
      new DemoNode({
        name,
        role,
        http: `127.0.0.1:${ports[position] ?? 0}`,
        folder,
        parameters: [
          ...['--data-set', options.dataSet, '--store', join(folder, name), '--group', group],
          ...['--interface', '127.0.0.1', '--durability', 'disk', '--log-level', 'warn', ...extra],
        ],
      });
    const slaves = [
      node('slave', 'a', 1),
      node('slave', 'b', 2),
      node('slave', 'c', 3, '--validate', validator),
    ] as const;
    return new DemoGroup({ group, master: node('master', 'master', 0), slaves, folder });
  }

  get nodes(): readonly DemoNode[] {
    return [this.master, ...this.slaves];
  }

  /** Only what this group started, and at once: this is also the way out after ctrl-C. */
  destroy(): void {
    for (const node of this.nodes) node.killNow();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

/** Held until all are found, so that none comes twice. */
async function freeTcpPorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports = await Promise.all(
    servers.map(async (server) => {
      await once(server, 'listening');
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : 0;
    }),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
