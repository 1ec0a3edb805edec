import type { Epoch, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch } from '../../../shared/protocol/kernel/ids.js';
import { unreachable } from '../../../shared/protocol/kernel/invariant.js';
import type { Join, Message, Status } from '../../../shared/protocol/wire/messages.js';
import { Armings, type ArmingsListener } from './armings.js';
import { ClockAnswers } from './clock-answers.js';
import { MasterContext } from './context.js';
import { Delivery } from './delivery.js';
import { Heartbeats } from './heartbeats.js';
import { History } from './history.js';
import type { MasterConfig, MasterEffect, MasterInput, Token } from './io.js';
import { Leadership } from './leadership.js';
import { Members } from './members.js';
import type { MasterRecovered } from './records.js';
import { Replications } from './replications.js';
import type { LoggedRound } from './round-log.js';
import { RoundLog } from './round-log.js';
import { Rounds } from './rounds.js';
import { Serving } from './serving.js';
import type { ArmedView, MasterView } from './view.js';

/**
 * A master's protocol for one data set, as a synchronous state machine: no clock, no socket, no promise. The service
 * feeds it inputs and carries out its effects in order. Read `step` first; a round's way is `replications.ts` (start) →
 * `rounds.ts` (votes, decision) → `delivery.ts` (commit, abort), and `heartbeats.ts` heals what got lost.
 */
export class MasterCore {
  readonly #context: MasterContext;
  readonly #history: History;
  readonly #members: Members;
  readonly #leadership: Leadership;
  readonly #heartbeats: Heartbeats;
  readonly #delivery: Delivery;
  readonly #rounds: Rounds;
  readonly #replications: Replications;
  readonly #serving: Serving;
  readonly #clockAnswers: ClockAnswers;
  readonly #armings: Armings;
  readonly #roundLog = new RoundLog();
  #closing: Token | null = null;
  #isClosed = false;
  #haltSettled = false;

