import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { MessageKind } from '../../../../../shared/protocol/wire/messages.js';
import { crashPointVariable, type CrashPointName } from '../../../../../shared/runtime/crash-points.js';
import type { CrashAt } from '../scenario.js';
import type { NodeEvent } from '../stage.js';
import type { Answer, Order } from './orders.js';
import { nodeNameVariable } from './orders.js';

const commandLine = fileURLToPath(new URL('../../../../../cli/main.ts', import.meta.url));
const tsConfig = fileURLToPath(new URL('../../../../../tsconfig.json', import.meta.url));
const wireTap = new URL('./wire-tap.ts', import.meta.url).href;

/** The product's name for each moment that a scenario can start a process with. */
const pointOf: Readonly<Record<CrashAt['name'], CrashPointName>> = {
  'after-decision': 'master:after-write:decision',
};
const startMs = 20_000;
const orderMs = 5000;
/** What is kept of a process's complaints. */
const keptCharacters = 2000;

/** One `lockstep` process at a time, with the same name and store in each of its lives. */
export class RealNode {
  readonly #name: string;
  readonly #parameters: readonly string[];
  readonly #folder: string;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #url: string | null = null;
  readonly #events: NodeEvent[] = [];
  #marked = 0;
  #sentAtMark: Answer['sent'] = {};
  #nextOrder = 1;
  #complaints = '';
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();

  /** `name` is the node's name in the group. */
  constructor(options: { readonly name: string; readonly parameters: readonly string[]; readonly folder: string }) {
    this.#name = options.name;
    this.#parameters = options.parameters;
    this.#folder = options.folder;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Where it serves HTTP; null while it is down. */
  get url(): string | null {
    return this.isRunning ? this.#url : null;
  }

  /** Since the last mark. */
  get events(): readonly NodeEvent[] {
    return this.#events.slice(this.#marked);
  }

  get complaints(): string {
    return this.#complaints.trim();
  }

  /** Resolves when the process serves, or when it ended without that. */
  async start(crashAt: CrashAt | null): Promise<void> {
    if (this.isRunning) return;
    const tsx = import.meta.resolve('tsx');
    const child = spawn(process.execPath, ['--import', tsx, '--import', wireTap, commandLine, ...this.#parameters], {
      cwd: this.#folder,
      env: {
        ...process.env,
        TSX_TSCONFIG_PATH: tsConfig,
        [nodeNameVariable]: this.#name,
        [crashPointVariable]: crashAt === null ? '' : `${pointOf[crashAt.name]}:${crashAt.occurrence}`,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#url = null;
    this.#sentAtMark = {};
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        for (const answered of this.#waiting.values()) answered(null);
        this.#waiting.clear();
        resolve();
      };
      child.once('error', end);
      child.once('close', end);
    });
    child.on('message', (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => this.#onLogged(line));
    await this.#serving(child);
  }

  async #serving(child: ChildProcess): Promise<void> {
    const { stdout } = child;
    if (stdout === null) return;
    const served = new Promise<void>((resolve) => {
      createInterface({ input: stdout }).on('line', (line) => {
        const url = /^lockstep .* · (http:\/\/\S+) · /.exec(line)?.[1];
        if (url === undefined || this.#child !== child) return;
        this.#url = url;
        resolve();
      });
    });
    await within(Promise.race([served, this.#ended]), startMs, `${this.#name} doesn't start`);
  }

  /** Without a chance to say or save anything. */
  async kill(): Promise<void> {
    if (this.isRunning) this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** Null: the process is down, or went down meanwhile. */
  async order(order: Order): Promise<Answer | null> {
    const child = this.#child;
    if (child === null || !this.isRunning || !child.connected) return null;
    const id = this.#nextOrder;
    this.#nextOrder += 1;
    const answered = new Promise<Answer | null>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    child.send({ id, order }, (error) => {
      if (error !== null) this.#waiting.get(id)?.(null);
    });
    return within(answered, orderMs, `${this.#name} doesn't answer its player`);
  }

  async mark(): Promise<void> {
    this.#marked = this.#events.length;
    this.#sentAtMark = (await this.order({ kind: 'count' }))?.sent ?? {};
  }

  async sent(): Promise<ReadonlyMap<MessageKind, number>> {
    const sent = (await this.order({ kind: 'count' }))?.sent ?? {};
    const counts = new Map<MessageKind, number>();
    for (const [kind, count] of Object.entries(sent) as [MessageKind, number][])
      counts.set(kind, count - (this.#sentAtMark[kind] ?? 0));
    return counts;
  }

  #onLogged(line: string): void {
    try {
      const { event, ...fields } = JSON.parse(line) as { readonly event: string } & Record<string, unknown>;
      this.#events.push({ name: event, fields });
    } catch {
      this.#complaints = `${this.#complaints}\n${line}`.slice(-keptCharacters);
    }
  }
}

async function within<Value>(promise: Promise<Value>, limitMs: number, text: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${text} within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
