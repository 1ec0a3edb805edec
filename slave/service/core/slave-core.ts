import type { Epoch, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, sameEpoch, sameTip, showTip } from '../../../shared/protocol/kernel/ids.js';
import { unreachable } from '../../../shared/protocol/kernel/invariant.js';
import type {
  Abort,
  Commit,
  Heartbeat,
  Inquiry,
  Message,
  Refusal,
  Resolution,
  SlaveState,
  SnapshotRequest,
  Welcome,
} from '../../../shared/protocol/wire/messages.js';
import { Armed } from './armed.js';
import { CatchUp } from './catch-up.js';
import { AwaitedClock } from './awaited-clock.js';
import { ClockSync } from './clock-sync.js';
import { SlaveContext } from './context.js';
import { InDoubt } from './in-doubt.js';
import type { Showing, SlaveConfig, SlaveEffect, SlaveInput, Token } from './io.js';
import { Packets } from './packets.js';
import { Participant } from './participant.js';
import type { SlaveRecovered } from './records.js';
import { Reign } from './reign.js';
import { clockView, type SlaveView } from './view.js';

/**
 * A slave's protocol for one data set, as a synchronous state machine: no clock, no socket, no promise. The service
 * feeds it inputs and carries out its effects in order. Read `step` first, then the part that a message leads to.
 */
export class SlaveCore {
  readonly #context: SlaveContext;
  readonly #participant: Participant;
  readonly #catchUp: CatchUp;
  readonly #reign: Reign;
  readonly #inDoubt: InDoubt;
  readonly #packets: Packets;
  readonly #armed: Armed;
  readonly #clockSync: ClockSync;
  #closed = false;

