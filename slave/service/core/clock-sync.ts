import { sameIncarnation } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { ClockAnswer } from '../../../shared/protocol/wire/messages.js';
import type { SlaveContext } from './context.js';

/** Requests whose answers may still come; later ones are passed over. */
const maxAwaited = 16;
/** A status that leaves takes along a request that is due within this, so that it needs no datagram of its own. */
const rideMs = limits.clockEveryMs / 5;

/**
 * Keeps this slave's idea of the group time (`context.clock`): a burst of requests when a master takes it in, then one now and
 * then, and many while an instant is near. What was learnt of one master says nothing of the next one's clock.
 */
export class ClockSync {
  /** When the requests left whose answers haven't come. */
  #awaited: number[] = [];
  #askedMs = -Infinity;
  #burst = 0;
  /** In a row, up to the newest. */
  #unanswered = 0;
  #era: number | null = null;
  /** Group time. */
  #instantMs: number | null = null;

  constructor(private readonly context: SlaveContext) {}

  /** Of the newest answer; 0 before the first of a reign. */
  get era(): number {
    return this.#era ?? 0;
  }

  /**
   * Something is to happen at this group time, so that it is to be known well by then: asked for often, from `limits.clockNearMs`
   * before it until as long after it, and soon when it isn't known well enough to arm anything. Null: nothing is.
   */
  expect(instantMs: number | null): void {
    this.#instantMs = instantMs;
    const { clock, timers, random, nowMs } = this.context;
    if (!timers.isSet('clock')) return;
    this.#schedule();
    if (instantMs === null || clock.errorMs(nowMs) <= limits.maxClockErrorMs) return;
    timers.setEarlier('clock', nowMs + random.next() * this.#turnMs(limits.clockNearAnswersPerSecond));
  }

  onWelcome(): void {
    this.#burst = limits.clockBurst;
    this.#unanswered = 0;
    this.#ask();
  }

  /** Another master, another clock. */
  onNewReign(): void {
    this.context.clock.forget();
    this.context.timers.clear('clock');
    this.#awaited = [];
    this.#burst = 0;
    this.#era = null;
  }

  /** The machine may have slept for so long: what is on its way took longer than the clock here says. */
  onClockJumped(byMs: number): void {
    this.context.clock.mayHaveStopped(byMs);
    this.#awaited = [];
    if (this.context.timers.isSet('clock'))
      this.context.timers.setEarlier('clock', Math.max(this.context.nowMs, this.#askedMs + limits.clockNearEveryMs));
  }

  /** A status leaves in this very step. */
  onStatus(): void {
    const { timers, nowMs } = this.context;
    if (this.#burst === 0 && timers.isDueBy('clock', nowMs + rideMs) && nowMs - this.#askedMs >= this.#spacingMs())
      this.#ask();
  }

  onTick(): void {
    if (this.context.timers.takeDue('clock', this.context.nowMs)) this.#ask();
  }

  onClock(answer: ClockAnswer): void {
    if (this.#ignoreClock(answer)) return;
    const { clock, nowMs } = this.context;
    this.#awaited = this.#awaited.filter((sentMs) => sentMs !== answer.requestSentMs);
    if (this.#era !== null && answer.era > this.#era) clock.forget();
    this.#era = answer.era;
    const wasUnknown = clock.errorMs(nowMs) === Infinity;
    const contradictions = clock.contradictions;
    const isSound = clock.sample({
      sentMs: answer.requestSentMs,
      remoteReceivedMs: answer.receivedMs,
      remoteSentMs: answer.sentMs,
      receivedMs: nowMs,
    });
    if (!isSound) return;
    this.#unanswered = 0;
    const errorMs = Math.round(clock.errorMs(nowMs) * 1000) / 1000;
    if (wasUnknown) this.context.event('clock known', 'debug', { errorMs, era: answer.era });
    else if (clock.contradictions > contradictions) this.context.event('clock contradicted', 'warn', { errorMs });
    if (this.#burst === 0) this.#schedule();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Not to this process, not to a request since the last sleep, or of before the master's last sleep. */
  #ignoreClock(answer: ClockAnswer): boolean {
    if (!sameIncarnation(answer.member, this.context.config.incarnation)) return true;
    return !this.#awaited.includes(answer.requestSentMs) || (this.#era !== null && answer.era < this.#era);
  }

  #ask(): void {
    const { context } = this;
    if (context.slot === null || context.storeFailed) return;
    const sentMs = context.nowMs;
    this.#askedMs = sentMs;
    this.#unanswered += 1;
    this.#burst = Math.max(0, this.#burst - 1);
    this.#awaited = [...this.#awaited.slice(1 - maxAwaited), sentMs];
    context.sendToMaster({ kind: 'clock-request', sentMs });
    this.#schedule();
  }

  #schedule(): void {
    const { timers, random } = this.context;
    timers.set('clock', this.#outsideQuiet(this.#askedMs + this.#spacingMs() * (1 + random.next() / 4)));
    // What is far away by now may come near before the next request is due.
    const nearMs = this.#nearFromMs();
    if (nearMs !== null && nearMs > this.context.nowMs) timers.setEarlier('clock', nearMs);
  }

  /** Around the instant the processors are for the switch: many nodes of a machine that ask and answer would take them from each other. */
  #outsideQuiet(wantedMs: number): number {
    const nearMs = this.#nearFromMs();
    const { clock, nowMs } = this.context;
    if (nearMs === null || clock.errorMs(nowMs) > limits.maxClockErrorMs / 2) return wantedMs;
    const instantMs = nearMs + limits.clockNearMs;
    const isQuiet = Math.abs(wantedMs - instantMs) < limits.clockQuietMs;
    return isQuiet ? instantMs + limits.clockQuietMs : wantedMs;
  }

  #spacingMs(): number {
    if (this.#isNear()) return Math.max(limits.clockNearEveryMs, this.#turnMs(limits.clockNearAnswersPerSecond));
    const wantedMs =
      this.#burst > 0
        ? limits.clockBurstMs
        : this.#unanswered > 0
          ? Math.min(limits.clockNearEveryMs * 2 ** (this.#unanswered - 1), limits.clockEveryMs)
          : limits.clockEveryMs;
    return Math.max(wantedMs, this.#turnMs(limits.clockAnswersPerSecond));
  }

  /** How long it takes until everybody has had a turn. Who has just come knows the size of the group by its own place in it. */
  #turnMs(answersPerSecond: number): number {
    const members = Math.max(this.context.groupSize, (this.context.slot ?? 0) + 1);
    return (members * 1000) / answersPerSecond;
  }

  #isNear(): boolean {
    const fromMs = this.#nearFromMs();
    return fromMs !== null && this.context.nowMs >= fromMs && this.context.nowMs <= fromMs + 2 * limits.clockNearMs;
  }

  /** Null: nothing is expected. At once while nobody knows when. */
  #nearFromMs(): number | null {
    if (this.#instantMs === null) return null;
    const { clock, nowMs } = this.context;
    const atMs = clock.localMsOf(this.#instantMs, nowMs);
    return atMs === null ? nowMs : atMs - limits.clockNearMs;
  }
}
