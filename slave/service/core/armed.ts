import { hasBit } from '../../../shared/protocol/kernel/bitmap.js';
import type { RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch, sameRound, sameTip } from '../../../shared/protocol/kernel/ids.js';
import { showInstant } from '../../../shared/protocol/kernel/instants.js';
import { invariant } from '../../../shared/protocol/kernel/invariant.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { ActivationReport, ArmingNote, ArmingReport } from '../../../shared/protocol/wire/messages.js';
import type { SlaveContext } from './context.js';
import type { Showing, Token } from './io.js';
import type { Participant } from './participant.js';
import type { ArmingMark } from './records.js';
import { isArmed, type ScheduledChange, type Staged } from './staged.js';
import type { ArmedHereView } from './view.js';

export interface ArmedListener {
  /** Something is on disk that the master waits for. */
  sendStatus(): void;
  /** The group time is to be known well at this instant; null: at none. */
  expect(instantMs: number | null): void;
}

/** `unknown`: the instant may have come, and the clock is too uncertain to say. */
type Moment = 'ahead' | 'come' | 'unknown';

/**
 * A scheduled change between its decision and its instant. Told that it is decided, this slave marks its prepared record on
 * disk and reports it; at the instant, by its own measure of the group time, it exposes the change and asks nobody. It doesn't
 * guess: while it can't tell whether the instant has come, it waits, and isn't current.
 */
export class Armed {
  /** The newest change that was exposed at an instant. */
  activation: ActivationReport | null = null;
  /** The newest note that isn't on disk yet. */
  #wanted: { readonly round: RoundId; readonly order: number; readonly armed: boolean } | null = null;
  #write: { readonly token: Token; readonly staged: Staged; readonly mark: ArmingMark } | null = null;
  #saidThatItWaits = false;
  #expectedMs: number | null = null;

  constructor(
    private readonly context: SlaveContext,
    private readonly participant: Participant,
    private readonly listener: ArmedListener,
  ) {}

  /** For statuses: what is on disk about the newest arming of this reign. */
  get report(): ArmingReport | null {
    const scheduled = this.participant.activating ?? this.#staged();
    if (scheduled === null || scheduled.mark === null) return null;
    const { round, mark } = scheduled;
    return sameEpoch(mark.reign, this.context.promised) ? { round, order: mark.order, armed: mark.armed } : null;
  }

  onNewReign(): void {
    this.#wanted = null;
  }

