import type { Delta, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch, sameTip } from '../../../shared/protocol/kernel/ids.js';
import { bitmapOf } from '../../../shared/protocol/kernel/bitmap.js';
import { invariant } from '../../../shared/protocol/kernel/invariant.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { AbortReason, NodeRefusal, Outcome, Replication } from '../../../shared/protocol/kernel/outcome.js';
import type { Content, Decision, OpenRoundNote, Vote } from '../../../shared/protocol/wire/messages.js';
import type { Armings } from './armings.js';
import type { MasterContext } from './context.js';
import { isForAll, type Delivery } from './delivery.js';
import type { History } from './history.js';
import type { Token } from './io.js';
import type { Member, Members } from './members.js';
import type { RoundLog } from './round-log.js';
import type { Round } from './round.js';
import { missingVoters, tallyOf } from './round.js';

/** Bytes per millisecond that a change is given before its prepare is sent again: slow enough for a busy receiver. */
const patientBytesPerMs = 20_000;
/** Votes that a busy master reads in a millisecond: a thousand of them aren't late because the last ones still wait. */
const patientVotesPerMs = 20;

export interface RoundsListener {
  /** The chain has grown, or a place for a round has become free. */
  onSettled(): void;
  /** Rounds were aborted: the original goes back to `to`; `settle` reports the outcomes once it has. */
  onAborted(to: Tip | null, versions: readonly number[], settle: () => void): void;
  /** When nothing can hold a lease that an undecided commit would break. */
  gateMs(): number;
}

