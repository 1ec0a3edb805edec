import type { Epoch, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { ClockEstimate } from '../../../shared/protocol/clock/clock-estimate.js';
import { noEpoch } from '../../../shared/protocol/kernel/ids.js';
import type { Random } from '../../../shared/protocol/kernel/random.js';
import { seededRandom } from '../../../shared/protocol/kernel/random.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import { Timers } from '../../../shared/protocol/kernel/timers.js';
import type { HealPermission, Message } from '../../../shared/protocol/wire/messages.js';
import type { SlaveCoreEvents } from './events.js';
import type { SlaveConfig, SlaveEffect, Token } from './io.js';
import type { ScheduledChange } from './staged.js';

export type SlaveTimer =
  | 'join'
  | 'vote'
  | 'request'
  | 'inquiry'
  | 'status'
  | 'acknowledgement'
  | 'commit again'
  | 'clock'
  | 'clock vote'
  | 'activation';

/** What the parts of a slave's core share: the facts about the reign, and the way out for effects. */
export class SlaveContext {
  readonly timers = new Timers<SlaveTimer>();
  readonly random: Random;
  /** Group time, as far as this node knows it; driven by `ClockSync`. */
  readonly clock = new ClockEstimate();
  nowMs = 0;
  /** The newest reign that this slave is durably bound to. */
  promised: Epoch = noEpoch;
  /** The leading master of `promised`, once heard. */
  master: Peer | null = null;
  masterHeardMs = -Infinity;
  /** The place in voter bitmaps, given by the welcome of this reign. */
  slot: number | null = null;
  leaseMs: number;
  heal: HealPermission = 'nobody';
  /** Live members, as far as heartbeats tell: what back-offs scale with. */
  groupSize = 1;
  /** A store write failed: what is on disk is for the next process to read. No vote, no commit, no promise any more. */
  storeFailed = false;
  #effects: SlaveEffect[] = [];
  #nextToken = 1;

  constructor(readonly config: SlaveConfig) {
    this.random = seededRandom(config.seed);
    this.leaseMs = config.maxLeaseMs;
  }

  get durable(): boolean {
    return this.config.durability === 'disk';
  }

  token(): Token {
    return this.#nextToken++;
  }

  emit(effect: SlaveEffect): void {
    this.#effects.push(effect);
  }

  takeEffects(): SlaveEffect[] {
    const taken = this.#effects;
    this.#effects = [];
    return taken;
  }

  send(to: Peer | 'all', message: Message): void {
    this.emit({ kind: 'send', to, epoch: this.promised, message });
  }

  sendToMaster(message: Message): void {
    if (this.master !== null) this.send(this.master, message);
  }

  /** It may share a datagram with what follows from whatever else has arrived by now. */
  sendToMasterGathered(message: Message): void {
    if (this.master !== null)
      this.emit({ kind: 'send', to: this.master, epoch: this.promised, message, gathers: true });
  }

  /** What isn't to be durable is written nowhere: nobody would read it, and the core has it in memory. */
  persist(operations: readonly StoreOperation[], durable: boolean): Token {
    const token = this.token();
    this.emit({ kind: 'persist', token, operations: durable ? operations : [], durable });
    return token;
  }

  event<Name extends keyof SlaveCoreEvents>(
    name: Name,
    level: SlaveCoreEvents[Name]['level'],
    fields: SlaveCoreEvents[Name]['fields'],
  ): void {
    this.emit({ kind: 'event', event: { name, level, fields } });
  }

  /** True while a leading master of this slave's reign has been heard within a lease. */
  hearsMaster(): boolean {
    return this.master !== null && this.nowMs - this.masterHeardMs < this.leaseMs;
  }
}

/** What the participant tells the other parts. */
export interface ParticipantListener {
  /** Readers see a scheduled change from now on. */
  onActivated(scheduled: ScheduledChange, atMs: number): void;
  /** A new state is durable and exposed. */
  onExposed(tip: Tip): void;
  /** A vote leaves, which tells what is exposed. */
  onVoted(): void;
  /** A state was named as committed by this reign's master. */
  onCommittedHeardOf(tip: Tip): void;
  /** The copy goes where only an operator said that it should. */
  onOperatorCommitted(): void;
}
