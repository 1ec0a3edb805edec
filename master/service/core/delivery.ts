import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Outcome, Replication } from '../../../shared/protocol/kernel/outcome.js';
import type { Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch, sameTip } from '../../../shared/protocol/kernel/ids.js';
import type { Abort, Commit, Message } from '../../../shared/protocol/wire/messages.js';
import type { MasterContext } from './context.js';
import type { Heartbeats } from './heartbeats.js';
import type { History } from './history.js';
import type { Token } from './io.js';
import type { Member, Members } from './members.js';
import type { RoundLog } from './round-log.js';
import type { Round } from './round.js';

/** What is to be delivered once it is committed: a round, or a scheduled change whose instant has come. */
export interface Committed extends Pick<Round, 'epoch' | 'number' | 'change' | 'voters'> {
  readonly yes: ReadonlySet<number>;
  /** Null: nobody waits for it any more. */
  readonly command: Token | null;
  readonly replication: Pick<Replication, 'commitBy' | 'wait'>;
}

/** What is to be taken back everywhere. */
export interface Aborted extends Pick<Round, 'epoch' | 'number' | 'change' | 'voters'> {
  readonly replication: Pick<Replication, 'abortBy'>;
}

/** A caller that waits until the voters expose its change. */
interface ExposureWait {
  readonly command: Token;
  readonly outcome: Outcome;
  readonly to: Tip;
  readonly awaiting: Map<number, Member>;
  readonly untilMs: number;
}

/** The newest commit, until its voters have acknowledged it; it implies the earlier ones. */
interface Unacknowledged {
  readonly message: Commit;
  readonly awaiting: Map<number, Member>;
  /** So many it was meant for. */
  readonly voters: number;
  delayMs: number;
  retryMs: number;
  readonly untilMs: number;
}

/**
 * True when whoever gets `message` learns all that it would from the commit, so that one of the two is enough: a later
 * commit of the reign implies the earlier ones, and a prepare names the newest committed state.
 */
export function saysCommitOf(message: Message, commit: Message): boolean {
  if (commit.kind !== 'commit' || commit.acknowledge) return false;
  if (message.kind === 'commit')
    return sameEpoch(message.round.epoch, commit.round.epoch) && message.round.number > commit.round.number;
  return message.kind === 'prepare' && sameTip(message.committed, commit.to);
}

/**
 * Whether what only some of the voters lack goes to all once more. One packet costs less than many, but everybody who
 * gets it answers, also those who did before: with a few silent ones in a large group, unicast is cheaper for both.
 */
export function isForAll(lacking: number, voters: number): boolean {
  return lacking > Math.max(3, voters / 16);
}

/**
 * How decisions reach the slaves: by unicast, multicast or heartbeat, each for commits and for aborts. Commits are
 * repeated to those that haven't acknowledged them; heartbeats and inquiries carry what is left.
 */
