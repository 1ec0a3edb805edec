import type { Tip } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type {
  ArmingNote,
  Decision,
  HealPermission,
  LeaseAcknowledgement,
  OpenRoundNote,
} from '../../../shared/protocol/wire/messages.js';
import type { MasterContext } from './context.js';

/** What a heartbeat tells, gathered from the other parts at the moment of sending. */
export interface HeartbeatContent {
  readonly tip: Tip | null;
  readonly lowestOpenRound: number;
  readonly openRounds: readonly OpenRoundNote[];
  readonly recentDecisions: readonly Decision[];
  readonly heal: HealPermission;
  readonly acknowledged: readonly LeaseAcknowledgement[];
  readonly arming: ArmingNote | null;
}

/**
 * The master's pulse: quick after data, then slower. It alone heals everything: who lost every packet, or joined late,
 * learns from it where the group is (G9).
 */
export class Heartbeats {
  #sequence = 0;
  #sinceData = 0;
  /** The next one leaves no later than this, whatever leaves meanwhile. */
  #latestMs = 0;
  #askedMs = -Infinity;

  constructor(
    private readonly context: MasterContext,
    private readonly content: () => HeartbeatContent,
  ) {}

  /** Of the newest one that was sent; 0 when there was none. */
  get sequence(): number {
    return this.#sequence;
  }

  start(): void {
    this.soon();
  }

  /**
   * Data was sent: the next heartbeats come quickly, since a lost packet shows by them. While more data follows it does by
   * that as well, and heartbeats come only as often as leases need them.
   */
  afterData(): void {
    this.#sinceData = 0;
    this.context.timers.set('heartbeat', Math.min(this.context.nowMs + limits.heartbeatFastMs, this.#latestMs));
  }

  /** As soon as this step is over. */
  soon(): void {
    this.#sinceData = 0;
    this.#latestMs = this.context.nowMs;
    this.context.timers.set('heartbeat', this.context.nowMs);
  }

  onTick(): void {
    if (!this.context.timers.takeDue('heartbeat', this.context.nowMs) || !this.context.isLeading) return;
    this.#sequence += 1;
    const { nowMs, config } = this.context;
    const statusEveryMs = config.leaseMs / limits.statusesInLease;
    const intervalMs = this.#interval();
    const nextInMs = Math.max(intervalMs, statusEveryMs);
    const asks = nowMs - this.#askedMs >= statusEveryMs;
    if (asks) this.#askedMs = nowMs;
    this.#sinceData += 1;
    this.#latestMs = nowMs + nextInMs;
    this.context.send('all', {
      kind: 'heartbeat',
      sequence: this.#sequence,
      sentMs: nowMs,
      leaseMs: config.leaseMs,
      nextInMs,
      asks,
      ...this.content(),
    });
    this.context.timers.set('heartbeat', nowMs + intervalMs);
  }

  /** Four quick ones, then doubling; never slower than a quarter of a lease. */
  #interval(): number {
    const doublings = Math.max(0, this.#sinceData - limits.heartbeatFastCount + 1);
    const slowestMs = Math.min(limits.heartbeatSlowMs, this.context.config.leaseMs / 4);
    return Math.min(limits.heartbeatFastMs * 2 ** Math.min(doublings, 10), slowestMs);
  }
}
