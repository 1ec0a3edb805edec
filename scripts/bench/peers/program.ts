import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const readyWithinMs = 30_000;
const attemptMs = 3000;
/** Of what a program says, the end is kept to explain why it stopped. */
const keptCharacters = 2000;

/** One listener for all of them: some comparisons start dozens. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A server of somebody else's, started on loopback and ended with the bench. */
export class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  #said = '';

  constructor(name: string, args: readonly string[]) {
    this.#name = name;
    this.#child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        this.#said = (this.#said + data.toString()).slice(-keptCharacters);
      });
    }
    // Told by `ready`, which finds the program gone.
    this.#child.on('error', (error) => (this.#said += error.message));
    running.add(this.#child);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves when `test` does so with true; throws when the program ends before that, or never gets there. */
  async ready(test: () => Promise<boolean>): Promise<void> {
    const untilMs = performance.now() + readyWithinMs;
    while (performance.now() < untilMs) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) throw this.#failure('ended at once');
      if (await Promise.race([test().catch(() => false), pause(attemptMs, false)])) return;
      await pause(50);
    }
    throw this.#failure(`was not ready within ${readyWithinMs / 1000} s`);
  }

  async end(): Promise<void> {
    running.delete(this.#child);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #failure(what: string): Error {
    return new Error(`${this.#name} ${what}: ${this.#said.trim().split('\n').slice(-3).join(' | ')}`);
  }
}

/** What `name --version` prints, its first line; null when there is no such program here. */
export async function versionOf(name: string, flag = '--version'): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(name, [flag]);
    return stdout.trim().split('\n')[0] ?? '';
  } catch {
    return null;
  }
}

export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