/** Two-phase rounds of the current reign, in order; each starts where the one below it ends. */
export class Rounds {
  open: readonly Round[] = [];
  /** The newest outcomes, repeated in heartbeats. */
  recent: readonly Decision[] = [];
  #nextNumber = 1;
  /** How long votes take here, smoothed: what the first retry waits for. */
  #voteMs = 0;

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    private readonly members: Members,
    private readonly delivery: Delivery,
    private readonly listener: RoundsListener,
    private readonly log: RoundLog,
    private readonly armings: Armings,
  ) {}

  /** The lowest round of this epoch that is still open. */
  get lowestOpen(): number {
    return this.open[0]?.number ?? this.#nextNumber;
  }

  /** Where the next round starts. */
  get top(): Tip | null {
    return this.open.at(-1)?.change.to ?? this.history.tip;
  }

  onNewReign(): void {
    invariant(this.open.length === 0, 'no round outlives its epoch');
    this.#nextNumber = 1;
  }

  begin(command: Token, replication: Replication, change: Delta, content: Content): void {
    const voters = this.#votersFor(replication);
    const started = {
      epoch: this.context.epoch,
      version: change.to.version,
      phases: 'two' as const,
      startedMs: this.context.nowMs,
      operations: replication.operations ?? null,
      bytes: change.bytes.byteLength,
    };
    if (voters === null) {
      this.log.onEnded(
        this.log.begin({ ...started, number: null }, []),
        'aborted',
        'too few voters',
        started.startedMs,
      );
      this.context.settle(command, { kind: 'aborted', reason: 'too few voters', refusals: [], durationMs: 0 });
      return;
    }
    const { nowMs } = this.context;
    const round: Round = {
      epoch: this.context.epoch,
      number: this.#nextNumber,
      command,
      replication,
      from: this.top,
      change,
      content,
      voters: new Map(voters.map((member) => [member.slot, member])),
      voterBitmap: bitmapOf(voters.map(({ slot }) => slot)),
      yes: new Set(),
      refusals: [],
      startedMs: nowMs,
      deadlineMs: Math.min(nowMs + replication.timeoutMs, this.armings.times.armByMs(replication.activateAtMs)),
      phase: 'preparing',
      retryMs: 0,
      retryDelayMs: 0,
      without: false,
      write: null,
      record: this.log.begin({ ...started, number: this.#nextNumber }, voters),
    };
    this.#nextNumber += 1;
    this.open = [...this.open, round];
    this.context.event('round started', 'debug', {
      round: round.number,
      version: change.to.version,
      voters: voters.length,
    });
    this.#sendPrepare(round, 'all', content);
    // All that is under way has to arrive before its votes can: a retry before that only adds to it.
    const bytes = this.open.reduce((sum, each) => sum + each.change.bytes.byteLength, 0);
    const patienceMs = bytes / patientBytesPerMs + round.voters.size / patientVotesPerMs;
    round.retryDelayMs =
      Math.max(limits.retryMinMs, 2 * this.members.slowestRoundTripMs(), 3 * this.#voteMs) + patienceMs;
    round.retryMs = nowMs + round.retryDelayMs;
    this.#setTimers();
    this.decide();
  }

  // ── votes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  onVote(from: Peer, vote: Vote): void {
    const member = this.members.of(from);
    const round = this.open.find(({ number }) => number === vote.round.number);
    if (member === undefined || round === undefined || this.#ignoreVote(member, round, vote)) return;
    const yes = vote.upToDate && vote.canProcess;
    member.heardMs = this.context.nowMs;
    member.lastVote = { version: vote.to.version, yes, reason: vote.reason };
    member.votes[yes ? 'yes' : 'no'] += 1;
    if (yes) {
      member.held = vote.to;
      this.delivery.onExposed(member, vote.exposed);
      round.yes.add(member.slot);
      this.log.onYes(round.record, member.slot, this.context.nowMs);
      if (round.yes.size === round.voters.size) {
        this.#voteMs = this.#voteMs * 0.875 + (this.context.nowMs - round.startedMs) * 0.125;
        this.decide();
      }
      return;
    }
    this.log.onNo(round.record, { node: member.node, reason: vote.reason }, this.context.nowMs);
    round.refusals.push({
      node: member.node,
      reason: vote.reason,
      ...(vote.refused.length > 0 && { operations: vote.refused }),
    });
    member.lastVeto = { version: vote.to.version, reason: vote.reason, atMs: this.context.nowMs };
    this.context.event('vetoed', 'info', {
      round: round.number,
      version: vote.to.version,
      node: member.node,
      reason: vote.reason,
    });
    this.abort(round, 'refused');
  }

  #ignoreVote(member: Member, round: Round, vote: Vote): boolean {
    if (!sameEpoch(vote.round.epoch, this.context.epoch)) return true; // G7
    if (!sameTip(vote.to, round.change.to)) return true; // a vote on something else
    if (round.phase !== 'preparing') return true; // too late to change anything
    if (!round.voters.has(member.slot)) return true;
    return round.yes.has(member.slot); // the first vote counts
  }

  /** Decides, from the lowest round up, whatever can be decided now. */
  decide(): void {
    for (const round of this.open) {
      if (round.phase === 'deciding') continue;
      if (round.yes.size < round.voters.size && !round.without) break;
      const { activateAtMs } = round.replication;
      if (this.context.nowMs > this.armings.times.armByMs(activateAtMs)) return this.abort(round, 'too late to arm');
      // A scheduled change needn't wait for leases: none of who isn't armed reaches its instant.
      const leasesEndMs = activateAtMs === undefined ? this.members.leasesEndMs(round.yes) : 0;
      const readyMs = Math.max(this.listener.gateMs(), leasesEndMs);
      if (this.context.nowMs < readyMs) {
        round.phase = 'waiting';
        this.context.timers.setEarlier('leases', readyMs);
        break;
      }
      round.phase = 'deciding';
      if (activateAtMs !== undefined) {
        // G16: durable before the first arming leaves.
        round.write = this.context.persist(this.armings.recordOf(round, activateAtMs), { durable: true });
        break;
      }
      for (const member of missingVoters(round)) this.#fence(member);
      // G3: the decision and the change are durable before the first byte of a commit leaves.
      round.write = this.context.persist(this.history.stage(round.change, this.context.nowMs), {
        durable: this.context.durable,
        decided: round.change,
      });
    }
    this.#setTimers();
  }

  /** True when the write was a decision's. */
  onPersisted(token: Token): boolean {
    const round = this.open.find(({ write }) => write === token);
    if (round === undefined) return false;
    invariant(round === this.open[0], 'decisions become durable in the order of their rounds');
    this.open = this.open.slice(1);
    if (round.replication.activateAtMs !== undefined) {
      this.armings.begin(round, round.replication.activateAtMs);
      return true;
    }
    this.history.confirm(round.change, this.context.nowMs);
    this.remember(round, 'committed');
    this.log.onCommitted(round.record, this.context.nowMs);
    this.context.event('committed', 'debug', {
      round: round.number,
      version: round.change.to.version,
      yes: round.yes.size,
    });
    const outcome: Outcome = {
      kind: 'committed',
      tip: round.change.to,
      votes: tallyOf(round),
      durationMs: this.context.nowMs - round.startedMs,
      durable: this.context.durable,
    };
    this.delivery.commit(round, this.lowestOpen, outcome);
    this.listener.onSettled();
    return true;
  }

  // ── aborts ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends a round and everything on top of it, newest first. The abort goes to everyone, also to those that never answered. */
  abort(round: Round, reason: AbortReason): void {
    const index = this.open.indexOf(round);
    invariant(index >= 0 && round.phase !== 'deciding', 'only an open, undecided round can be aborted');
    const ended = this.open.slice(index).reverse();
    this.open = this.open.slice(0, index);
    for (const each of ended) {
      const why = each === round ? reason : 'prior aborted';
      this.remember(each, 'aborted');
      this.log.onEnded(each.record, 'aborted', why, this.context.nowMs);
      this.context.event('aborted', 'info', { round: each.number, version: each.change.to.version, reason: why });
      this.delivery.abort(each, this.lowestOpen);
    }
    const { nowMs } = this.context;
    this.listener.onAborted(
      round.from,
      ended.map(({ change }) => change.to.version),
      () => {
        for (const each of ended) {
          const why = each === round ? reason : 'prior aborted';
          this.context.settle(each.command, {
            kind: 'aborted',
            reason: why,
            refusals: this.#refusalsOf(each, why),
            durationMs: nowMs - each.startedMs,
          });
        }
      },
    );
    this.#setTimers();
  }

  abortAll(reason: AbortReason): void {
    const lowest = this.open.find(({ phase }) => phase !== 'deciding');
    if (lowest !== undefined) this.abort(lowest, reason);
  }

  /** A node's disk or its reign is gone: what is open here is for the next reign to say. */
  settleUnknown(reason: string): void {
    for (const round of this.open) {
      this.log.onEnded(round.record, 'unknown', reason, this.context.nowMs);
      this.context.settle(round.command, { kind: 'unknown', reason, durationMs: this.context.nowMs - round.startedMs });
    }
    this.open = [];
  }

  /** A voter that left or was forgotten can't vote any more. */
  onMemberGone(member: Member, reason: string): void {
    const round = this.open.find(
      ({ phase, voters, yes }) => phase === 'preparing' && voters.has(member.slot) && !yes.has(member.slot),
    );
    if (round === undefined) return;
    round.refusals.push({ node: member.node, reason });
    this.log.onNo(round.record, { node: member.node, reason }, this.context.nowMs);
    this.abort(round, 'refused');
  }

  // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  onTick(): void {
    const { timers, nowMs } = this.context;
    if (timers.takeDue('deadline', nowMs)) this.#onDeadline();
    if (timers.takeDue('leases', nowMs)) this.decide();
    for (const round of this.open) if (round.phase === 'preparing' && round.retryMs <= nowMs) this.#retry(round);
    this.#setTimers();
  }

  #onDeadline(): void {
    for (const round of this.open) {
      if (round.phase === 'deciding' || round.without || round.deadlineMs > this.context.nowMs) continue;
      const { voters } = round.replication;
      if (round.phase === 'preparing' && typeof voters === 'number' && round.yes.size >= voters) {
        // "At least n": the silent are left out; their leases are waited out before anything commits.
        round.without = true;
        // Of a scheduled change they are left out by their leases, which don't reach its instant.
        if (round.replication.activateAtMs === undefined)
          for (const member of missingVoters(round)) this.#fence(member);
        this.decide();
        continue;
      }
      this.abort(
        round,
        round.deadlineMs < round.startedMs + round.replication.timeoutMs ? 'too late to arm' : 'timeout',
      );
      return; // those on top of it ended with it
    }
  }

  /** To the voters that are missing. A large change goes as "version only": whoever lacks it asks for it. */
  #retry(round: Round): void {
    const missing = missingVoters(round).filter((member) => member.welcomed);
    const large = round.change.bytes.byteLength > this.context.config.datagramBytes;
    const content: Content = large ? { kind: 'version' } : round.content;
    if (isForAll(missing.length, round.voters.size)) this.#sendPrepare(round, 'all', content);
    else for (const member of missing) this.#sendPrepare(round, member.peer, content);
    round.retryDelayMs = Math.min(round.retryDelayMs * 2, limits.retryMaxMs);
    round.retryMs = this.context.nowMs + round.retryDelayMs;
  }

  #setTimers(): void {
    let deadlineMs = Infinity;
    let retryMs = this.delivery.nextRetryMs;
    for (const round of this.open) {
      if (round.phase === 'deciding') continue;
      if (!round.without) deadlineMs = Math.min(deadlineMs, round.deadlineMs);
      if (round.phase === 'preparing') retryMs = Math.min(retryMs, round.retryMs);
    }
    if (deadlineMs === Infinity) this.context.timers.clear('deadline');
    else this.context.timers.set('deadline', deadlineMs);
    if (retryMs === Infinity) this.context.timers.clear('retry');
    else this.context.timers.set('retry', retryMs);
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  notes(): OpenRoundNote[] {
    return this.open.map((round) => ({
      number: round.number,
      to: round.change.to,
      missing: bitmapOf(missingVoters(round).map(({ slot }) => slot)),
    }));
  }

  /**
   * True when the member votes in every open round, so that nothing can commit behind its back. A scheduled one commits at
   * its instant, and no lease reaches that without an arming.
   */
  votesInAll(member: Member): boolean {
    const soon = this.open.filter(({ replication }) => replication.activateAtMs === undefined);
    return soon.every((round) => round.voters.has(member.slot) && !(round.without && !round.yes.has(member.slot)));
  }

  /** Null: the policy can't be met. */
  #votersFor(replication: Replication): readonly Member[] | null {
    if (replication.voters === 'all') return this.members.all;
    const live = this.members.all.filter((member) => this.members.mayVote(member));
    return typeof replication.voters === 'number' && live.length < replication.voters ? null : live;
  }

  #sendPrepare(round: Round, to: Peer | 'all', content: Content): void {
    this.context.send(to, {
      kind: 'prepare',
      round: round.number,
      from: round.from,
      to: round.change.to,
      content,
      voters: round.voterBitmap,
      lowestOpenRound: this.lowestOpen,
      committed: this.history.tip,
      activateAtMs: round.replication.activateAtMs ?? null,
    });
  }

  #fence(member: Member): void {
    if (member.fenced) return;
    member.fenced = true;
    this.context.event('member fenced', 'warn', { node: member.node, reason: 'it did not vote in time' });
  }

  #refusalsOf(round: Round, reason: AbortReason): readonly NodeRefusal[] {
    if (reason !== 'timeout' && reason !== 'too late to arm') return round.refusals;
    const withinMs = Math.round(this.context.nowMs - round.startedMs);
    return [
      ...round.refusals,
      ...missingVoters(round).map(({ node }) => ({ node, reason: `no answer within ${withinMs} ms` })),
    ];
  }

  /** The heartbeats repeat it. */
  remember(round: Pick<Round, 'epoch' | 'number' | 'change'>, outcome: Decision['outcome']): void {
    const decision: Decision = { round: { epoch: round.epoch, number: round.number }, to: round.change.to, outcome };
    this.recent = [...this.recent, decision].slice(-limits.recentDecisions);
  }
}
