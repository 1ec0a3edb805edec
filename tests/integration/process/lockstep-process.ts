import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiledLockstep } from './compiled.js';
import { freePort } from './loopback.js';

export interface Ended {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

/** One `lockstep …` as a process of its own. */
export class LockstepProcess {
  readonly #child: ChildProcess;
  out = '';
  err = '';
  readonly ended: Promise<Ended>;

  constructor(
    parameters: readonly string[],
    options: {
      /** From `compiledLockstep`. */
      readonly main: string;
      readonly folder: string;
      readonly input?: string;
      readonly env?: Readonly<Record<string, string>> | undefined;
    },
  ) {
    this.#child = spawn(process.execPath, [options.main, ...parameters], {
      cwd: options.folder,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdin?.end(options.input ?? '');
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (exitCode) => {
        resolve({ exitCode, out: this.out, err: this.err });
      });
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** The signal that ended it. */
  get killedBy(): NodeJS.Signals | null {
    return this.#child.signalCode;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }
}

/** Waits for a condition, with a deadline; the failure shows what the processes said. */
export async function eventually<Value>(
  what: string,
  look: () => Value | undefined | Promise<Value | undefined>,
  deadlineMs = 15_000,
  show: () => string = () => '',
): Promise<Value> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > endMs) throw new Error(`${what}: not within ${deadlineMs} ms\n${show()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** A group on loopback with folders of its own; whatever still runs at the end is killed by its own id. */
export class ProcessGroup implements AsyncDisposable {
  readonly folder: string;
  readonly group: string;
  readonly #main: string;
  readonly #started: LockstepProcess[] = [];

  private constructor(folder: string, group: string, main: string) {
    this.folder = folder;
    this.group = group;
    this.#main = main;
  }

  static async start(): Promise<ProcessGroup> {
    const group = `239.255.${randomInt(1, 255)}.${randomInt(1, 255)}:${await freePort()}`;
    return new ProcessGroup(await mkdtemp(join(tmpdir(), 'lockstep-process-')), group, await compiledLockstep());
  }

  /** `lockstep master` on any free ports. */
  master(...parameters: string[]): LockstepProcess {
    return this.start('master', '--group', this.group, '--http', '127.0.0.1:0', ...parameters);
  }

  slave(name: string, ...parameters: string[]): LockstepProcess {
    return this.start('slave', '--name', name, '--group', this.group, ...parameters);
  }

  start(...parameters: string[]): LockstepProcess {
    return this.startWith({}, ...parameters);
  }

  /** With more in its environment. */
  startWith(env: Readonly<Record<string, string>>, ...parameters: string[]): LockstepProcess {
    const started = new LockstepProcess(parameters, { main: this.#main, folder: this.folder, env });
    this.#started.push(started);
    return started;
  }

  /** Runs to its end. */
  async run(parameters: readonly string[], input = ''): Promise<Ended> {
    const started = new LockstepProcess(parameters, { main: this.#main, folder: this.folder, input });
    this.#started.push(started);
    return started.ended;
  }

  /** Where the node serves HTTP, from the one line that it prints. */
  async url(node: LockstepProcess): Promise<string> {
    return eventually(
      'the line with the addresses',
      () => {
        const url = /^lockstep .* · (http:\/\/\S+) · /m.exec(node.out)?.[1];
        if (url === undefined && !node.running) throw new Error(`the node ended: ${node.err}`);
        return url;
      },
      15_000,
      () => node.err,
    );
  }

  /** Resolves when the node says that it can do its work. */
  async ready(node: LockstepProcess, query = ''): Promise<string> {
    const url = await this.url(node);
    await eventually(
      `${url}/readyz`,
      async () => {
        if (!node.running) throw new Error(`the node ended: ${node.err}`);
        const answer = await fetch(`${url}/readyz${query}`).catch(() => null);
        return answer?.status === 200 ? true : undefined;
      },
      20_000,
      () => node.err,
    );
    return url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#started) if (node.running) node.signal('SIGKILL');
    await Promise.all(this.#started.map((node) => node.ended.catch(() => undefined)));
    await rm(this.folder, { recursive: true, force: true });
  }
}
