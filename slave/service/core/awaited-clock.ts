import type { RoundId } from '../../../shared/protocol/kernel/ids.js';
import { sameRound } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Prepare } from '../../../shared/protocol/wire/messages.js';
import type { SlaveContext } from './context.js';

/**
 * A prepare with an instant that waits until the master's clock is known well enough to promise it: between two requests at leisure,
 * and in a large group, it may not be. The request goes out at once, and the vote follows the answer.
 */
export class AwaitedClock {
  /** Scheduled changes go alone, so that one is enough. */
  #waiting: { readonly prepare: Prepare; readonly round: RoundId; readonly untilMs: number; isOver: boolean } | null =
    null;

  constructor(
    private readonly context: SlaveContext,
    /** The group time is to be known well at this instant; null: at none. */
    private readonly expect: (instantMs: number | null) => void,
  ) {}

  onNewReign(): void {
    if (this.#waiting?.isOver === false) this.#letGo();
    this.#waiting = null;
  }

  /** G16: who can't tell when the instant has come doesn't promise to switch then. Empty: it can. */
  fault(): string {
    const errorMs = this.context.clock.errorMs(this.context.nowMs);
    if (errorMs === Infinity) return "the master's clock is not known here yet";
    if (errorMs <= limits.maxClockErrorMs) return '';
    return `clock error of ${Math.round(errorMs)} ms is above ${limits.maxClockErrorMs} ms`;
  }

  /** False: its vote is due, whatever it is. */
  keepsWaiting(prepare: Prepare, round: RoundId): boolean {
    if (prepare.activateAtMs === null || this.fault() === '') return false;
    const { nowMs, timers } = this.context;
    if (this.#waiting === null || !sameRound(this.#waiting.round, round)) {
      this.#waiting = { prepare, round, untilMs: nowMs + limits.clockVoteMs, isOver: false };
      timers.set('clock vote', this.#waiting.untilMs);
      this.expect(prepare.activateAtMs);
    }
    return !this.#waiting.isOver;
  }

  /** A prepare that need not wait any longer: the clock is known, or its time is up. */
  take(): Prepare | null {
    const waiting = this.#waiting;
    if (waiting === null || waiting.isOver) return null;
    if (this.fault() !== '' && this.context.nowMs < waiting.untilMs) return null;
    waiting.isOver = true;
    this.#letGo();
    return waiting.prepare;
  }

  #letGo(): void {
    this.context.timers.clear('clock vote');
    this.expect(null);
  }
}
