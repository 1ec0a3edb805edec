import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Answer, Ask, Tasks } from './tasks.js';

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

const running = new Set<ChildProcess>();

/** What a part that failed has left running, which would take processor time from the next. */
export async function endChildren(): Promise<void> {
  const exits = [...running].map((child) => once(child, 'exit'));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(exits);
}

/** A process of the bench that is asked over an IPC channel. */
export class Child<Table extends Tasks<Table>> {
  readonly #child: ChildProcess;
  readonly #open = new Map<
    number,
    { readonly resolve: (answer: unknown) => void; readonly reject: (error: Error) => void }
  >();
  #next = 1;

  constructor(file: string, options: { readonly profileFolder?: string } = {}) {
    const profile = options.profileFolder;
    this.#child = fork(file, {
      execArgv: ['--expose-gc', ...(profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile])],
      env: { ...process.env, NODE_ENV: 'production' },
    });
    running.add(this.#child);
    this.#child.on('message', (reply: Reply) => {
      const open = this.#open.get(reply.id);
      this.#open.delete(reply.id);
      if (reply.error === undefined) open?.resolve(reply.answer);
      else open?.reject(new Error(reply.error));
    });
    this.#child.once('exit', (code, signal) => {
      running.delete(this.#child);
      for (const { reject } of this.#open.values()) reject(new Error(`${file} ended (${code ?? signal ?? '?'})`));
      this.#open.clear();
    });
  }

  ask<Name extends keyof Table & string>(name: Name, ask: Ask<Table, Name>): Promise<Answer<Table, Name>> {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve: (answer) => resolve(answer), reject });
      this.#child.send({ id, name, ask });
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    if (this.#child.connected) this.#child.disconnect();
    await exited;
  }

  /** For the way out, where nothing can be waited for. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
