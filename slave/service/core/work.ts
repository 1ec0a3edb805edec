import type { Delta, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import { invariant } from '../../../shared/protocol/kernel/invariant.js';
import type { SlaveContext } from './context.js';
import type { Token, UserAnswer } from './io.js';
import type { ScheduledChange } from './staged.js';

export type Task =
  | { readonly kind: 'prepare'; readonly round: RoundId; readonly change: Delta }
  | {
      readonly kind: 'commit';
      readonly change: Delta;
      readonly operations: readonly StoreOperation[];
      /** Its instant is what readers wait for: it is exposed first, and written then. */
      readonly scheduled: ScheduledChange | null;
    }
  | {
      readonly kind: 'abort';
      readonly to: Tip;
      readonly why: 'aborted' | 'superseded';
      readonly operations: readonly StoreOperation[];
    };

export interface WorkListener {
  /** False: the task was settled meanwhile, and is not started. */
  mayStart(task: Task): boolean;
  onEnded(task: Task, answer: UserAnswer): void;
}

/**
 * The user layer's calls, one at a time and in order: a call starts when the one before it has really ended, also when
 * it ran past its time (contract of the user layer; G6).
 */
export class WorkQueue {
  readonly #queue: Task[] = [];
  #running: { readonly task: Task; readonly token: Token } | null = null;
  /** The running call ran past its time, and was answered for already. */
  #late = false;
  #held = false;
  pendingBytes = 0;

  constructor(
    private readonly context: SlaveContext,
    private readonly listener: WorkListener,
  ) {}

  /** True while a call is past its time: the layer can't be asked anything, so prepares are answered "busy". */
  get isStuck(): boolean {
    return this.#late;
  }

  get isIdle(): boolean {
    return this.#running === null && this.#queue.length === 0;
  }

  get length(): number {
    return this.#queue.length;
  }

  push(task: Task): void {
    this.#queue.push(task);
    if (task.kind === 'commit') this.pendingBytes += task.change.bytes.byteLength;
    this.#startNext();
  }

  /** Puts a task before all others, without starting it: a commit that failed is tried again later. */
  holdFirst(task: Task): void {
    this.#queue.unshift(task);
    if (task.kind === 'commit') this.pendingBytes += task.change.bytes.byteLength;
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    this.#startNext();
  }

  /** While a snapshot is installed nothing else may call the layer. */
  hold(): void {
    invariant(this.#running === null, 'a snapshot is installed only when no call is running');
    this.#held = true;
  }

  /** The call under way, when it has this token. */
  running(token: Token): Task | null {
    return this.#running?.token === token ? this.#running.task : null;
  }

  /** True when the answer belonged to this queue. */
  onAnswer(token: Token, answer: UserAnswer): boolean {
    if (this.#running === null || this.#running.token !== token) return false;
    const { task } = this.#running;
    const firstAnswer = !this.#late;
    if (answer.kind === 'failed' && answer.late === true) {
      if (firstAnswer) {
        this.#late = true;
        // A commit past its time is still under way: its end tells. A prepare past its time is a no now.
        if (task.kind === 'prepare') this.listener.onEnded(task, answer);
      }
      return true;
    }
    this.#running = null;
    this.#late = false;
    if (firstAnswer || task.kind !== 'prepare') this.listener.onEnded(task, answer);
    this.#startNext();
    return true;
  }

  #startNext(): void {
    while (this.#running === null && !this.#held) {
      const task = this.#queue.shift();
      if (task === undefined) return;
      if (task.kind === 'commit') this.pendingBytes -= task.change.bytes.byteLength;
      if (!this.listener.mayStart(task)) continue;
      const token = this.context.token();
      this.#running = { task, token };
      if (task.kind === 'commit') {
        this.context.emit({
          kind: 'commitUser',
          token,
          change: task.change,
          operations: this.context.durable ? task.operations : [],
          durable: this.context.durable,
          activates: task.scheduled !== null,
        });
      } else if (task.kind === 'prepare') {
        this.context.emit({ kind: 'callUser', token, call: { name: 'prepare', change: task.change } });
      } else {
        this.context.emit({ kind: 'callUser', token, call: { name: 'abort', to: task.to, why: task.why } });
      }
    }
  }
}
