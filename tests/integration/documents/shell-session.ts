import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** One bash as a reader types into it, with job control; each command is waited for. */
export class ShellSession implements AsyncDisposable {
  readonly #child: ChildProcess;
  #said = '';
  #count = 0;

  constructor(options: { readonly folder: string; readonly env: Readonly<Record<string, string>> }) {
    // A group of its own: whatever is left at the end goes with it.
    this.#child = spawn('bash', ['--noprofile', '--norc'], {
      cwd: options.folder,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    // Jobs have numbers without it too; only their processes would then share bash's group, which is what we want here.
    this.#child.stdin?.write('exec 2>&1\n');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What the command prints, and its exit code. */
  async run(command: string, deadlineMs = 60_000): Promise<{ readonly out: string; readonly exitCode: number }> {
    this.#count += 1;
    const mark = `--- end of ${this.#count}: `;
    this.#said = '';
    this.#child.stdin?.write(`${command}\nprintf '%s%s\\n' '${mark}' $?\n`);
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      const at = this.#said.indexOf(mark);
      const end = at < 0 ? -1 : this.#said.indexOf('\n', at);
      if (end >= 0) return { out: this.#said.slice(0, at), exitCode: Number(this.#said.slice(at + mark.length, end)) };
      if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${command}\n${this.#said}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = this.#child.exitCode === null ? once(this.#child, 'close') : null;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
    await ended;
  }
}
