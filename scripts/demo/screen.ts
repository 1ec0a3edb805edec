import { styleText } from 'node:util';
import { nothing, tableText } from '../../cli/table.js';
import type { NodeRow } from './watch.js';

export interface CheckLine {
  readonly ok: boolean;
  readonly text: string;
}

export interface StepReport {
  readonly step: number;
  readonly title: string;
  readonly seconds: number;
  readonly checks: readonly CheckLine[];
  readonly nodes: readonly NodeRow[];
}

type Colour = 'bold' | 'dim' | 'green' | 'red' | 'cyan';

/** Where the demo writes: lines for people, or nothing until the JSON at the end. */
export class Screen {
  readonly #quiet: boolean;
  readonly #interactive: boolean;
  readonly #coloured: boolean;
  #afterTable = false;

  constructor(options: { readonly quiet: boolean }) {
    this.#quiet = options.quiet;
    this.#interactive = process.stdout.isTTY && !options.quiet;
    this.#coloured = this.#interactive && (process.env['NO_COLOR'] ?? '') === '';
  }

  line(text = ''): void {
    if (this.#quiet) return;
    if (this.#afterTable) process.stdout.write('\n');
    this.#afterTable = false;
    this.#clearProgress();
    process.stdout.write(`${text}\n`);
  }

  heading(step: number, title: string): void {
    this.#afterTable = false;
    this.line();
    this.line(this.paint('bold', `${step}  ${title}`));
  }

  /** What is going on; the next line takes its place. */
  progress(text: string): void {
    if (!this.#interactive) return;
    this.#clearProgress();
    process.stdout.write(this.paint('dim', `   … ${text}`));
  }

  /** What was done, as somebody would have typed or said it. */
  action(text: string): void {
    this.line(`   ${this.paint('cyan', '→')} ${text}`);
  }

  check({ ok, text }: CheckLine): void {
    this.line(`   ${ok ? this.paint('green', '✓') : this.paint('red', '✗')} ${text}`);
  }

  table(rows: readonly NodeRow[]): void {
    const head = ['node', 'role', 'state', 'version', 'behind', 'digest'];
    const cells = rows.map((row) => [
      row.node,
      row.role,
      row.state,
      row.version ?? nothing,
      row.behind === null ? nothing : String(row.behind),
      row.digest?.slice(0, 8) ?? nothing,
    ]);
    this.line();
    for (const [index, text] of tableText(head, cells).split('\n').entries()) {
      this.line(`     ${index === 0 ? this.paint('dim', text) : text}`);
    }
    // What is said between two tables belongs to the second one.
    this.#afterTable = true;
  }

  paint(colour: Colour, text: string): string {
    return this.#coloured ? styleText(colour, text) : text;
  }

  #clearProgress(): void {
    if (this.#interactive) process.stdout.write('\r\u001b[K');
  }
}
