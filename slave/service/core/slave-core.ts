import type { Delta, Epoch, Peer, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, sameEpoch, sameTip, showTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { hasBit } from '../../../shared/protocol/kernel/bitmap.js';
import { isIntact } from '../../../shared/protocol/kernel/digest.js';
import { unreachable } from '../../../shared/protocol/kernel/invariant.js';
import type {
  Abort, Announce, Commit, Heartbeat, Inquiry, Message, Prepare, Refusal, Resolution, SlaveState, SnapshotRequest,
} from '../../../shared/protocol/wire/messages.js';
import { CatchUp } from './catch-up.js';
import { SlaveContext } from './context.js';
import { InDoubt } from './in-doubt.js';
import type { SlaveConfig, SlaveEffect, SlaveInput, Token } from './io.js';
import { Participant } from './participant.js';
import type { SlaveRecovered } from './records.js';
import { Reign } from './reign.js';
import type { SlaveView } from './view.js';

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
  /** Rounds of this epoch below this one are settled: a prepare of one of them comes too late. */
  #lowestOpenRound = 0;
  #closed = false;

  constructor(
    config: SlaveConfig,
    private readonly recovered: SlaveRecovered,
  ) {
    const context = new SlaveContext(config);
    this.#context = context;
    if (recovered.record !== null) context.promised = recovered.record.promised;
    this.#participant = new Participant(context, {
      onExposed: (tip) => this.#onExposed(tip),
      onCommittedHeardOf: (tip) => this.#catchUp.onCommittedHeardOf(tip),
    });
    this.#catchUp = new CatchUp(context, this.#participant, (packet) => {
      if (packet.kind === 'prepare') this.#usePrepare(packet);
      else this.#useAnnounce(packet);
    });
    this.#reign = new Reign(context, this.#participant, () => ({
      state: this.#state(),
      repairs: this.#catchUp.repairs,
      snapshots: this.#catchUp.snapshots,
    }));
    this.#inDoubt = new InDoubt(context, this.#participant, this.#catchUp);
  }

  /** Bytes of committed changes that wait for the user layer; a streaming service pauses while this is high. */
  get backlogBytes(): number {
    return this.#participant.work.pendingBytes;
  }

  nextWakeMs(): number {
    return this.#closed ? Infinity : this.#context.timers.next();
  }

  step(input: SlaveInput, nowMs: number): SlaveEffect[] {
    this.#context.nowMs = nowMs;
    if (this.#closed) return [];
    this.#handle(input);
    if (!this.#closed && !this.#context.storeFailed) {
      this.#catchUp.advance();
      this.#inDoubt.watch(this.#lowestOpenRound);
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
        .filter(({ phase }) => phase === 'prepared')
        .map(({ round, change, sinceMs }) => ({ round, to: change.to, ageMs: nowMs - sinceMs })),
      lastVote: this.#participant.lastVote,
      reason: this.#reason(),
      repairs: this.#catchUp.repairs,
      snapshots: this.#catchUp.snapshots,
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
        if (input.answer.kind === 'failed' && input.answer.store === true) return this.#onStoreFailed(input.answer.reason);
        this.#participant.work.onAnswer(input.token, input.answer);
        return;
      case 'transferred':
        this.#catchUp.onTransferred(input.token, input.error);
        return;
      case 'streamed':
        return this.#catchUp.onStreamed(input.token, input.delta);
      case 'suspended':
        return this.#reign.onSuspended();
      case 'discard':
        return this.#onDiscard(input.command);
      case 'close':
        return this.#onClose(input.command);
      default:
        return unreachable(input);
    }
  }

  // ── inputs ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #onStart(tip: Tip | null): void {
    this.#participant.recover(tip, this.recovered.prepared);
    this.#context.event('started', 'info', { tip: showTip(tip), inDoubt: this.recovered.prepared.length });
    this.#reign.start();
  }

  #onTick(): void {
    this.#reign.onTick();
    this.#participant.onTick();
    this.#catchUp.onTick();
    this.#inDoubt.onTick();
  }

  #onPersisted(token: Token, error: string | null): void {
    if (error !== null) return this.#onStoreFailed(error);
    const promised = this.#reign.onPersisted(token);
    if (promised === null) return this.#participant.onPersisted(token);
    this.#lowestOpenRound = 0;
    this.#catchUp.onNewReign();
    this.#onReceived(promised.from, this.#context.promised, promised.message);
  }

  /** After a failed write a node neither commits nor votes again in this process: recovery reads the disk. */
  #onStoreFailed(error: string): void {
    this.#context.storeFailed = true;
    this.#reign.leaseUntilMs = 0;
    this.#context.timers.clearAll();
    this.#context.event('store failed', 'error', { error });
    this.#context.emit({ kind: 'halt', code: 'store-failed', text: `the store of ${this.#context.config.node} failed: ${error}` });
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
    this.#reign.sendStatus();
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
        return this.#reign.onWelcome(message);
      case 'announce':
        return this.#onAnnounce(message);
      case 'prepare':
        return this.#onPrepare(message);
      case 'commit':
        return this.#onCommit(message);
      case 'abort':
        return this.#onAbort(message);
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
      kind: 'offerBulk', token: this.#context.token(), to: from, epoch: this.#context.promised, request: request.request, at,
    });
  }

  #onRefusal(from: Peer, refusal: Refusal): void {
    this.#context.event('refused', 'error', { by: from.node, reason: refusal.reason, text: refusal.text });
    if (this.#context.slot !== null || refusal.reason === 'forgotten') return;
    this.#context.timers.clearAll();
    this.#context.emit({ kind: 'halt', code: refusal.reason === 'group-full' ? 'group-full' : refusal.reason, text: refusal.text });
  }

  #onHeartbeat(heartbeat: Heartbeat): void {
    this.#raiseFloor(heartbeat.lowestOpenRound);
    // Decisions hold however late their heartbeat comes.
    for (const { round, to, outcome } of heartbeat.recentDecisions) {
      if (outcome === 'committed') this.#participant.onCommitted(to);
      else this.#participant.onAborted(round, to, 'aborted');
    }
    if (heartbeat.tip !== null) this.#participant.onCommitted(heartbeat.tip);
    if (!this.#reign.onHeartbeat(heartbeat)) return;
    this.#catchUp.onHeartbeatTip(heartbeat.tip);
  }

  // ── one phase ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #onAnnounce(announce: Announce): void {
    if (announce.from !== null) this.#participant.onCommitted(announce.from); // one-phase starts from a committed state
    this.#catchUp.onCommittedHeardOf(announce.to);
    this.#useAnnounce(announce);
  }

  #useAnnounce(announce: Announce): void {
    if (this.#ignoreAnnounce(announce)) return;
    const { planned } = this.#participant;
    const { content } = announce;
    if (content.kind === 'version') return; // a gap now, which catching up closes
    if (content.kind === 'state') {
      if (!sameTip(announce.from, planned) && !this.#catchUp.isOnChain) return; // it may have diverged: asked first, and kept
      if (isIntact(content.state) && sameTip(content.state.to, announce.to)) this.#participant.apply(content.state);
      return;
    }
    const changes = content.kind === 'change' ? [content.change] : content.changes;
    const first = changes.findIndex((change) => sameTip(change.from, planned));
    if (first < 0) {
      if (content.kind === 'change' && !sameTip(announce.from, planned)) this.#catchUp.keep(announce);
      return;
    }
    if (!sameTip(changes.at(-1)?.to ?? null, announce.to)) return;
    for (const change of changes.slice(first)) {
      if (!sameTip(change.from, this.#participant.planned) || !isIntact(change)) return;
      this.#participant.apply(change);
    }
  }

  #ignoreAnnounce(announce: Announce): boolean {
    if (sameTip(announce.to, this.#participant.planned)) return true; // a duplicate
    if (this.#participant.staged.length > 0) return true; // in doubt: settled first, then the gap is closed
    if (this.#catchUp.isInstalling || this.#catchUp.diverged !== null) return true;
    return versionOf(announce.to) < versionOf(this.#participant.planned) && sameEpoch(announce.to.epoch, this.#context.promised);
  }

  // ── two phases ────────────────────────────────────────────────────────────────────────────────────────────────────

  #onPrepare(prepare: Prepare): void {
    this.#raiseFloor(prepare.lowestOpenRound);
    // The lowest open round starts from a committed state: what is staged up to there is decided.
    if (prepare.from !== null && this.#startsAtCommitted(prepare)) this.#participant.onCommitted(prepare.from);
    this.#usePrepare(prepare);
  }

  #usePrepare(prepare: Prepare): void {
    const round: RoundId = { epoch: this.#context.promised, number: prepare.round };
    if (this.#ignorePrepare(prepare, round)) return;
    if (this.#answerAtOnce(prepare, round)) return;
    const prior = this.#placeOf(prepare);
    if (prior === 'ahead') {
      this.#onGapBefore(prepare, round);
      return;
    }
    const change = this.#changeOf(prepare);
    if (change === 'fetch') return this.#catchUp.fetchRound(prepare, round);
    if (change === null) return;
    if (prior === 'below top') this.#participant.abortAbove(prepare.from);
    this.#participant.stage(round, prepare.from, change);
  }

  #ignorePrepare(prepare: Prepare, round: RoundId): boolean {
    const { slot } = this.#context;
    if (slot === null || !hasBit(prepare.voters, slot)) return true; // no voter: the commit, or catching up, brings it
    if (!sameEpoch(prepare.to.epoch, this.#context.promised)) return true;
    if (this.#participant.find(round) !== undefined) return false;
    if (prepare.round < this.#lowestOpenRound) return true; // settled long ago
    if (this.#participant.knownDecision(round) !== undefined) return true; // its own abort came first
    const newest = this.#participant.staged.at(-1);
    if (newest !== undefined && sameEpoch(newest.round.epoch, round.epoch) && newest.round.number > round.number) return true;
    return this.#catchUp.isInstalling;
  }

  /** True when the vote is known without asking the user layer. */
  #answerAtOnce(prepare: Prepare, round: RoundId): boolean {
    const staged = this.#participant.find(round);
    if (staged !== undefined) {
      // G2 holds: `prepared` means that the record is durable.
      if (staged.phase === 'prepared' && staged.decided === null) this.#vote(prepare, round, true, true, '');
      return true;
    }
    const refused = this.#participant.refusalOf(round);
    if (refused !== undefined) {
      this.#context.sendToMaster(refused);
      return true;
    }
    if (this.#catchUp.diverged !== null) {
      this.#vote(prepare, round, false, false, `this copy has diverged from the master's at ${showTip(this.#catchUp.diverged.tip)}`);
      return true;
    }
    if (this.#participant.work.isStuck) {
      this.#vote(prepare, round, true, false, 'busy: a callback of the user layer is past its time');
      return true;
    }
    if (this.#participant.failure !== '') {
      this.#vote(prepare, round, true, false, this.#participant.failure);
      return true;
    }
    return false;
  }

  /** Where the round starts, as seen from this copy. */
  #placeOf(prepare: Prepare): 'top' | 'below top' | 'ahead' {
    if (sameTip(prepare.from, this.#participant.top)) return 'top';
    // A whole state leads there from anywhere on the chain; a copy that may be off it is asked about first, and kept.
    if (prepare.content.kind === 'state' && this.#participant.staged.length === 0 && this.#catchUp.isOnChain) return 'top';
    if (this.#participant.holdsForeignRound()) return 'ahead'; // in doubt from an older reign: asked about first
    const known =
      sameTip(prepare.from, this.#participant.planned) || this.#participant.staged.some(({ change }) => sameTip(change.to, prepare.from));
    return known ? 'below top' : 'ahead';
  }

  /** The copy is behind the round's prior: what lies between comes first, as one delta, or out of the packet's chain. */
  #onGapBefore(prepare: Prepare, round: RoundId): void {
    const { content } = prepare;
    if (content.kind === 'chain' && this.#participant.staged.length === 0) {
      for (const change of content.changes.slice(0, -1)) {
        if (sameTip(change.from, this.#participant.planned) && isIntact(change)) this.#participant.apply(change);
      }
      if (sameTip(prepare.from, this.#participant.top)) return this.#usePrepare(prepare);
    }
    this.#catchUp.keep(prepare);
    if (prepare.from !== null && sameEpoch(round.epoch, this.#context.promised) && this.#startsAtCommitted(prepare)) {
      this.#catchUp.onCommittedHeardOf(prepare.from);
    }
  }

  /** The lowest open round starts from a committed state; the ones above it don't, yet. */
  #startsAtCommitted(prepare: Prepare): boolean {
    return prepare.round === prepare.lowestOpenRound;
  }

  #changeOf(prepare: Prepare): Delta | 'fetch' | null {
    const { content } = prepare;
    if (content.kind === 'version') return 'fetch';
    const change = content.kind === 'change' ? content.change : content.kind === 'state' ? content.state : (content.changes.at(-1) ?? null);
    if (change === null || !sameTip(change.to, prepare.to) || !isIntact(change)) return null;
    if (change.from !== null && !sameTip(change.from, prepare.from)) return null;
    return change;
  }

  #onCommit(commit: Commit): void {
    this.#raiseFloor(commit.lowestOpenRound);
    this.#catchUp.onCommittedHeardOf(commit.to);
    if (this.#participant.onCommitted(commit.to)) return;
    if (sameTip(commit.to, this.#participant.tip)) this.#reign.sendStatus(); // acknowledged once more
  }

  #onAbort(abort: Abort): void {
    this.#raiseFloor(abort.lowestOpenRound);
    this.#participant.onAborted(abort.round, abort.to, 'aborted');
    if (sameEpoch(abort.round.epoch, this.#context.promised)) this.#catchUp.forgetRound(abort.round.number);
  }

  #onResolution(resolution: Resolution): void {
    const staged = this.#participant.find(resolution.round);
    if (staged === undefined || !sameTip(staged.change.to, resolution.to)) return;
    this.#context.event('round resolved', 'info', { version: resolution.to.version, outcome: resolution.outcome });
    if (resolution.outcome === 'committed') this.#participant.onCommitted(resolution.to);
    else if (resolution.outcome !== 'unknown') this.#participant.onAborted(resolution.round, resolution.to, resolution.outcome);
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #vote(prepare: Prepare, round: RoundId, upToDate: boolean, canProcess: boolean, reason: string): void {
    this.#participant.vote(round, prepare.to, { upToDate, canProcess, reason, refused: [] });
  }

  #raiseFloor(lowestOpenRound: number): void {
    if (lowestOpenRound <= this.#lowestOpenRound) return;
    this.#lowestOpenRound = lowestOpenRound;
    this.#catchUp.forgetBelow(lowestOpenRound);
  }

  #state(): SlaveState {
    if (this.#context.storeFailed || this.#participant.failure !== '') return 'failed';
    if (this.#catchUp.diverged !== null) return 'diverged';
    if (this.#reign.hasLease()) return 'current';
    return this.#catchUp.isBehind || this.#participant.tip === null ? 'catching up' : 'serving';
  }

  #reason(): string {
    if (this.#context.storeFailed) return 'the store failed; restart this node, which reads what is on disk';
    if (this.#participant.failure !== '') return this.#participant.failure;
    if (this.#catchUp.diverged !== null) {
      return `this copy is at ${showTip(this.#catchUp.diverged.tip)}, which is not on the master's chain; adopt it at the master, or discard it here`;
    }
    if (this.#reign.hasLease()) return '';
    if (!this.#context.hearsMaster()) return 'no master is heard';
    if (this.#context.slot === null) return 'the master has not welcomed this node yet';
    return this.#catchUp.isBehind ? 'behind what the master has committed' : 'the lease ran out';
  }
}
