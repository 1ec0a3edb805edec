import type { RoundId } from '../../../shared/protocol/kernel/ids.js';
import { roundKey, sameEpoch, sameRound, sameTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Heartbeat } from '../../../shared/protocol/wire/messages.js';
import type { CatchUp } from './catch-up.js';
import type { SlaveContext } from './context.js';
import type { SlaveInput, Token } from './io.js';
import type { Participant } from './participant.js';
import type { OperatorDecision } from './records.js';
import { slaveKeys } from './records.js';
import { isArmed, type Staged } from './staged.js';

/** Every so many inquiries, the other slaves are asked too. */
const askOthersEvery = 3;

/**
 * A slave that voted yes never decides alone. It asks the master, then the other slaves, again and again, and shows the
 * round with its age to whoever looks.
 */
export class InDoubt {
  #delayMs: number = limits.repairMinMs;
  #asked = 0;
  /** The lowest round that is prepared and undecided here. While rounds follow each other it changes, and nobody need ask. */
  #watched: RoundId | null = null;
  /** Rounds that the master of this reign was asked about, and couldn't tell. */
  readonly #unknown = new Set<string>();
  #resolving: { readonly token: Token; readonly command: Token; readonly decision: OperatorDecision } | null = null;

  constructor(
    private readonly context: SlaveContext,
    private readonly participant: Participant,
    private readonly catchUp: CatchUp,
    /** What operators decided here. */
    public resolved: readonly OperatorDecision[],
  ) {}

  /** A crash came between the operator's word and its end. Called once the prepared rounds are recovered. */
  recover(): void {
    for (const { round, outcome } of this.resolved) this.participant.resolve(round, outcome);
  }

  onNewReign(): void {
    this.#unknown.clear();
  }

  onUnknown(round: RoundId): void {
    this.#unknown.add(roundKey(round));
  }

  masterCannotTell(round: RoundId): boolean {
    return this.#unknown.has(roundKey(round));
  }

  /** It said yes, and doesn't know the outcome. What is armed is decided, for as long as it is known here when its instant comes. */
  isInDoubt(staged: Staged): boolean {
    if (staged.phase !== 'prepared') return false;
    return !isArmed(staged, this.context.promised) || this.context.clock.at(this.context.nowMs) === null;
  }

  /** An operator decides in a master's place, which is allowed only while there is none that could. */
  resolve(input: Extract<SlaveInput, { kind: 'resolve' }>): void {
    const refusal = this.#refuseResolve(input);
    if (refusal !== null) {
      this.context.emit({ kind: 'settle', command: input.command, result: { kind: 'rejected', text: refusal } });
      return;
    }
    const staged = this.#named(input.round);
    if (staged === undefined) return;
    const { round, change } = staged;
    const { outcome, by, wallMs } = input;
    const decision: OperatorDecision = { round, to: change.to, outcome, by, wallMs };
    const put = { kind: 'put', key: slaveKeys.resolved(this.context.config.dataSet, round), value: decision } as const;
    // Durable first, in every mode: what breaks a guarantee must never be without its author.
    this.#resolving = { token: this.context.persist([put], true), command: input.command, decision };
  }

  #refuseResolve({ round, outcome }: Extract<SlaveInput, { kind: 'resolve' }>): string | null {
    if (this.context.storeFailed) return 'the store failed; restart this node first';
    if (this.#resolving !== null) return 'another round is being resolved; try again';
    const staged = this.#named(round);
    if (staged === undefined) {
      const open = this.participant.staged.map((each) => roundKey(each.round)).join(', ');
      return `round ${round} is not in doubt here; ${open === '' ? 'no round is' : `in doubt is ${open}`}`;
    }
    const { master } = this.context;
    if (this.context.hearsMaster() && master !== null && !this.masterCannotTell(staged.round))
      return `the master ${master.node} is heard and was not found unable to tell the outcome of ${round}; it is being asked`;
    const below = this.participant.staged[0];
    if (outcome === 'committed' && below !== undefined && below !== staged)
      return `round ${round} stands on round ${roundKey(below.round)}, which is in doubt too; resolve that one first`;
    return null;
  }