  /** `isAsked`: the master repeats it since it hasn't heard the answer. */
  onNote(note: ArmingNote, isAsked: boolean): void {
    const staged = this.participant.find(note.round);
    if (staged === undefined || this.#ignoreNote(note, staged)) return;
    const known = this.#knownOrder(staged);
    if (note.order > known) this.#wanted = { round: note.round, order: note.order, armed: note.armed };
    else if (isAsked && note.order === known && this.#write === null) this.listener.sendStatus();
  }

  #ignoreNote({ voters, to, activateAtMs }: ArmingNote, staged: Staged): boolean {
    const { slot } = this.context;
    if (slot === null || !hasBit(voters, slot)) return true; // its yes wasn't counted: nobody would ask it before a cancellation
    if (!sameTip(staged.change.to, to) || staged.activateAtMs !== activateAtMs) return true;
    return staged.decided !== null;
  }

  /** Of the newest note of this reign that was heeded, or is being. */
  #knownOrder(staged: Staged): number {
    if (this.#wanted !== null && sameRound(this.#wanted.round, staged.round)) return this.#wanted.order;
    const mark = this.#write?.staged === staged ? this.#write.mark : staged.mark;
    return mark !== null && sameEpoch(mark.reign, this.context.promised) ? mark.order : 0;
  }

  /** True when the write was a mark's. */
  onPersisted(token: Token): boolean {
    if (this.#write === null || this.#write.token !== token) return false;
    const { staged, mark } = this.#write;
    this.#write = null;
    // Settled meanwhile, its record is removed; decided meanwhile, it is on its way to readers.
    if (!this.participant.staged.includes(staged) || staged.decided !== null) return true;
    staged.mark = mark;
    const { version } = staged.change.to;
    if (mark.armed && staged.activateAtMs !== null) {
      const at = showInstant(staged.activateAtMs);
      this.context.event('armed', 'info', { version, at, clockErrorMs: this.#errorMs() ?? 0 });
    } else this.context.event('disarmed', 'info', { version });
    if (sameEpoch(mark.reign, this.context.promised)) this.listener.sendStatus();
    return true;
  }

  onTick(): void {
    this.context.timers.takeDue('activation', this.context.nowMs); // `advance` follows every step
  }

  /** Looks at the clock and does what comes next. Called at the end of every step. */
  advance(): void {
    this.#mark();
    const staged = this.#staged();
    this.#expect(staged?.activateAtMs ?? null);
    if (staged === null || staged.activateAtMs === null || !isArmed(staged, this.context.promised)) {
      this.context.timers.clear('activation');
      return;
    }
    const moment = this.#moment(staged.activateAtMs);
    if (moment === 'come') {
      this.context.timers.clear('activation');
      this.participant.onCommitted(staged.change.to);
      return;
    }
    if (moment === 'unknown' && !this.#saidThatItWaits) {
      this.#saidThatItWaits = true;
      const { version } = staged.change.to;
      this.context.event('activation waits', 'warn', { version, clockErrorMs: this.#errorMs() });
    }
    this.#setTimer(staged.activateAtMs);
  }

  /** See `SlaveCore.showing`. Null while anything is in its way: then the change is looked at again when its time has come. */
  get showing(): Showing | null {
    const { participant, context } = this;
    const [staged] = participant.staged;
    if (staged === undefined || staged.activateAtMs === null || !isArmed(staged, context.promised)) return null;
    if (staged.phase !== 'prepared' || !participant.work.isIdle || participant.failure !== '') return null;
    if (staged.change.from !== null && !sameTip(staged.change.from, participant.tip)) return null;
    const atMs = context.clock.localMsOf(staged.activateAtMs, context.nowMs);
    if (atMs === null || atMs <= context.nowMs) return null;
    // It doesn't guess: unheard until then, the clock must still be known well enough.
    return context.clock.errorMs(atMs) <= limits.maxClockErrorMs ? { change: staged.change, atMs } : null;
  }

  onShown(to: Tip): void {
    this.context.timers.clear('activation');
    invariant(this.participant.onCommitted(to), `version ${to.version} was shown, and isn't staged`);
  }

  /** Readers see it, since `atMs` of the clock here. */
  onActivated({ round, to, activateAtMs }: ScheduledChange, atMs: number): void {
    this.#saidThatItWaits = false;
    const reading = this.context.clock.at(atMs);
    const clockErrorMs = this.#errorMs(atMs);
    this.activation = { round, exposedAtMs: reading?.bestMs ?? null, errorMs: clockErrorMs ?? 0 };
    const lateMs = reading === null ? null : toMicroseconds(reading.bestMs - activateAtMs);
    const { version } = to;
    if (lateMs === null || clockErrorMs === null || lateMs > limits.maxClockErrorMs)
      this.context.event('activated late', 'warn', { version, lateMs, clockErrorMs });
    else this.context.event('activated', 'info', { version, lateMs, clockErrorMs });
  }

  /** Empty: nothing that is due hides behind what readers see (G12, G16). */
  whyNotCurrent(): string {
    const { activating, isActivatingShown } = this.participant;
    if (activating !== null && !isActivatingShown) return `version ${activating.to.version} is due and being shown`;
    const staged = this.#staged();
    if (staged === null || staged.activateAtMs === null || !isArmed(staged, this.context.promised)) return '';
    const moment = this.#moment(staged.activateAtMs);
    if (moment === 'ahead') return '';
    const { version } = staged.change.to;
    if (moment === 'come') return `version ${version} is due`;
    const errorMs = this.#errorMs();
    const why = errorMs === null ? "the master's clock is not known here" : `this clock may be off by ${errorMs} ms`;
    return `version ${version} may be due, and ${why}`;
  }

  view(): ArmedHereView | null {
    const staged = this.#staged();
    if (staged === null || staged.activateAtMs === null) return null;
    const { round, change, activateAtMs } = staged;
    const reading = this.context.clock.at(this.context.nowMs);
    const inMs = reading === null ? null : activateAtMs - reading.bestMs;
    return { round, version: change.to.version, activateAtMs, armed: isArmed(staged, this.context.promised), inMs };
  }

  #expect(instantMs: number | null): void {
    if (instantMs === this.#expectedMs) return;
    this.#expectedMs = instantMs;
    this.listener.expect(instantMs);
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Scheduled changes go alone, so that there is one at most. */
  #staged(): Staged | null {
    return this.participant.staged.find(({ activateAtMs }) => activateAtMs !== null) ?? null;
  }

  #mark(): void {
    const wanted = this.#wanted;
    if (wanted === null || this.#write !== null) return;
    const staged = this.participant.find(wanted.round);
    if (staged === undefined || staged.decided !== null) this.#wanted = null;
    else if (staged.phase === 'prepared') {
      this.#wanted = null;
      const mark: ArmingMark = { reign: this.context.promised, order: wanted.order, armed: wanted.armed };
      const record = this.participant.recordOf(staged, mark);
      // G16: on disk before it is reported, either way.
      this.#write = { token: this.context.persist([record], this.context.durable), staged, mark };
    }
  }

  #moment(activateAtMs: number): Moment {
    const { clock, nowMs } = this.context;
    const reading = clock.at(nowMs);
    if (reading === null) return 'unknown';
    if (reading.earliestMs >= activateAtMs) return 'come';
    if (clock.errorMs(nowMs) > limits.maxClockErrorMs) return reading.latestMs >= activateAtMs ? 'unknown' : 'ahead';
    const localMs = clock.localMsOf(activateAtMs, nowMs);
    return localMs !== null && localMs <= nowMs ? 'come' : 'ahead';
  }

  #setTimer(activateAtMs: number): void {
    const { clock, nowMs, timers } = this.context;
    const reading = clock.at(nowMs);
    const localMs = clock.localMsOf(activateAtMs, nowMs);
    if (reading === null || localMs === null) timers.clear('activation');
    else if (localMs > nowMs) timers.set('activation', localMs + (this.showing === null ? 0 : limits.afterShowingMs));
    // Past it, and too uncertain: certain when even the earliest reading has passed it.
    else timers.set('activation', nowMs + Math.max(1, activateAtMs - reading.earliestMs));
  }

  #errorMs(atMs = this.context.nowMs): number | null {
    const errorMs = this.context.clock.errorMs(atMs);
    return errorMs === Infinity ? null : toMicroseconds(errorMs);
  }
}

function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
