import type { Epoch, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, sameIncarnation, sameTip } from '../../../shared/protocol/kernel/ids.js';
import { BoundedMap } from '../../../shared/protocol/kernel/bounded.js';
import { countBits, hasBit } from '../../../shared/protocol/kernel/bitmap.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type {
  ActivationReport,
  ArmingReport,
  Heartbeat,
  HeartbeatEcho,
  Message,
  SlaveState,
  Welcome,
} from '../../../shared/protocol/wire/messages.js';
import type { SlaveContext } from './context.js';
import type { Token } from './io.js';
import type { Participant } from './participant.js';
import { slaveKeys } from './records.js';

const refuseEveryMs = 20;

/** What the reign needs to know of the rest to give an account of the slave. */
export interface Account {
  readonly state: SlaveState;
  readonly repairs: number;
  readonly snapshots: number;
  readonly arming: ArmingReport | null;
  readonly activation: ActivationReport | null;
}

/** Which master this slave is bound to: promises, joining, leases and statuses. */
export class Reign {
  leaseUntilMs = 0;
  /** The newest heartbeat of this reign; older ones that arrive late are ignored. */
  #heartbeatSequence = 0;
  #echo: Omit<HeartbeatEcho, 'slaveSentMs'> | null = null;
  /** A lease that holds once this state is exposed here. */
  #leaseOnceExposed: { readonly untilMs: number; readonly tip: Tip | null } | null = null;
  #awaited: Tip | null = null;
  /** When the heartbeats were heard that statuses echoed; at 0, when the first status left before any was heard. */
  readonly #echoedMs = new BoundedMap<number, number>(limits.acknowledgedHeartbeats);
  /** False: a status that echoed nothing may have left before the machine slept, so that none counts any more. */
  #mayEchoNothing = true;
  /** Up to this one, heartbeats may speak of who had this name and slot before. */
  #strangeHeartbeats = 0;
  #statusSequence = 0;
  /** A promise on its way to disk, and the message that led to it. */
  #promising: { readonly token: Token; readonly epoch: Epoch; readonly from: Peer; readonly message: Message } | null =
    null;
  #joinDelayMs: number = limits.joinMinMs;
  #refusedMs = -Infinity;
  #welcomedMs = -Infinity;
  #acknowledgedMs = -Infinity;

  constructor(
    private readonly context: SlaveContext,
    private readonly participant: Participant,
    private readonly account: () => Account,
    /** A status leaves; what goes with it shares its datagram. */
    private readonly onStatus: () => void,
  ) {}

  start(): void {
    this.#sendJoin();
  }

  /** True when the slave may call itself current: within its lease, which only an exposed tip renews (G12). */
  hasLease(): boolean {
    return this.context.nowMs < this.leaseUntilMs;
  }