  constructor(config: MasterConfig, recovered: MasterRecovered) {
    const context = new MasterContext(config);
    this.#context = context;
    this.#history = new History(config.dataSet, { bytes: config.historyBytes, ageMs: config.historyAgeMs }, recovered);
    this.#members = new Members(context, this.#history, () => this.#heartbeats.sequence, recovered);
    this.#leadership = new Leadership(
      context,
      this.#history,
      this.#members,
      {
        onLeading: () => this.#onLeading(),
        onEpochLost: () => this.#onEpochLost(),
        onGateOpened: () => this.#onGateOpened(),
      },
      recovered,
    );
    this.#heartbeats = new Heartbeats(context, () => ({
      tip: this.#history.tip,
      lowestOpenRound: this.#rounds.lowestOpen,
      openRounds: this.#rounds.notes(),
      recentDecisions: this.#rounds.recent,
      heal: this.#leadership.heal,
      acknowledged: this.#members.acknowledge(
        (member, endsMs) => this.#rounds.votesInAll(member) && this.#armings.mayRenew(member, endsMs),
      ),
      arming: this.#armings.note(),
    }));
    this.#delivery = new Delivery(context, this.#history, this.#members, this.#heartbeats, this.#roundLog);
    const listener = {
      onSettled: (): void => this.#replications.advance(),
      onAborted: (to: Tip | null, versions: readonly number[], settle: () => void): void =>
        this.#replications.restore(to, versions, settle),
      gateMs: (): number => this.#leadership.gateMs,
    };
    this.#armings = new Armings(
      context,
      this.#history,
      this.#members,
      this.#roundLog,
      this.#listener(),
      recovered.armed,
    );
    this.#rounds = new Rounds(
      context,
      this.#history,
      this.#members,
      this.#delivery,
      listener,
      this.#roundLog,
      this.#armings,
    );
    const onAnnounced = (): void => this.#heartbeats.afterData();
    this.#replications = new Replications(
      context,
      this.#history,
      this.#members,
      this.#rounds,
      onAnnounced,
      this.#roundLog,
      this.#armings,
    );
    this.#clockAnswers = new ClockAnswers(context);
    this.#serving = new Serving(context, this.#history, this.#members, this.#rounds, this.#leadership, this.#armings);
  }

  nextWakeMs(): number {
    return this.#isClosed || this.#context.phase === 'halted' ? Infinity : this.#context.timers.next();
  }

  /** When a scheduled change is to show, exactly; `nextWakeMs` comes a little later. */
  nextInstantMs(): number {
    return this.#isClosed || this.#context.phase === 'halted' ? Infinity : this.#armings.nextInstantMs();
  }

  step(input: MasterInput, nowMs: number): MasterEffect[] {
    this.#context.nowMs = nowMs;
    if (this.#isClosed) return [];
    this.#handle(input);
    this.#settleWhenHalted();
    this.#finishClosing();
    return this.#context.takeEffects();
  }

  view(nowMs: number): MasterView {
    this.#context.nowMs = nowMs;
    return {
      phase: this.#context.phase,
      epoch: this.#context.epoch,
      tip: this.#history.tip,
      mayCommit: this.#context.isLeading && nowMs >= this.#leadership.gateMs,
      queued: this.#replications.length,
      openRounds: this.#rounds.open.map((round) => ({
        round: { epoch: round.epoch, number: round.number },
        version: round.change.to.version,
        phase: round.phase,
        ageMs: nowMs - round.startedMs,
        voters: [...round.voters.values()].map(({ node }) => node),
        missing: [...round.voters.values()].filter(({ slot }) => !round.yes.has(slot)).map(({ node }) => node),
      })),
      armed: this.#armings.view(),
      activation: this.#armings.activation(),
      members: this.#members.views(),
      historyBytes: this.#history.bytes,
      oldestDelta: this.#history.oldestDelta,
    };
  }

  /** A scheduled change that waits for its instant; changes nothing. */
  armed(nowMs: number): ArmedView | null {
    this.#context.nowMs = nowMs;
    return this.#armings.view();
  }

  /** The newest rounds with their votes, newest first; changes nothing. */
  rounds(limit: number): readonly LoggedRound[] {
    return this.#roundLog.newest(limit);
  }

  /** The committed changes, for who follows them; changes nothing. */
  get committed(): Pick<History, 'tip' | 'oldestVersion' | 'after' | 'tipAt'> {
    return this.#history;
  }

  #handle(input: MasterInput): void {
    switch (input.kind) {
      case 'start':
        return this.#onStart(input.tip);
      case 'received':
        return this.#onReceived(input.from, input.epoch, input.message);
      case 'tick':
        return this.#onTick();
      case 'persisted':
        return this.#onPersisted(input.token, input.error);
      case 'answered':
        return this.#context.onAnswered(input.token, input.answer);
      case 'transferred':
        return this.#onTransferred(input.token, input.error, input.tip);
      case 'replicate':
        return this.#replications.start(input.command, input.replication);
      case 'clockJumped':
        return this.#clockAnswers.onClockJumped(input.byMs);
      case 'rollBack':
        return this.#replications.rollBack(input.command, input.version);
      case 'cancel':
        return this.#replications.cancel(input.command);
      case 'cancelActivation':
        return this.#onCancelActivation(input.command, input.version, input.timeoutMs);
      case 'exposed':
        return this.#armings.onExposed(input.token, input.atMs);
      case 'forget':
        return this.#onForget(input.command, input.node);
      case 'close':
        return this.#onClose(input.command, input.reason);
      default:
        return unreachable(input);
    }
  }

  // ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onStart(tip: Tip | null): void {
    this.#history.onStarted(this.#context.nowMs);
    this.#armings.recover();
    if (!this.#armings.recoverShown(tip, () => this.#leadership.start(tip))) this.#leadership.start(tip);
  }

  #onTick(): void {
    this.#armings.onTick();
    this.#leadership.onTick();
    this.#delivery.onTick();
    this.#rounds.onTick();
    this.#replications.onTick();
    this.#heartbeats.onTick();
  }

  #onPersisted(token: Token, error: string | null): void {
    if (error !== null) return this.#onStoreFailed(error);
    if (this.#leadership.onPersisted(token)) return;
    if (this.#members.onPersisted(token)) return this.#leadership.onMemberPromised();
    if (this.#armings.onPersisted(token) || this.#rounds.onPersisted(token)) return;
    this.#replications.onPersisted(token);
  }

  /**
   * The record may be on disk, or not: the outcome is unknown, not an abort. This process decides nothing any more;
   * recovery reads the disk.
   */
  #onStoreFailed(error: string): void {
    if (this.#context.phase === 'halted') return;
    this.#haltSettled = true;
    this.#replications.settleAll('closed', `the store failed: ${error}`);
    this.#delivery.end();
    this.#armings.end();
    this.#context.halt('store-failed', `the master's store failed: ${error}; restart it: what is on disk then counts`);
  }

  #onTransferred(token: Token, error: string | null, tip: Tip | null): void {
    if (!this.#leadership.onTransferred(token, error, tip)) this.#serving.onTransferred(token, error);
  }

  #onCancelActivation(command: Token, version: number, timeoutMs: number): void {
    if (this.#armings.cancel(command, version, timeoutMs)) return;
    this.#replications.cancelScheduled(command, version);
  }

  #onForget(command: Token, node: string): void {
    const member = this.#members.forget(node);
    if (member === undefined) {
      this.#context.settle(command, { kind: 'rejected', code: 'member-unknown', text: `no member is named ${node}` });
      return;
    }
    this.#rounds.onMemberGone(member, 'forgotten by the operator');
    this.#delivery.onMemberGone(member);
    this.#leadership.onMemberPromised();
    this.#context.settle(command, { kind: 'done' });
  }

  #onClose(command: Token, reason: 'closed' | 'unregistered'): void {
    // Told twice: the rounds that are still open are not waited for any more.
    if (this.#closing !== null) this.#rounds.abortAll(reason);
    this.#closing = command;
    this.#replications.close(reason);
    if (this.#context.phase === 'leading') this.#context.phase = 'closing';
  }

  /** What is under way here is for the next reign, or the next process, to say. */
  #settleWhenHalted(): void {
    if (this.#context.phase !== 'halted' || this.#haltSettled) return;
    this.#haltSettled = true;
    this.#replications.settleAll('stepped down', 'this master halted before the decision was known');
    this.#delivery.end();
    this.#armings.end();
  }

  /** Rounds under way are settled first; then the goodbye, so that nobody waits for this master's heartbeats. */
  #finishClosing(): void {
    if (this.#closing === null) return;
    if (this.#context.isLeading && !this.#replications.isIdle) return;
    if (this.#context.isLeading) this.#context.send('all', { kind: 'leave' });
    this.#delivery.end();
    this.#armings.end();
    this.#context.timers.clearAll();
    this.#context.settle(this.#closing, { kind: 'done' });
    this.#isClosed = true;
  }

  #onLeading(): void {
    this.#rounds.onNewReign();
    this.#replications.onNewReign();
    this.#heartbeats.start();
    this.#armings.onLeading();
    this.#replications.advance();
  }

  #onGateOpened(): void {
    this.#armings.onGateOpened();
    this.#rounds.decide();
  }

  #listener(): ArmingsListener {
    return {
      gateMs: () => this.#leadership.gateMs,
      onCommitted: (committed, outcome) => {
        this.#rounds.remember(committed, 'committed');
        this.#delivery.commit(committed, this.#rounds.lowestOpen, outcome);
        this.#replications.advance();
      },
      onWithdrawn: (aborted, settle) => {
        this.#rounds.remember(aborted, 'aborted');
        this.#delivery.abort(aborted, this.#rounds.lowestOpen);
        this.#replications.restore(this.#history.tip, [aborted.change.to.version], settle);
      },
    };
  }

  /** The slaves are bound to a newer epoch: what isn't decided in this one never will be. */
  #onEpochLost(): void {
    this.#rounds.abortAll('stepped down');
    this.#delivery.end();
    this.#context.timers.clear('heartbeat');
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #onReceived(from: Peer, epoch: Epoch, message: Message): void {
    if (this.#context.phase === 'halted') return;
    switch (message.kind) {
      case 'report':
        this.#armings.onCopy(message.tip);
        this.#serving.tellLeader(from, message);
        return this.#leadership.onReport(from, message);
      case 'promise':
        this.#armings.onCopy(message.tip);
        return this.#leadership.onPromise(from, message);
      case 'bulk-offer':
        return this.#leadership.onBulkOffer(from, message);
      case 'survey':
        return this.#onSurvey(from);
      case 'resolution':
        if (this.#context.isLeading) this.#serving.onToldByMaster(message);
        return;
      case 'heartbeat':
        return this.#leadership.onOtherMaster(from, epoch, message.tip);
      case 'join':
        return this.#onJoin(from, epoch, message);
      default:
        break;
    }
    // G7: what is said in another reign changes nothing in this one.
    if (!this.#context.isLeading || !sameEpoch(epoch, this.#context.epoch)) return;
    this.#onMemberMessage(from, message);
  }

  #onMemberMessage(from: Peer, message: Message): void {
    const member = this.#members.of(from);
    if (member === undefined) return;
    switch (message.kind) {
      case 'vote':
        return this.#rounds.onVote(from, message);
      case 'status':
        return this.#onStatus(from, message);
      case 'clock-request':
        return this.#clockAnswers.answer(from, message);
      case 'inquiry':
        return this.#serving.onInquiry(from, message);
      case 'delta-request':
        return this.#serving.onDeltaRequest(from, message);
      case 'snapshot-request':
        return this.#serving.onSnapshotRequest(from, message);
      case 'leave':
        this.#members.onLeave(member);
        this.#rounds.onMemberGone(member, 'it left the group');
        this.#delivery.onMemberGone(member);
        return;
      default:
        return; // what masters say to slaves
    }
  }

  #onJoin(from: Peer, epoch: Epoch, join: Join): void {
    this.#armings.onCopy(join.tip);
    if (!this.#context.isLeading) return this.#leadership.onEarlyJoin(from, join);
    if (!sameEpochOrNone(epoch, this.#context.epoch)) return;
    if (!this.#leadership.refusesCopy({ ...join, node: from.node })) this.#members.onJoin(from, join);
  }

  /** A starting master looks: a leading one answers for itself, so that it isn't disturbed. */
  #onSurvey(from: Peer): void {
    if (!this.#context.isLeading) return;
    const { node, incarnation } = this.#context.config;
    this.#context.send(from, {
      kind: 'report',
      role: 'master',
      promised: this.#context.epoch,
      tip: this.#history.tip,
      prepared: this.#serving.untold,
      hears: { node, incarnation },
    });
  }

  #onStatus(from: Peer, status: Status): void {
    const member = this.#members.of(from);
    if (member === undefined || !member.welcomed) return;
    this.#members.onStatus(member, status);
    this.#armings.onStatus(member);
    this.#delivery.onStatus(member);
    this.#serving.onPrepared(from, status.prepared, this.#delivery.repeatsTo(member));
    this.#replications.onStatus();
  }
}

/** A slave that has promised nothing yet joins with the epoch "none"; it promises when it hears the welcome's epoch. */
function sameEpochOrNone(epoch: Epoch, current: Epoch): boolean {
  return epoch.number === 0 || sameEpoch(epoch, current);
}