  #named(round: string): Staged | undefined {
    return this.participant.staged.find(
      (staged) => this.isInDoubt(staged) && staged.decided === null && roundKey(staged.round) === round,
    );
  }

  /** True when the write was an operator's decision. */
  onPersisted(token: Token): boolean {
    if (this.#resolving === null || this.#resolving.token !== token) return false;
    const { command, decision } = this.#resolving;
    this.#resolving = null;
    if (this.#named(roundKey(decision.round)) === undefined) {
      // A master was faster: its word stands, and the operator's never had an effect.
      const key = slaveKeys.resolved(this.context.config.dataSet, decision.round);
      this.context.persist([{ kind: 'remove', key }], true);
      const text = `a master has just decided round ${roundKey(decision.round)}; nothing was resolved here`;
      this.context.emit({ kind: 'settle', command, result: { kind: 'rejected', text } });
      return true;
    }
    this.resolved = [...this.resolved, decision];
    const { round, to, outcome, by } = decision;
    this.context.event('resolved by operator', 'warn', { round: roundKey(round), version: to.version, outcome, by });
    this.participant.resolve(round, outcome);
    this.context.emit({ kind: 'settle', command, result: { kind: 'done' } });
    return true;
  }

  /** Called at the end of every step: starts asking when a prepared round looks decided, and stops when none is left. */
  watch(lowestOpenRound: number): void {
    const lowest = this.participant.staged.find((staged) => this.#isToAsk(staged))?.round ?? null;
    if (lowest === null) {
      if (this.#watched !== null) this.#watchAnew(null);
      return;
    }
    if (this.#watched === null || !sameRound(lowest, this.#watched)) this.#watchAnew(lowest);
    const overdue = this.participant.staged.some((staged) => this.#isOverdue(staged, lowestOpenRound));
    if (!this.context.timers.isSet('inquiry')) {
      this.context.timers.set('inquiry', this.context.nowMs + (overdue ? 0 : limits.repairMaxMs));
    } else if (overdue && this.#asked === 0) this.context.timers.setEarlier('inquiry', this.context.nowMs);
  }

  #watchAnew(lowest: RoundId | null): void {
    this.#watched = lowest;
    this.context.timers.clear('inquiry');
    this.#delayMs = limits.repairMinMs;
    this.#asked = 0;
  }

  /** That the round is still open is all that an answer could tell: the next heartbeat tells as much, unasked. */
  onHeartbeat({ openRounds, nextInMs }: Pick<Heartbeat, 'openRounds' | 'nextInMs'>): void {
    const watched = this.#watched;
    if (watched === null || !sameEpoch(watched.epoch, this.context.promised)) return;
    if (!openRounds.some(({ number }) => number === watched.number)) return;
    this.#watchAnew(watched);
    this.context.timers.set('inquiry', this.context.nowMs + nextInMs + limits.repairMaxMs);
  }

  onTick(): void {
    if (!this.context.timers.takeDue('inquiry', this.context.nowMs)) return;
    this.#asked += 1;
    for (const staged of this.participant.staged) {
      if (!this.#isToAsk(staged)) continue;
      const inquiry = { kind: 'inquiry', round: staged.round, from: staged.from, to: staged.change.to } as const;
      if (this.#asked % askOthersEvery === 0) this.context.send('all', inquiry);
      else this.context.sendToMaster(inquiry);
    }
    this.context.timers.set('inquiry', this.context.nowMs + this.#delayMs * (1 + this.context.random.next() / 2));
    this.#delayMs = Math.min(this.#delayMs * 2, limits.repairMaxMs);
  }

  /** What is armed is decided, unless the group has gone on and this node alone waits. */
  #isToAsk(staged: Staged): boolean {
    return isUndecided(staged) && (!isArmed(staged, this.context.promised) || this.#isPassed(staged));
  }

  /** Signs that the group has gone on without this round: a newer reign, a floor above it, a committed state beyond it. */
  #isOverdue(staged: Staged, lowestOpenRound: number): boolean {
    if (!this.#isToAsk(staged)) return false;
    if (!sameEpoch(staged.round.epoch, this.context.promised)) return this.context.master !== null;
    return staged.round.number < lowestOpenRound || this.#isPassed(staged);
  }

  /** A committed state is beyond it. */
  #isPassed(staged: Staged): boolean {
    const { target } = this.catchUp;
    return target !== null && !sameTip(target, staged.from) && versionOf(target) >= staged.change.to.version;
  }
}

function isUndecided(staged: Staged): boolean {
  return staged.phase === 'prepared' && staged.decided === null;
}