  /** An older reign changes nothing, on any message kind (G7). Its master learns of the newer one. */
  refuse(from: Peer): void {
    if (this.context.nowMs - this.#refusedMs < refuseEveryMs) return;
    this.#refusedMs = this.context.nowMs;
    this.#sendPromise(from, false);
  }

  /** A newer reign: bound durably first, then obeyed. Messages that come meanwhile are dropped; they come again. */
  promise(from: Peer, epoch: Epoch, message: Message): void {
    if (this.#promising !== null && compareEpochs(epoch, this.#promising.epoch) <= 0) return;
    const record = { promised: epoch };
    const put = { kind: 'put', key: slaveKeys.record(this.context.config.dataSet), value: record } as const;
    // Durable in every mode: `durability: memory` never waives promises.
    this.#promising = { token: this.context.persist([put], true), epoch, from, message };
  }

  /** The promise is durable. Returns the message that asked for it, to be handled now. */
  onPersisted(token: Token): { readonly from: Peer; readonly message: Message } | null {
    if (this.#promising === null || this.#promising.token !== token) return null;
    const { epoch, from, message } = this.#promising;
    this.#promising = null;
    this.context.promised = epoch;
    this.context.master = null;
    this.context.slot = null;
    this.context.heal = 'nobody';
    this.#heartbeatSequence = 0;
    this.#forgetHeartbeats();
    this.#mayEchoNothing = true;
    // What an older reign lent is over: the new one may commit without this node from now on.
    this.leaseUntilMs = 0;
    this.context.event('promised', 'info', { epoch: epoch.number, to: from.node });
    this.#sendPromise(from, true);
    return { from, message };
  }

  onClaim(from: Peer): void {
    this.#sendPromise(from, true); // of this very epoch: granted already, and durable
  }

  /** Called for every message of the promised epoch: its claimant leads. */
  hearMaster(from: Peer): void {
    const isNew = this.context.master === null;
    this.context.master = from;
    this.context.masterHeardMs = this.context.nowMs;
    if (isNew) {
      this.context.event('master heard', 'info', { master: from.node, epoch: this.context.promised.number });
      this.#joinDelayMs = limits.repairMinMs;
      this.#sendJoin();
    }
  }

  onMasterLeft(): void {
    this.context.master = null;
    this.context.event('master left', 'info', { epoch: this.context.promised.number });
  }

  /** False when it is for another process, or says what is known. */
  onWelcome(welcome: Welcome): boolean {
    // G12: what another process was told at this address says nothing of this one's leases.
    if (!sameIncarnation(welcome.member, this.context.config.incarnation)) return false;
    if (this.context.slot === welcome.slot) return false;
    this.context.slot = welcome.slot;
    this.#strangeHeartbeats = welcome.heartbeat;
    this.context.leaseMs = welcome.leaseMs;
    this.#welcomedMs = this.context.nowMs;
    this.#acknowledgedMs = this.context.nowMs;
    this.context.timers.clear('join');
    this.context.event('welcomed', 'info', { slot: welcome.slot, epoch: this.context.promised.number });
    this.sendStatus();
    return true;
  }

  /** False: an older heartbeat that comes late. */
  onHeartbeat(heartbeat: Heartbeat): boolean {
    if (heartbeat.sequence <= this.#heartbeatSequence) return false;
    this.#heartbeatSequence = heartbeat.sequence;
    this.#echo = { sequence: heartbeat.sequence, masterSentMs: heartbeat.sentMs, slaveReceivedMs: this.context.nowMs };
    this.context.leaseMs = heartbeat.leaseMs;
    this.context.heal = heartbeat.heal;
    const members = heartbeat.acknowledged.reduce((sum, { slots }) => sum + countBits(slots), 0);
    this.context.groupSize = Math.max(1, members);
    this.#renewLease(heartbeat);
    this.#checkMembership();
    if (heartbeat.asks || !this.hasLease()) this.#scheduleStatus(heartbeat.nextInMs);
    return true;
  }

  /** Somebody waits until this state is exposed everywhere: its acknowledgement goes at once. */
  acknowledgeAtOnce(tip: Tip): void {
    this.#awaited = tip;
  }

  onExposed(tip: Tip): void {
    const waiting = this.#leaseOnceExposed;
    if (waiting !== null && sameTip(waiting.tip, tip)) {
      this.#leaseOnceExposed = null;
      this.leaseUntilMs = Math.max(this.leaseUntilMs, waiting.untilMs);
    }
    if (sameTip(this.#awaited, tip)) {
      this.#awaited = null;
      this.sendStatus();
    } else this.context.timers.setEarlier('acknowledgement', this.context.nowMs + limits.acknowledgeMs);
  }

  /** The vote acknowledged what is exposed; should it get lost, the master repeats its commit, and a status follows. */
  onVoted(): void {
    this.context.timers.clear('acknowledgement');
  }

  /** The machine slept, and may have missed what the group replaced. */
  onSuspended(): void {
    this.leaseUntilMs = 0;
    this.#forgetHeartbeats();
    this.#mayEchoNothing = false;
    this.context.event('lease dropped', 'warn', { reason: 'the machine was suspended' });
  }

  sendStatus(): void {
    if (this.context.slot === null || this.context.storeFailed) return;
    this.context.timers.clear('status');
    this.context.timers.clear('acknowledgement');
    this.#statusSequence += 1;
    this.#noteEcho();
    const account = this.account();
    this.context.sendToMaster({
      kind: 'status',
      sequence: this.#statusSequence,
      tip: this.participant.tip,
      prepared: this.participant.prepared,
      state: account.state,
      echo: this.#echo === null ? null : { ...this.#echo, slaveSentMs: this.context.nowMs },
      windowBytes: this.context.config.windowBytes,
      repairs: account.repairs,
      snapshots: account.snapshots,
      arming: account.arming,
      activation: account.activation,
    });
    this.onStatus();
  }

  onTick(): void {
    const { timers, nowMs } = this.context;
    if (timers.takeDue('status', nowMs) || timers.takeDue('acknowledgement', nowMs)) this.sendStatus();
    if (timers.takeDue('join', nowMs)) this.#sendJoin();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #noteEcho(): void {
    if (this.#echo !== null) this.#echoedMs.set(this.#echo.sequence, this.#echo.slaveReceivedMs);
    else if (this.#mayEchoNothing && !this.#echoedMs.has(0)) this.#echoedMs.set(0, this.context.nowMs);
  }

  /** A lease counts from none of those that were heard so far. */
  #forgetHeartbeats(): void {
    this.#echo = null;
    this.#echoedMs.clear();
    this.#leaseOnceExposed = null;
  }

  #sendPromise(to: Peer, granted: boolean): void {
    this.context.send(to, {
      kind: 'promise',
      granted,
      promised: this.context.promised,
      claimantLeads: this.context.hearsMaster(),
      tip: this.participant.tip,
      prepared: this.participant.prepared,
    });
  }

  #sendJoin(): void {
    if (this.context.slot !== null || this.context.storeFailed) return;
    const { master } = this.context;
    this.context.send(master ?? 'all', {
      kind: 'join',
      tip: this.participant.tip,
      promised: this.context.promised,
      prepared: this.participant.prepared,
    });
    this.context.timers.set('join', this.context.nowMs + this.#joinDelayMs * (1 + this.context.random.next() / 2));
    // Without a master in sight the first of its heartbeats brings the next join, however long it was silent.
    const slowestMs = master === null ? limits.joinMaxMs : limits.heartbeatSlowMs;
    this.#joinDelayMs = Math.min(this.#joinDelayMs * (master === null ? 3 : 2), slowestMs);
  }

  /**
   * G12: counted from when the heartbeat was heard whose echo is acknowledged, which was before the master got the status;
   * holds once this heartbeat's tip is exposed here.
   */
  #renewLease(heartbeat: Heartbeat): void {
    const { slot } = this.context;
    if (slot === null || heartbeat.sequence <= this.#strangeHeartbeats) return;
    const acknowledged = heartbeat.acknowledged.find(({ slots }) => hasBit(slots, slot));
    if (acknowledged === undefined) return;
    this.#acknowledgedMs = this.context.nowMs;
    const heardMs = this.#echoedMs.get(acknowledged.heartbeat);
    if (heardMs === undefined) return;
    const untilMs = heardMs + heartbeat.leaseMs;
    if (sameTip(heartbeat.tip, this.participant.tip)) this.leaseUntilMs = Math.max(this.leaseUntilMs, untilMs);
    else this.#leaseOnceExposed = { untilMs, tip: heartbeat.tip };
  }

  /** A master that acknowledges nothing for two leases doesn't know this member (any more): join again. */
  #checkMembership(): void {
    const sinceMs = Math.max(this.#acknowledgedMs, this.#welcomedMs);
    if (this.context.slot !== null && this.context.nowMs - sinceMs > 2 * this.context.leaseMs) {
      this.context.slot = null;
      this.#joinDelayMs = limits.repairMinMs;
    }
    if (this.context.slot === null && !this.context.timers.isSet('join')) this.#sendJoin();
  }

  /** Small groups answer at once; large ones spread their statuses over a quarter of the heartbeat's interval. */
  #scheduleStatus(nextInMs: number): void {
    if (this.context.groupSize <= limits.promptRepairMembers) {
      this.sendStatus();
      return;
    }
    this.context.timers.setEarlier('status', this.context.nowMs + this.context.random.next() * (nextInMs / 4));
  }
}
