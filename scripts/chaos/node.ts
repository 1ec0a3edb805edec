import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import type { Host } from './network.js';
import type { Account, Order, Report } from './words.js';

const keptCharacters = 4000;
const tsConfig = fileURLToPath(new URL('../../tsconfig.json', import.meta.url));

/** One node on its host: the same name, store and address in each of its lives. */
export class ChaosNode {
  readonly host: Host;
  readonly role: 'master' | 'slave';
  /** Ended by itself; with what it said last. */
  readonly deaths: string[] = [];
  isPaused = false;
  readonly #folder: string;
  readonly #group: string;
  readonly #onReport: (report: Report) => void;
  #child: ChildProcess | null = null;
  #gone: Promise<void> = Promise.resolve();
  #output = '';
  #account: ((account: Account) => void) | null = null;
  /** What the lives before this one had resent, and repaired. */
  #latest: Account | null = null;
  readonly #past = { fragmentsResent: 0, repairs: 0, snapshots: 0 };

  constructor(options: {
    readonly host: Host;
    readonly role: 'master' | 'slave';
    readonly folder: string;
    readonly group: string;
    readonly onReport: (report: Report) => void;
  }) {
    this.host = options.host;
    this.role = options.role;
    this.#folder = options.folder;
    this.#group = options.group;
    this.#onReport = options.onReport;
  }

  get name(): string {
    return this.host.name;
  }

  /** Resolves when the node is open; it may not have been heard yet. */
  async start(): Promise<void> {
    const program = fileURLToPath(new URL(`${this.role}-child.ts`, import.meta.url));
    const node = [process.execPath, '--import', import.meta.resolve('tsx'), program];
    const child = spawn('ip', ['netns', 'exec', this.host.namespace, ...node], {
      env: { ...process.env, TSX_TSCONFIG_PATH: tsConfig },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#output = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-keptCharacters);
    });
    this.#gone = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        if (signal !== 'SIGKILL')
          this.deaths.push(`${this.name} ended by itself (${code ?? signal}): ${this.#output.trim()}`);
        resolve();
      });
    });
    const opened = new Promise<void>((resolve) => {
      child.on('message', (report: Report) => {
        if (report.kind === 'opened') resolve();
        else if (report.kind === 'account') this.#account?.(report.account);
        else this.#onReport(report);
      });
    });
    const { name, address } = this.host;
    const setup = { name, store: join(this.#folder, name), interface: address, group: this.#group };
    this.tell({ kind: 'open', setup });
    await Promise.race([opened, this.#gone]);
  }

  tell(order: Order): void {
    if (this.#child?.connected === true) this.#child.send(order, () => undefined);
  }

  /** Null: it doesn't answer now. */
  async account(waitMs = 2000): Promise<Account | null> {
    const answer = new Promise<Account>((resolve) => {
      this.#account = resolve;
    });
    this.tell({ kind: 'account' });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, waitMs, null);
    });
    const account = await Promise.race([answer, late]);
    clearTimeout(timer);
    if (account !== null) this.#latest = account;
    return account;
  }

  /** Over all lives, as far as they were asked: what a life did after it was last asked is lost with it. */
  get totals(): { readonly fragmentsResent: number; readonly repairs: number; readonly snapshots: number } {
    const now = this.#latest ?? this.#past;
    const past = this.#latest === null ? { fragmentsResent: 0, repairs: 0, snapshots: 0 } : this.#past;
    return {
      fragmentsResent: past.fragmentsResent + now.fragmentsResent,
      repairs: past.repairs + now.repairs,
      snapshots: past.snapshots + now.snapshots,
    };
  }

  pause(): void {
    this.isPaused = true;
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.isPaused = false;
    this.#child?.kill('SIGCONT');
  }

  /** At once, as a power cut does to a process. */
  async kill(): Promise<void> {
    await this.account(200);
    this.killNow();
    await this.#gone;
    if (this.#latest !== null) {
      this.#past.fragmentsResent += this.#latest.fragmentsResent;
      this.#past.repairs += this.#latest.repairs;
      if (this.role === 'slave') this.#past.snapshots += this.#latest.snapshots;
    }
    this.#latest = null;
  }

  killNow(): void {
    if (this.#child !== null && this.#child.exitCode === null) this.#child.kill('SIGKILL');
  }
}
