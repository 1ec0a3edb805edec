import { sameEpoch, sameTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { CatchUp } from './catch-up.js';
import type { SlaveContext } from './context.js';
import type { Participant } from './participant.js';
import type { Staged } from './staged.js';

/** Every so many inquiries, the other slaves are asked too. */
const askOthersEvery = 3;

/**
 * A slave that voted yes never decides alone. It asks the master, then the other slaves, again and again, and shows the
 * round with its age to whoever looks.
 */
export class InDoubt {
  #delayMs: number = limits.repairMinMs;
  #asked = 0;

  constructor(
    private readonly context: SlaveContext,
    private readonly participant: Participant,
    private readonly catchUp: CatchUp,
  ) {}

  /** Called at the end of every step: starts asking when a prepared round looks decided, and stops when none is left. */
  watch(lowestOpenRound: number): void {
    const doubtful = this.participant.staged.some((staged) => staged.phase === 'prepared' && staged.decided === null);
    if (!doubtful) {
      this.context.timers.clear('inquiry');
      this.#delayMs = limits.repairMinMs;
      this.#asked = 0;
      return;
    }
    const overdue = this.participant.staged.some((staged) => this.#isOverdue(staged, lowestOpenRound));
    if (!this.context.timers.isSet('inquiry')) {
      this.context.timers.set('inquiry', this.context.nowMs + (overdue ? 0 : limits.repairMaxMs));
    } else if (overdue && this.#asked === 0) this.context.timers.setEarlier('inquiry', this.context.nowMs);
  }

  onTick(): void {
    if (!this.context.timers.takeDue('inquiry', this.context.nowMs)) return;
    this.#asked += 1;
    for (const staged of this.participant.staged) {
      if (staged.phase !== 'prepared' || staged.decided !== null) continue;
      const inquiry = { kind: 'inquiry', round: staged.round, from: staged.from, to: staged.change.to } as const;
      if (this.#asked % askOthersEvery === 0) this.context.send('all', inquiry);
      else this.context.sendToMaster(inquiry);
    }
    this.context.timers.set('inquiry', this.context.nowMs + this.#delayMs * (1 + this.context.random.next() / 2));
    this.#delayMs = Math.min(this.#delayMs * 2, limits.repairMaxMs);
  }

  /** Signs that the group has gone on without this round: a newer reign, a floor above it, a committed state beyond it. */
  #isOverdue(staged: Staged, lowestOpenRound: number): boolean {
    if (staged.phase !== 'prepared' || staged.decided !== null) return false;
    if (!sameEpoch(staged.round.epoch, this.context.promised)) return this.context.master !== null;
    if (staged.round.number < lowestOpenRound) return true;
    const { target } = this.catchUp;
    return target !== null && !sameTip(target, staged.from) && versionOf(target) >= staged.change.to.version;
  }
}
