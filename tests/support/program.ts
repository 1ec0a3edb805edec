import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** A TypeScript program of this repository as a process of its own, started from the root as its readers would. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #out = '';
  #err = '';
  #changed: () => void = () => undefined;

  constructor(path: string, ...parameters: string[]) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', path, ...parameters], {
      cwd: root,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text;
      this.#changed();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#err += text;
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (exitCode) => {
        resolve(exitCode);
        this.#changed();
      });
    });
  }

  get out(): string {
    return this.#out;
  }

  get err(): string {
    return this.#err;
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Waits for a text in what it prints; the failure shows all that it said. */
  async printed(pattern: RegExp, deadlineMs = 30_000): Promise<RegExpExecArray> {
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      const found = pattern.exec(this.#out);
      if (found !== null) return found;
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || this.#child.exitCode !== null) {
        throw new Error(`${String(pattern)} was not printed within ${deadlineMs} ms\n${this.#out}\n${this.#err}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** The end of its input is a reason to end, for those that read it. */
  endInput(): Promise<number | null> {
    this.#child.stdin?.end();
    return this.#ended;
  }

  signal(name: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(name);
    return this.#ended;
  }

  /** Whatever still runs is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