export class Delivery {
  #unacknowledged: Unacknowledged | null = null;
  #waits: ExposureWait[] = [];

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    private readonly members: Members,
    private readonly heartbeats: Heartbeats,
    private readonly log: RoundLog,
  ) {}

  /** When a commit is next repeated; the rounds' table of timers takes it in. */
  get nextRetryMs(): number {
    return this.#unacknowledged?.retryMs ?? Infinity;
  }

  commit(round: Committed, lowestOpenRound: number, outcome: Outcome): void {
    const message: Commit = {
      kind: 'commit',
      round: { epoch: round.epoch, number: round.number },
      to: round.change.to,
      lowestOpenRound,
      acknowledge: round.replication.wait === 'exposed',
    };
    this.#send(round, round.replication.commitBy, message);
    this.heartbeats.afterData();
    const { nowMs } = this.context;
    if (round.voters.size > 0) {
      // A slave acknowledges once the change is durable there, which takes longer than a round trip, and not at once.
      const answerMs = limits.repairMinMs + limits.acknowledgeMs;
      const delayMs = Math.max(limits.retryMinMs, 2 * this.members.slowestRoundTripMs()) + answerMs;
      this.#unacknowledged = {
        message,
        awaiting: new Map(round.voters),
        voters: round.voters.size,
        delayMs,
        // A delivery by heartbeat alone is left to the heartbeats.
        retryMs: round.replication.commitBy === 'heartbeat' ? Infinity : nowMs + delayMs,
        untilMs: nowMs + this.context.config.leaseMs,
      };
      this.#setTimer();
    }
    if (round.command === null) return;
    if (round.replication.wait === 'exposed' && round.yes.size > 0) {
      const awaiting = new Map([...round.voters].filter(([slot]) => round.yes.has(slot)));
      this.#waits.push({
        command: round.command,
        outcome,
        to: round.change.to,
        awaiting,
        untilMs: nowMs + this.context.config.leaseMs * 2,
      });
      this.context.timers.setEarlier('exposed', nowMs + this.context.config.leaseMs * 2);
    } else this.context.settle(round.command, outcome);
  }

  abort(round: Aborted, lowestOpenRound: number): void {
    const message: Abort = {
      kind: 'abort',
      round: { epoch: round.epoch, number: round.number },
      to: round.change.to,
      lowestOpenRound,
    };
    this.#send(round, round.replication.abortBy, message);
    this.heartbeats.afterData();
  }

  /** A yes-voter's copy is on this chain, so that the version alone tells which of its states it exposes. */
  onExposed(member: Member, version: number): void {
    this.log.onShown(member.slot, version, this.context.nowMs);
    if (this.#unacknowledged !== null && version >= this.#unacknowledged.message.to.version)
      this.#noteAcknowledged(this.#unacknowledged, member);
  }

  /** A status acknowledges the state that it shows. */
  onStatus(member: Member): void {
    const tip = member.status?.tip ?? null;
    const distance = this.history.distance(tip);
    if (distance === null) return;
    if (tip !== null) this.log.onShown(member.slot, tip.version, this.context.nowMs);
    const pending = this.#unacknowledged;
    if (pending !== null && distance <= (this.history.distance(pending.message.to) ?? Infinity))
      this.#noteAcknowledged(pending, member);
    if (this.#waits.length === 0) return;
    for (const wait of this.#waits)
      if (distance <= (this.history.distance(wait.to) ?? Infinity)) wait.awaiting.delete(member.slot);
    this.#settleExposed();
  }

  /** True while the newest commit, which implies the earlier ones, goes to the member again until it shows it. */
  repeatsTo(member: Member): boolean {
    const pending = this.#unacknowledged;
    return pending !== null && pending.awaiting.has(member.slot) && this.context.nowMs < pending.untilMs;
  }

  onMemberGone(member: Member): void {
    this.#unacknowledged?.awaiting.delete(member.slot);
    for (const wait of this.#waits) wait.awaiting.delete(member.slot);
    this.#settleExposed();
  }

  onTick(): void {
    const { timers, nowMs } = this.context;
    const pending = this.#unacknowledged;
    if (pending !== null && pending.retryMs <= nowMs) {
      if (nowMs >= pending.untilMs) this.#unacknowledged = null;
      else {
        this.#repeat(pending);
        pending.delayMs = Math.min(pending.delayMs * 2, limits.retryMaxMs);
        pending.retryMs = nowMs + pending.delayMs;
      }
    }
    this.#setTimer();
    if (timers.takeDue('exposed', nowMs)) this.#settleExposed();
  }

  /** A new reign, or the end of this one: decided is decided, and who exposes it is told by the heartbeats. */
  end(): void {
    this.#unacknowledged = null;
    for (const wait of this.#waits) this.context.settle(wait.command, wait.outcome);
    this.#waits = [];
  }

  #noteAcknowledged(pending: Unacknowledged, member: Member): void {
    pending.awaiting.delete(member.slot);
    if (pending.awaiting.size === 0) this.#unacknowledged = null;
  }

  #repeat({ awaiting, voters, message }: Unacknowledged): void {
    const silent = [...awaiting.values()].filter(({ welcomed }) => welcomed);
    if (isForAll(silent.length, voters)) this.context.send('all', message);
    else for (const { peer } of silent) this.context.send(peer, message);
  }

  #send(round: Pick<Round, 'voters'>, mode: 'unicast' | 'heartbeat' | 'multicast', message: Commit | Abort): void {
    if (mode === 'multicast') this.context.send('all', message);
    else if (mode === 'heartbeat') this.heartbeats.soon();
    else {
      // An abort goes to everyone, a commit to the voters; the others learn it from the heartbeats.
      const receivers = message.kind === 'abort' ? this.members.all : [...round.voters.values()];
      for (const member of receivers) if (member.welcomed) this.context.send(member.peer, message);
    }
  }

  /** Exposed everywhere, or those who don't answer have lost their leases and may not call themselves current. */
  #settleExposed(): void {
    const { nowMs } = this.context;
    this.#waits = this.#waits.filter((wait) => {
      if (wait.awaiting.size > 0 && nowMs < wait.untilMs) return true;
      this.context.settle(wait.command, wait.outcome);
      return false;
    });
    const next = this.#waits[0];
    if (next !== undefined) this.context.timers.set('exposed', next.untilMs);
  }

  #setTimer(): void {
    if (this.nextRetryMs !== Infinity) this.context.timers.setEarlier('retry', this.nextRetryMs);
  }
}
