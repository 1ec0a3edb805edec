import { BoundedMap } from '../../../shared/protocol/kernel/bounded.js';
import type { RoundId } from '../../../shared/protocol/kernel/ids.js';
import { roundKey } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Vote } from '../../../shared/protocol/wire/messages.js';
import type { SlaveContext } from './context.js';

/**
 * Yes-votes on their way. In a large group each waits a little, drawn by chance: all of them answer the same packet, and
 * what arrives at one moment at the master must fit into its receive buffer.
 */
export class Votes {
  readonly #waiting = new BoundedMap<string, { readonly vote: Vote; readonly atMs: number }>(limits.maxOpenRounds);

  constructor(
    private readonly context: SlaveContext,
    private readonly leave: (vote: Vote) => void,
  ) {}

  /** G2 is the caller's: the prepared record is durable. */
  send(vote: Vote): void {
    const delayMs = this.#delayMs();
    if (delayMs === 0) {
      this.leave(vote);
      return;
    }
    if (this.#waiting.has(roundKey(vote.round))) return; // the prepare came once more
    const atMs = this.context.nowMs + delayMs;
    this.#waiting.set(roundKey(vote.round), { vote, atMs });
    this.context.timers.setEarlier('vote', atMs);
  }

  /** Sends what is due, as far as the round still waits for it. */
  onTick(isAwaited: (round: RoundId) => boolean): void {
    const { timers, nowMs } = this.context;
    if (!timers.takeDue('vote', nowMs)) return;
    for (const { vote, atMs } of [...this.#waiting.values()]) {
      if (atMs > nowMs) {
        timers.setEarlier('vote', atMs);
        continue;
      }
      this.#waiting.delete(roundKey(vote.round));
      if (isAwaited(vote.round)) this.leave(vote);
    }
  }

  /** Another reign asks for itself what it wants to know. */
  clear(): void {
    this.#waiting.clear();
    this.context.timers.clear('vote');
  }

  #delayMs(): number {
    const excess = this.context.groupSize - limits.promptVoters;
    return excess <= 0 ? 0 : (this.context.random.next() * excess) / limits.votesPerMs;
  }
}
