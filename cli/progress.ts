import type { Shell } from './shell.js';

/** A line that is written over itself, for people only. */
export class Progress {
  readonly #shell: Shell;

  constructor(shell: Shell) {
    this.#shell = shell;
  }

  show(text: string): void {
    if (this.#shell.isInteractive) this.#shell.err(`\r ${text}\u001b[K`);
  }

  clear(): void {
    if (this.#shell.isInteractive) this.#shell.err('\r\u001b[K');
  }
}
