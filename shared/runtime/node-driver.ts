import { invariant } from '../protocol/kernel/invariant.js';
import type { Envelope } from '../protocol/wire/messages.js';
import type { Node, Participant } from './node.js';

/** A pure core, as its driver needs it. */
export interface Machine<Input, Effect> {
  step(input: Input, nowMs: number): readonly Effect[];
  /** Monotonic; Infinity when nothing is set. */
  nextWakeMs(): number;
  /** When something is to happen exactly then; whoever misses it is woken by `nextWakeMs`, a little later. Absent: nothing ever is. */
  nextInstantMs?(): number;
}

/** Calculated from several readings of a clock, one instant differs by less than this. */
const sameInstantMs = 0.001;

export interface DriverHooks<Input, Effect> {
  readonly received: (envelope: Envelope) => Input;
  readonly tick: Input;
  /** What must go into the core before the next input: nothing, almost always. */
  readonly before?: (nowMs: number) => readonly Input[];
  readonly execute: (effect: Effect, nowMs: number) => void;
  /** All inputs are taken; called once per turn. */
  readonly settled?: (nowMs: number) => void;
  /** The machine's instant has come. True: it was met; otherwise the machine gets a tick. */
  readonly atInstant?: (nowMs: number) => boolean;
  /** The node stopped for a bug. */
  readonly failed?: (error: unknown) => void;
}

/**
 * Steps one core and has its effects executed, in order: all effects of an input before the next input. Answers that
 * come at once, from inside `execute`, wait in the queue: a loop, never a recursion.
 */
export class Driver<Input, Effect> implements Participant {
  readonly #node: Node;
  readonly #dataSet: string;
  readonly #hooks: DriverHooks<Input, Effect>;
  #machine: Machine<Input, Effect> | null = null;
  #inputs: Input[] = [];
  #draining = false;
  #ended = false;
  /** The newest that was asked for, met or not: none is met twice. */
  #instantMs = Infinity;
  #cancelInstant: (() => void) | null = null;

  constructor(node: Node, dataSet: string, hooks: DriverHooks<Input, Effect>) {
    this.#node = node;
    this.#dataSet = dataSet;
    this.#hooks = hooks;
    node.attach(dataSet, this);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Inputs that were submitted before wait until now, behind `first`. */
  start(machine: Machine<Input, Effect>, first: Input): void {
    invariant(this.#machine === null, 'a driver is started once');
    if (this.#ended) return;
    this.#machine = machine;
    this.#inputs.unshift(first);
    this.#enterDrain();
  }

  submit(input: Input): void {
    if (this.#ended) return;
    this.#inputs.push(input);
    if (!this.#draining && this.#machine !== null) this.#enterDrain();
  }

  /** Work of the service's own in this data set's turn, such as what follows a finished write. */
  enter(work: (nowMs: number) => void): void {
    if (this.#ended) return;
    this.#node.enter((nowMs) => {
      if (!this.#ended) work(nowMs);
    });
  }

  onMessage(envelope: Envelope, nowMs: number): void {
    // Before the copy is opened there is nothing to answer with; the group repeats itself.
    if (this.#machine === null) return;
    this.#inputs.push(this.#hooks.received(envelope));
    this.#drain(nowMs);
  }

  onTick(nowMs: number): void {
    this.#inputs.push(this.#hooks.tick);
    this.#drain(nowMs);
  }

  nextWakeMs(): number {
    return this.#machine === null || this.#ended ? Infinity : this.#machine.nextWakeMs();
  }

  onFailure(error: unknown): void {
    this.#hooks.failed?.(error);
  }

  /** The core is stepped no more; later answers fall on the floor. */
  end(): void {
    this.#ended = true;
    this.#cancelInstant?.();
    this.#inputs = [];
    this.#node.detach(this.#dataSet);
  }

  #enterDrain(): void {
    this.#node.enter((nowMs) => {
      this.#drain(nowMs);
    });
  }

  #drain(nowMs: number): void {
    const machine = this.#machine;
    if (machine === null || this.#draining || this.#ended) return;
    this.#draining = true;
    this.#node.touch(this);
    try {
      const before = this.#hooks.before?.(nowMs) ?? [];
      if (before.length > 0) this.#inputs.unshift(...before);
      // The first input is of this moment; effects may take a while.
      let stepMs = nowMs;
      while (this.#inputs.length > 0) {
        const inputs = this.#inputs;
        this.#inputs = [];
        for (const input of inputs) {
          this.#step(machine, input, stepMs);
          if (this.#ended) return;
          stepMs = this.#node.nowMs();
        }
      }
    } finally {
      this.#draining = false;
    }
    this.#hooks.settled?.(nowMs);
    this.#awaitInstant(machine);
  }

  /** Beside the node's timer: what wants no precision mustn't cost the attention that this takes. */
  #awaitInstant(machine: Machine<Input, Effect>): void {
    const atMs = machine.nextInstantMs?.() ?? Infinity;
    if (atMs === this.#instantMs || Math.abs(atMs - this.#instantMs) < sameInstantMs) return;
    this.#cancelInstant?.();
    this.#instantMs = atMs;
    const { clock } = this.#node.ports;
    this.#cancelInstant =
      atMs === Infinity
        ? null
        : clock.exactlyAt(atMs, () => {
            if (this.#ended || this.#node.stopped) return;
            if (this.#hooks.atInstant?.(clock.monotonicMs()) !== true) this.submit(this.#hooks.tick);
          });
  }

  #step(machine: Machine<Input, Effect>, input: Input, stepMs: number): void {
    for (const effect of machine.step(input, stepMs)) {
      this.#hooks.execute(effect, stepMs);
      if (this.#ended) return;
    }
  }
}