  constructor(
    config: SlaveConfig,
    private readonly recovered: SlaveRecovered,
  ) {
    const context = new SlaveContext(config);
    this.#context = context;
    if (recovered.record !== null) context.promised = recovered.record.promised;
    this.#participant = new Participant(context, {
      onActivated: (scheduled, atMs) => this.#armed.onActivated(scheduled, atMs),
      onExposed: (tip) => this.#onExposed(tip),
      onVoted: () => this.#reign.onVoted(),
      onCommittedHeardOf: (tip) => this.#catchUp.onCommittedHeardOf(tip),
      onOperatorCommitted: () => this.#catchUp.distrust(),
    });
    this.#catchUp = new CatchUp(context, this.#participant, (packet) => {
      this.#packets.use(packet);
    });
    this.#clockSync = new ClockSync(context);
    this.#reign = new Reign(
      context,
      this.#participant,
      () => ({
        state: this.#state(),
        repairs: this.#catchUp.repairs,
        snapshots: this.#catchUp.snapshots,
        arming: this.#armed.report,
        activation: this.#armed.activation,
      }),
      () => this.#clockSync.onStatus(),
    );
    this.#armed = new Armed(context, this.#participant, {
      sendStatus: () => this.#reign.sendStatus(),
      expect: (instantMs) => this.#clockSync.expect(instantMs),
    });
    this.#inDoubt = new InDoubt(context, this.#participant, this.#catchUp, recovered.resolved);
    const awaitedClock = new AwaitedClock(context, (instantMs) => this.#clockSync.expect(instantMs));
    this.#packets = new Packets(context, this.#participant, this.#catchUp, awaitedClock);
  }

  /** Bytes of committed changes that wait for the user layer; a streaming service pauses while this is high. */
  get backlogBytes(): number {
    return this.#participant.work.pendingBytes;
  }

  nextWakeMs(): number {
    return this.#closed ? Infinity : this.#context.timers.next();
  }

  /** When `showing` is to show; Infinity: nothing is. */
  nextInstantMs(): number {
    return this.showing?.atMs ?? Infinity;
  }

  /**
   * What readers are to see from `atMs` of the clock here on, exactly, if nothing else is heard until then. Whoever shows it tells by `shown`,
   * before any other input. A core that isn't told shows it by itself, a little later.
   */
  get showing(): Showing | null {
    return this.#closed || this.#context.storeFailed ? null : this.#armed.showing;
  }

  step(input: SlaveInput, nowMs: number): SlaveEffect[] {
    this.#context.nowMs = nowMs;
    if (this.#closed) return [];
    this.#handle(input);
    if (!this.#closed && !this.#context.storeFailed) {
      // G7: what an older reign says isn't even an occasion to look at the clock; the timer is.
      const isOlder = input.kind === 'received' && compareEpochs(input.epoch, this.#context.promised) < 0;
      if (!isOlder) this.#armed.advance();
      this.#catchUp.advance();
      this.#inDoubt.watch(this.#packets.lowestOpenRound);
    }
    return this.#context.takeEffects();
  }

  view(nowMs: number): SlaveView {
    this.#context.nowMs = nowMs;
    return {
      state: this.#state(),
      tip: this.#participant.tip,
      heardOf: this.#catchUp.target,
      promised: this.#context.promised,
      master: this.#context.hearsMaster() && this.#context.master !== null ? this.#context.master.node : null,
      leaseUntilMs: this.#reign.leaseUntilMs,
      welcomed: this.#context.slot !== null,
      inDoubt: this.#participant.staged
        .filter((staged) => this.#inDoubt.isInDoubt(staged))
        .map(({ round, change, sinceMs, voters }) => ({
          round,
          to: change.to,
          ageMs: nowMs - sinceMs,
          voters,
          masterCannotTell: this.#inDoubt.masterCannotTell(round),
        })),
      armed: this.#armed.view(),
      resolved: this.#inDoubt.resolved,
      behind: this.#catchUp.behind,
      behindMs: this.#catchUp.behindMs,
      lastVote: this.#participant.lastVote,
      lastVeto: this.#participant.lastVeto,
      votes: { ...this.#participant.votes },
      reason: this.#reason(),
      repairs: this.#catchUp.repairs,
      snapshots: this.#catchUp.snapshots,
      resyncs: this.#catchUp.resyncs.counts,
      clock: clockView(this.#context.clock, this.#clockSync.era, nowMs),
    };
  }

  #handle(input: SlaveInput): void {
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
        if (input.answer.kind === 'failed' && input.answer.store === true)
          return this.#onStoreFailed(input.answer.reason);
        this.#participant.work.onAnswer(input.token, input.answer);
        return;
      case 'shown':
        return this.#armed.onShown(input.to);
      case 'exposed':
        return this.#participant.onShown(input.token, input.atMs);
      case 'transferred':
        this.#catchUp.onTransferred(input.token, input.error);
        return;
      case 'streamed':
        return this.#catchUp.onStreamed(input.token, input.delta);
      case 'suspended':
        return this.#reign.onSuspended();
      case 'clockJumped':
        return this.#clockSync.onClockJumped(input.byMs);
      case 'discard':
        return this.#onDiscard(input.command);
      case 'resolve':
        return this.#inDoubt.resolve(input);
      case 'close':
        return this.#onClose(input.command);
      default:
        return unreachable(input);
    }
  }

  // ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onStart(tip: Tip | null): void {
    this.#participant.recover(tip, this.recovered.prepared);
    this.#inDoubt.recover();
    this.#context.event('started', 'info', { tip: showTip(tip), inDoubt: this.recovered.prepared.length });
    this.#reign.start();
  }

  #onTick(): void {
    this.#armed.onTick();
    this.#reign.onTick();
    this.#clockSync.onTick();
    if (this.#context.timers.takeDue('clock vote', this.#context.nowMs)) this.#packets.onClock();
    this.#participant.onTick();
    this.#catchUp.onTick();
    this.#inDoubt.onTick();
  }

  #onPersisted(token: Token, error: string | null): void {
    if (error !== null) return this.#onStoreFailed(error);
    const promised = this.#reign.onPersisted(token);
    if (promised === null) {
      if (this.#armed.onPersisted(token) || this.#inDoubt.onPersisted(token)) return;
      this.#participant.onPersisted(token);
      return;
    }
    this.#armed.onNewReign();
    this.#packets.onNewReign();
    this.#clockSync.onNewReign();
    this.#participant.onNewReign();
    this.#catchUp.onNewReign();
    this.#inDoubt.onNewReign();
    this.#onReceived(promised.from, this.#context.promised, promised.message);
  }

  /** After a failed write a node neither commits nor votes again in this process: recovery reads the disk. */
  #onStoreFailed(error: string): void {
    this.#context.storeFailed = true;
    this.#reign.leaseUntilMs = 0;
    this.#context.timers.clearAll();
    this.#context.event('store failed', 'error', { error });
    this.#context.emit({
      kind: 'halt',
      code: 'store-failed',
      text: `the store of ${this.#context.config.node} failed: ${error}`,
    });
  }

  #onDiscard(command: Token): void {
    const result = this.#catchUp.discard()
      ? ({ kind: 'done' } as const)
      : ({ kind: 'rejected', text: 'this copy has not diverged: there is nothing to discard' } as const);
    this.#context.emit({ kind: 'settle', command, result });
  }

  #onClose(command: Token): void {
    this.#context.sendToMaster({ kind: 'leave' });
    this.#context.timers.clearAll();
    this.#closed = true;
    this.#reign.leaseUntilMs = 0;
    this.#context.emit({ kind: 'settle', command, result: { kind: 'done' } });
  }

  #onExposed(tip: Tip): void {
    this.#reign.onExposed(tip);
    this.#catchUp.onExposed(tip);
    this.#context.event('exposed', 'debug', { version: tip.version, epoch: tip.epoch.number });
  }

  // ── messages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #onReceived(from: Peer, epoch: Epoch, message: Message): void {
    if (this.#context.storeFailed) return;
    switch (message.kind) {
      case 'survey':
        return this.#onSurvey(from);
      case 'inquiry':
        return this.#onInquiry(from, message);
      case 'join':
      case 'vote':
      case 'status':
      case 'clock-request':
      case 'report':
      case 'promise':
      case 'delta-request':
        return; // what slaves say to masters
      case 'snapshot-request':
        return this.#onSnapshotRequest(from, message);
      case 'refusal':
        return this.#onRefusal(from, message);
      default:
        break;
    }
    if (this.#ignoreEpoch(from, epoch, message)) return;
    this.#onMasterMessage(from, message);
  }

  /** G7: an older epoch changes nothing, on any message kind; a newer one is promised durably before it is obeyed. */
  #ignoreEpoch(from: Peer, epoch: Epoch, message: Message): boolean {
    if (epoch.number === 0) return true;
    const order = compareEpochs(epoch, this.#context.promised);
    if (order === 0) return false;
    if (order < 0) this.#reign.refuse(from);
    else if (message.kind !== 'resolution') this.#reign.promise(from, epoch, message);
    return true;
  }

  #onMasterMessage(from: Peer, message: Message): void {
    if (message.kind === 'claim') return this.#reign.onClaim(from);
    if (message.kind === 'resolution') return this.#onResolution(message); // other slaves of this reign answer too
    if (message.kind === 'leave') return this.#reign.onMasterLeft();
    this.#reign.hearMaster(from);
    switch (message.kind) {
      case 'heartbeat':
        return this.#onHeartbeat(message);
      case 'welcome':
        return this.#onWelcome(message);
      case 'clock':
        this.#clockSync.onClock(message);
        return this.#packets.onClock();
      case 'announce':
        return this.#packets.onAnnounce(message);
      case 'prepare':
        return this.#packets.onPrepare(message);
      case 'commit':
        return this.#onCommit(message);
      case 'abort':
        return this.#onAbort(message);
      case 'arming':
        return this.#armed.onNote(message, true);
      case 'deltas':
        return this.#catchUp.onDeltas(message);
      case 'too-old':
        return this.#catchUp.onTooOld(message);
      case 'bulk-offer':
        return this.#catchUp.onBulkOffer(from, message);
      default:
        return; // slaves' own kinds were sorted out before
    }
  }

  #onSurvey(from: Peer): void {
    this.#context.send(from, {
      kind: 'report',
      role: 'slave',
      promised: this.#context.promised,
      tip: this.#participant.tip,
      prepared: this.#participant.prepared,
      hears: this.#context.hearsMaster() ? this.#context.master : null,
    });
  }

  /** Another slave in doubt asks. Only a decision that a master told this node counts; a vote proves nothing. */
  #onInquiry(from: Peer, inquiry: Inquiry): void {
    const known = this.#participant.knownDecision(inquiry.round);
    if (known === undefined || !sameTip(known.to, inquiry.to)) return;
    this.#context.send(from, { kind: 'resolution', round: inquiry.round, to: inquiry.to, outcome: known.outcome });
  }

  /** A master that lost its own copy adopts this one, on its operator's word; or one of a live reign asks by mistake. */
  #onSnapshotRequest(from: Peer, request: SnapshotRequest): void {
    const at = this.#participant.tip;
    if (at === null) return;
    this.#context.emit({
      kind: 'offerBulk',
      token: this.#context.token(),
      to: from,
      epoch: this.#context.promised,
      request: request.request,
      at,
    });
  }

  #onRefusal(from: Peer, refusal: Refusal): void {
    this.#context.event('refused', 'error', { by: from.node, reason: refusal.reason, text: refusal.text });
    if (this.#context.slot !== null || refusal.reason === 'forgotten') return;
    this.#context.timers.clearAll();
    this.#context.emit({
      kind: 'halt',
      code: refusal.reason === 'group-full' ? 'group-full' : refusal.reason,
      text: refusal.text,
    });
  }

  #onWelcome(welcome: Welcome): void {
    if (this.#reign.onWelcome(welcome)) this.#clockSync.onWelcome();
  }

  #onHeartbeat(heartbeat: Heartbeat): void {
    this.#packets.raiseFloor(heartbeat.lowestOpenRound);
    // Decisions hold however late their heartbeat comes.
    for (const { round, to, outcome } of heartbeat.recentDecisions) {
      if (outcome === 'committed') this.#participant.onCommitted(to);
      else this.#participant.onAborted(round, to, 'aborted');
    }
    if (heartbeat.tip !== null) this.#participant.onCommitted(heartbeat.tip);
    if (!this.#reign.onHeartbeat(heartbeat)) return;
    if (heartbeat.arming !== null) this.#armed.onNote(heartbeat.arming, false);
    this.#inDoubt.onHeartbeat(heartbeat);
    this.#catchUp.onHeartbeatTip(heartbeat.tip, heartbeat.arming?.to ?? null);
  }

  // ── rounds ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onCommit(commit: Commit): void {
    this.#packets.raiseFloor(commit.lowestOpenRound);
    this.#catchUp.onCommittedHeardOf(commit.to);
    if (commit.acknowledge) this.#reign.acknowledgeAtOnce(commit.to);
    if (this.#participant.onCommitted(commit.to)) return;
    if (sameTip(commit.to, this.#participant.tip)) this.#reign.sendStatus(); // acknowledged once more
  }

  #onAbort(abort: Abort): void {
    this.#packets.raiseFloor(abort.lowestOpenRound);
    this.#participant.onAborted(abort.round, abort.to, 'aborted');
    if (sameEpoch(abort.round.epoch, this.#context.promised)) this.#catchUp.forgetRound(abort.round.number);
  }

  #onResolution(resolution: Resolution): void {
    const staged = this.#participant.find(resolution.round);
    if (staged === undefined || !sameTip(staged.change.to, resolution.to)) return;
    this.#context.event('round resolved', 'info', { version: resolution.to.version, outcome: resolution.outcome });
    if (resolution.outcome === 'committed') this.#participant.onCommitted(resolution.to);
    else if (resolution.outcome === 'unknown') this.#inDoubt.onUnknown(resolution.round);
    else this.#participant.onAborted(resolution.round, resolution.to, resolution.outcome);
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #state(): SlaveState {
    if (this.#context.storeFailed || this.#participant.failure !== '') return 'failed';
    if (this.#catchUp.diverged !== null) return 'diverged';
    if (this.#reign.hasLease() && this.#armed.whyNotCurrent() === '') return 'current';
    return this.#catchUp.isBehind || this.#participant.tip === null ? 'catching up' : 'serving';
  }

  #reason(): string {
    if (this.#context.storeFailed) return 'the store failed; restart this node, which reads what is on disk';
    if (this.#participant.failure !== '') return this.#participant.failure;
    if (this.#catchUp.diverged !== null) {
      const { tip } = this.#catchUp.diverged;
      const author = this.#inDoubt.resolved.find(({ to }) => sameTip(to, tip))?.by;
      const why = author === undefined ? '' : ` (committed here by ${author}, an operator)`;
      return `this copy is at ${showTip(tip)}${why}, which is not on the master's chain; discard it here (lockstep discard), or adopt it by a master with an empty store (lockstep master --adopt-from ${this.#context.config.node})`;
    }
    if (this.#reign.hasLease()) return this.#armed.whyNotCurrent();
    if (!this.#context.hearsMaster()) return 'no master is heard';
    if (this.#context.slot === null) return 'the master has not welcomed this node yet';
    if (this.#catchUp.fetching !== '') return `fetching ${this.#catchUp.fetching}`;
    return this.#catchUp.isBehind ? 'behind what the master has committed' : 'the lease ran out';
  }
}
