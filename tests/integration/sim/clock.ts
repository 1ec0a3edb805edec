import type { Clock } from '../../../shared/runtime/ports.js';

/** One thing that will happen. Cancelled ones stay in the heap and are skipped when their turn comes. */
interface TimelineEvent {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/**
 * Virtual time and everything that is to happen in it. Ties go by insertion, so one seed gives one history. Nothing
 * here looks at the machine's clock.
 */
export class Timeline {
  readonly #heap: TimelineEvent[] = [];
  #nowMs = 0;
  #order = 0;
  #ran = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events run so far. */
  get ran(): number {
    return this.#ran;
  }

  /** Not before now. The returned function cancels it. */
  schedule(atMs: number, run: () => void): () => void {
    const event: TimelineEvent = { atMs: Math.max(atMs, this.#nowMs), order: this.#order, run };
    this.#order += 1;
    this.#push(event);
    return () => {
      event.run = null;
    };
  }

  after(delayMs: number, run: () => void): () => void {
    return this.schedule(this.#nowMs + delayMs, run);
  }

  /** When the next event is due, Infinity when nothing is left. */
  nextAtMs(): number {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return Infinity;
      if (first.run !== null) return first.atMs;
      this.#pop();
    }
  }

  /** Runs one event. False when none is left. */
  runNext(): boolean {
    const atMs = this.nextAtMs();
    if (atMs === Infinity) return false;
    const event = this.#pop();
    const run = event?.run;
    if (event === undefined || run === undefined || run === null) return false;
    this.#nowMs = atMs;
    event.run = null;
    this.#ran += 1;
    run();
    return true;
  }

  /**
   * Runs everything due until `untilMs`. After each event all promise callbacks have run: the callbacks of a host may
   * be asynchronous, and what follows them belongs to the same instant.
   */
  async runUntil(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    await settlePromises();
    while (this.nextAtMs() <= untilMs) {
      // Asked once: a second answer may differ, and time would then pass over what is still to happen in it.
      if (stop()) return;
      this.runNext();
      await settlePromises();
    }
    if (untilMs !== Infinity && !stop()) this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #push(event: TimelineEvent): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = event;
  }

  #pop(): TimelineEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      const leftIndex = 2 * index + 1;
      const left = heap[leftIndex];
      if (left === undefined) break;
      const right = heap[leftIndex + 1];
      const childIndex = right !== undefined && isBefore(right, left) ? leftIndex + 1 : leftIndex;
      const child = childIndex === leftIndex ? left : right;
      if (child === undefined || !isBefore(child, last)) break;
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(a: TimelineEvent, b: TimelineEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A turn of the event loop: whatever promise chains are ready run to their end first. */
export function settlePromises(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** How a node's clock is wrong. */
export interface ClockFault {
  /** Added to the monotonic clock, which starts anywhere. */
  readonly offsetMs: number;
  /** Added to the time of day. */
  readonly wallOffsetMs: number;
  /** Ticks per true tick: 1 ± the allowed clock-rate error. */
  readonly rate: number;
}

/**
 * One lifetime of a node, as the machine sees it. What belongs to it goes through `run`: after the end nothing of it
 * ever runs again, and while it is paused everything waits, in order.
 */
export class SimProcess {
  readonly node: string;
  readonly #timeline: Timeline;
  readonly #fault: ClockFault;
  readonly #endings: (() => void)[] = [];
  #waiting: (() => void)[] = [];
  #alive = true;
  #paused = false;
  #sleptMs = 0;
  #sleepingSinceMs: number | null = null;
  #wallShiftMs = 0;
  #wallRate = 1;
  #wallRateSinceMs = 0;
  /** What the time of day was ahead of the monotonic clock when the process read it last. */
  #seenAheadMs: number;
  /** Asleep since then. */
  #sleptUnseenMs = 0;
  #hiddenSleepMs = 0;

  constructor(node: string, timeline: Timeline, fault: ClockFault) {
    this.node = node;
    this.#timeline = timeline;
    this.#fault = fault;
    this.#seenAheadMs = this.#wallNowMs() - this.monotonicMs();
  }

  /** Ticks of the monotonic clock per true tick. */
  get rate(): number {
    return this.#fault.rate;
  }

  /** For how long the machine slept unnoticeably: the time of day had gone back, since the process read it, by as much. */
  get hiddenSleepMs(): number {
    return this.#hiddenSleepMs;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** How long the machine was asleep in this lifetime of the process. */
  get sleptMs(): number {
    return this.#sleptMs;
  }

  /** Now, or when the pause is over, or never when the process has ended. */
  run(action: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) this.#waiting.push(action);
    else action();
  }

  /** At a time of the timeline. */
  later(atMs: number, action: () => void): () => void {
    return this.#timeline.schedule(atMs, () => {
      this.run(action);
    });
  }

  /** Called when the process ends, in the world's name: the process itself does nothing any more. */
  onEnd(ending: () => void): void {
    this.#endings.push(ending);
  }

  end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#waiting = [];
    for (const ending of this.#endings) ending();
  }

  /** `suspend` stops the monotonic clock, too, as a sleeping machine does. */
  pause(kind: 'pause' | 'suspend'): void {
    if (this.#paused || !this.#alive) return;
    this.#paused = true;
    if (kind === 'suspend') this.#sleepingSinceMs = this.#timeline.nowMs;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#sleepingSinceMs !== null) {
      const sleptMs = this.#timeline.nowMs - this.#sleepingSinceMs;
      this.#sleptMs += sleptMs;
      this.#sleepingSinceMs = null;
      this.#sleptUnseenMs += sleptMs;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const action of waiting) this.run(action);
  }

  /** A monotonic time of this process as a time of the timeline. */
  trueTime(monotonicMs: number): number {
    return (monotonicMs - this.#fault.offsetMs) / this.#fault.rate + this.#sleptMs;
  }

  monotonicMs(): number {
    const untilMs = this.#sleepingSinceMs ?? this.#timeline.nowMs;
    return (untilMs - this.#sleptMs) * this.#fault.rate + this.#fault.offsetMs;
  }

  /** As the process reads it. */
  wallMs(): number {
    const wallMs = this.#wallNowMs();
    const aheadMs = wallMs - this.monotonicMs();
    const noticeableMs = aheadMs - this.#seenAheadMs;
    const toldMs = noticeableMs > coarsenessMs ? noticeableMs + coarsenessMs : 0;
    this.#hiddenSleepMs += Math.max(0, this.#sleptUnseenMs - toldMs);
    this.#seenAheadMs = aheadMs;
    this.#sleptUnseenMs = 0;
    return wallMs;
  }

  #wallNowMs(): number {
    const driftMs = (this.#timeline.nowMs - this.#wallRateSinceMs) * (this.#wallRate - 1);
    return this.#timeline.nowMs + this.#fault.wallOffsetMs + this.#wallShiftMs + driftMs;
  }

  /** The time of day is set, forward or back; the monotonic clock knows nothing of it. */
  jumpWall(byMs: number): void {
    this.#wallShiftMs += byMs;
  }

  /** The time of day runs at this rate from now on. */
  driftWall(rate: number): void {
    this.#wallShiftMs += (this.#timeline.nowMs - this.#wallRateSinceMs) * (this.#wallRate - 1);
    this.#wallRateSinceMs = this.#timeline.nowMs;
    this.#wallRate = rate;
  }
}

/** A leap of the time of day no longer than this is none, to a process; to a longer one it adds as much, to be on the safe side. */
const coarsenessMs = 5;

/** The clock of one process. */
export class SimClock implements Clock {
  readonly #process: SimProcess;

  constructor(process: SimProcess) {
    this.#process = process;
  }

  monotonicMs(): number {
    return this.#process.monotonicMs();
  }

  wallMs(): number {
    return this.#process.wallMs();
  }

  soon(callback: () => void): void {
    this.#process.later(this.#process.trueTime(this.#process.monotonicMs()), callback);
  }

  /** Simulated timers are exact anyway. */
  exactlyAt(atMs: number, callback: () => void): () => void {
    return this.at(atMs, callback);
  }

  at(atMs: number, callback: () => void): () => void {
    const alarm = new Alarm(this.#process, atMs, callback);
    if (atMs !== Infinity) alarm.wait();
    return () => {
      alarm.cancel();
    };
  }
}

/** One deadline on a process's own clock. */
class Alarm {
  readonly #process: SimProcess;
  readonly #atMs: number;
  readonly #callback: () => void;
  #cancelled = false;
  #cancelTurn: (() => void) | null = null;

  constructor(process: SimProcess, atMs: number, callback: () => void) {
    this.#process = process;
    this.#atMs = atMs;
    this.#callback = callback;
  }

  wait(): void {
    this.#cancelTurn = this.#process.later(this.#process.trueTime(this.#atMs) + roundingMs, () => {
      if (this.#cancelled) return;
      // A machine that slept meanwhile has not come as far as was planned: wait for the rest.
      if (this.#process.monotonicMs() < this.#atMs) this.wait();
      else this.#callback();
    });
  }

  cancel(): void {
    this.#cancelled = true;
    this.#cancelTurn?.();
  }
}

/** Keeps a conversion between two clock rates from waking a timer a hair too early, again and again. */
const roundingMs = 1e-6;
