import type { Tip } from '../../shared/protocol/kernel/ids.js';
import type { Outcome, ScheduledOutcome } from '../../shared/protocol/kernel/outcome.js';
import { LockstepError } from '../../shared/protocol/kernel/errors.js';
import { keyValueBounds as bounds } from '../../shared/protocol/key-value/bounds.js';
import { joinSegments } from '../../shared/protocol/key-value/change-codec.js';
import type { Clock } from '../../shared/runtime/ports.js';
import type { ReplicateOptions } from '../types.js';
import { blame } from './blame.js';
import { judge, type ConditionView } from './conditions.js';
import type { ChangeRefusal, ConditionFailure } from './key-value-types.js';
import {
  abortedOutcome,
  addTouched,
  sameOptions,
  touchedBy,
  touchedByAll,
  type OpenRound,
  type WaitingChange,
} from './waiting-change.js';

export interface ChangeQueueParts {
  /** One round. */
  readonly replicate: (options: ReplicateOptions) => Promise<ScheduledOutcome>;
  /** The committed version; 0 when there is none. */
  readonly committedVersion: () => number;
  /** The tip that already shows all that the change asks for; null when the change changes something. */
  readonly shownBy: (change: WaitingChange) => Tip | null;
  /** False under `durability: memory`. */
  readonly durable: boolean;
  /** The version that last touched a committed key; null when there is no such key. */
  readonly versionOfKey: (key: string) => number | null;
  /** The version that waits for its instant, and holds up what comes later; null when there is none. */
  readonly armedVersion: () => number | null;
  readonly clock: Clock;
}

type Aborted = Extract<Outcome, { kind: 'aborted' }>;

/**
 * Group commit: puts waiting changes together in rounds, keeps several rounds in flight, and gives each caller the
 * outcome of its own change.
 *
 * A change starts at once when nothing is in flight. While rounds are, the changes of one tick go together, and what
 * comes when all rounds are taken goes together in the next. After an abort nothing starts until everything in flight
 * has ended: what stood on the aborted round aborts as well, and goes again in the old order. Versions rise by one and
 * none is given twice.
 */
export class ChangeQueue {
  readonly #parts: ChangeQueueParts;
  /** By `order`. */
  #waiting: WaitingChange[] = [];
  #waitingBytes = 0;
  /** Oldest first; a decided one stays until its callers have their outcome. */
  readonly #rounds: OpenRound[] = [];
  #highestVersion = 0;
  #parting = 0;
  /** An abort is being worked off. */
  #draining = false;
  #scheduled = false;
  #closed = false;
  /** No change that waits has an earlier deadline. */
  #earliestMs = Infinity;
  #wakeAtMs = Infinity;
  #cancelWake: () => void = () => undefined;

  constructor(parts: ChangeQueueParts) {
    this.#parts = parts;
  }

  /** Throws `queue-full` when too much waits, `closed` after `close`. */
  submit(change: WaitingChange): void {
    if (this.#closed) throw new LockstepError('closed', 'the data set was unregistered');
    const isFull =
      this.#waiting.length >= bounds.maxWaitingChanges ||
      this.#waitingBytes + change.segment.length > bounds.maxWaitingBytes;
    if (isFull && this.#waiting.length > 0) {
      const waiting = `${this.#waiting.length} changes of ${this.#waitingBytes} bytes`;
      throw new LockstepError('queue-full', `${waiting} wait already; let some of them settle first`);
    }
    if (this.#settledByWhatIs(change)) return;
    this.#enqueue(change);
    if (this.#rounds.length === 0) this.#startRounds();
    else this.#schedule();
  }

  /**
   * Data that doesn't change gets no new version. Known only while nothing is on its way: what is in flight may still
   * abort, and a change that undoes it is one.
   */
  #settledByWhatIs(change: WaitingChange): boolean {
    if (this.#rounds.length > 0 || this.#waiting.length > 0 || change.conditions.length > 0) return false;
    const tip = this.#parts.shownBy(change);
    if (tip === null) return false;
    const votes = { yes: 0, no: 0, silent: 0 };
    const { operations } = change;
    change.settle({ kind: 'committed', tip, votes, durationMs: 0, durable: this.#parts.durable, operations });
    return true;
  }

  /** The caller's signal fired: a waiting change is taken out, a round of its own is aborted. */
  cancel(change: WaitingChange): void {
    change.cancelled = true;
    const place = this.#waiting.indexOf(change);
    if (place >= 0) {
      this.#waiting.splice(place, 1);
      this.#waitingBytes -= change.segment.length;
      change.settle(abortedOutcome('cancelled', this.#since(change)));
      return;
    }
    const round = this.#rounds.find((open) => open.members.includes(change));
    if (round?.members.every((member) => member.cancelled) === true) round.controller?.abort();
  }

  /** The round in flight of this version, until it is decided. */
  undecided(version: number): OpenRound | undefined {
    return this.#rounds.find((round) => round.version === version && !round.decided);
  }

  /** The state shows this version now: a place in the pipeline is free. */
  decided(version: number): void {
    const round = this.undecided(version);
    if (round !== undefined) {
      round.decided = true;
      if (round.armed) this.#rounds.splice(this.#rounds.indexOf(round), 1);
    }
    if (this.#waiting.length > 0) this.#schedule();
  }

  /** Of these nothing will show. Returns the changes whose callers were told that they are armed. */
  dropped(versions: readonly number[]): readonly WaitingChange[] {
    const armed = this.#rounds.filter((round) => round.armed && versions.includes(round.version));
    for (const round of armed) this.#rounds.splice(this.#rounds.indexOf(round), 1);
    if (this.#waiting.length > 0) this.#schedule();
    return armed.flatMap((round) => round.members);
  }

  /** Nothing starts any more; what waits is over. What is in flight is the service's to end. */
  close(reason: 'closed' | 'unregistered'): void {
    this.#closed = true;
    this.#cancelWake();
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const change of waiting) change.settle(abortedOutcome(reason, this.#since(change)));
  }

  /** At the end of the tick, so that the changes of one tick share a round. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#startRounds();
    });
  }

  #startRounds(): void {
    this.#expire();
    if (this.#draining && this.#undecidedRounds() === 0) this.#draining = false;
    while (
      !this.#closed &&
      !this.#draining &&
      this.#waiting.length > 0 &&
      this.#undecidedRounds() < bounds.maxOpenRounds
    ) {
      const before = this.#waiting.length;
      const members = this.#takeGroup();
      if (members.length > 0) this.#start(members);
      else if (this.#waiting.length === before) break;
    }
    this.#armWake();
  }

  #undecidedRounds(): number {
    let count = 0;
    for (const round of this.#rounds) if (!round.decided) count += 1;
    return count;
  }

  /** The next changes that may share a round, taken from the queue; none when the first one has to wait. */
  #takeGroup(): WaitingChange[] {
    const members: WaitingChange[] = [];
    let taken = 0;
    let bytes = 0;
    let operations = 0;
    let touched: Map<string, boolean> | null = null;
    for (const change of this.#waiting) {
      const [first] = members;
      if (first === undefined) {
        if (this.#isHeldUp(change)) break;
      } else {
        const isFull =
          bytes + change.segment.length > bounds.maxGroupBytes ||
          operations + change.operations > bounds.maxGroupOperations;
        if (isFull || !sameOptions(change.options, first.options) || change.part !== first.part) break;
      }
      if (change.conditions.length > 0) {
        touched ??= touchedByAll(members);
        const verdict = judge(change.conditions, this.#conditionView(touched));
        if (verdict.kind === 'wait') break;
        if (verdict.kind === 'fails') {
          taken += 1;
          this.#failConditions(change, verdict.failures);
          continue;
        }
      }
      taken += 1;
      members.push(change);
      bytes += change.segment.length;
      operations += change.operations;
      if (touched !== null) addTouched(touched, change);
    }
    for (const change of this.#waiting.splice(0, taken)) this.#waitingBytes -= change.segment.length;
    return members;
  }

  /**
   * One-phase and two-phase rounds don't overlap: the one would land on top of what may still abort. A scheduled one goes
   * alone, and holds up the others until its instant.
   */
  #isHeldUp(change: WaitingChange): boolean {
    if (this.#isBehindScheduled()) return true;
    if (change.options.activateAtMs !== undefined && this.#undecidedRounds() > 0) return true;
    return this.#rounds.some((round) => !round.decided && round.members[0]?.phases !== change.phases);
  }

  #isBehindScheduled(): boolean {
    if (this.#parts.armedVersion() !== null) return true;
    return this.#rounds.some((round) => !round.decided && isScheduled(round));
  }

  #failConditions(change: WaitingChange, failures: readonly ConditionFailure[]): void {
    change.settle({
      kind: 'aborted',
      reason: 'condition failed',
      refusals: [],
      failures,
      durationMs: this.#since(change),
    });
  }

  #conditionView(touched: ReadonlyMap<string, boolean>): ConditionView {
    return {
      committed: this.#parts.versionOfKey,
      inFlight: (key) => {
        const inGroup = touched.get(key);
        if (inGroup !== undefined) return { present: inGroup, version: null };
        for (let place = this.#rounds.length - 1; place >= 0; place -= 1) {
          const round = this.#rounds[place];
          if (round === undefined || round.decided) continue;
          const present = touchedBy(round).get(key);
          if (present !== undefined) return { present, version: round.version };
        }
        return undefined;
      },
    };
  }

  #start(members: readonly WaitingChange[]): void {
    const committed = this.#parts.committedVersion();
    const prior = Math.max(committed, ...this.#rounds.filter((round) => !round.decided).map((round) => round.version));
    const version = Math.max(this.#highestVersion, prior) + 1;
    this.#highestVersion = version;
    const bytes = joinSegments(members.map((member) => member.segment));
    const controller = members.every((member) => member.options.signal !== undefined) ? new AbortController() : null;
    const round: OpenRound = {
      version,
      prior,
      members,
      bytes,
      controller,
      touched: null,
      decided: false,
      armed: false,
    };
    this.#rounds.push(round);
    void this.#run(round);
  }

  async #run(round: OpenRound): Promise<void> {
    let end: { readonly outcome: ScheduledOutcome } | { readonly error: unknown };
    try {
      end = { outcome: await this.#parts.replicate(this.#replicateOptions(round)) };
    } catch (error) {
      end = { error };
    }
    const isArmed = 'outcome' in end && end.outcome.kind === 'armed' && !round.decided;
    // One that is armed stays in flight: until its instant, or until it is dropped.
    if (isArmed) round.armed = true;
    else if (this.#rounds.includes(round)) this.#rounds.splice(this.#rounds.indexOf(round), 1);
    if ('error' in end) this.#onRejected(round, end.error);
    else this.#onOutcome(round, end.outcome);
    if (this.#waiting.length > 0) this.#schedule();
  }

  #replicateOptions(round: OpenRound): ReplicateOptions {
    const { options, phases } = round.members[0] as WaitingChange;
    const nowMs = this.#parts.clock.monotonicMs();
    // The first of them to run out of time ends the round: each caller's deadline is definite.
    let timeoutMs = Infinity;
    for (const member of round.members) timeoutMs = Math.min(timeoutMs, member.deadlineMs - nowMs);
    return {
      version: round.version,
      prior: round.prior,
      delta: round.bytes,
      operations: round.members.reduce((sum, member) => sum + member.operations, 0),
      timeoutMs: Math.max(1, timeoutMs),
      phases,
      voters: options.voters,
      commitBy: options.commitBy,
      abortBy: options.abortBy,
      wait: options.wait,
      activateAt: options.activateAtMs,
      signal: round.controller?.signal,
    };
  }

  #onOutcome(round: OpenRound, outcome: ScheduledOutcome): void {
    switch (outcome.kind) {
      case 'committed':
        for (const member of round.members) {
          const { tip, votes, durable } = outcome;
          const durationMs = this.#since(member);
          member.settle({ kind: 'committed', tip, votes, durationMs, durable, operations: member.operations });
        }
        return;
      case 'armed':
        for (const member of round.members) {
          member.settle({ ...outcome, durationMs: this.#since(member), operations: member.operations });
        }
        return;
      case 'unknown':
        for (const member of round.members) member.settle({ ...outcome, durationMs: this.#since(member) });
        return;
      default:
        this.#onAborted(round, outcome);
    }
  }

  #onAborted(round: OpenRound, outcome: Aborted): void {
    this.#draining = true;
    switch (outcome.reason) {
      case 'prior aborted':
        this.#goAgain(round.members);
        return;
      case 'refused':
        this.#onRefused(round.members, outcome);
        return;
      case 'timeout': {
        // Who joined late has most of its time left, and shares the round only by chance.
        const nowMs = this.#parts.clock.monotonicMs();
        const isFresh = (member: WaitingChange): boolean =>
          member.deadlineMs - nowMs > (member.deadlineMs - member.submittedMs) / 2;
        const { blamed } = blame(round.members, outcome.refusals);
        const silent = round.members.length === 1 ? [] : silences(outcome);
        for (const member of round.members.filter((each) => !isFresh(each))) {
          this.#abort(member, 'timeout', [...silent, ...(blamed.get(member) ?? [])]);
        }
        this.#goAgain(round.members.filter(isFresh));
        return;
      }
      case 'cancelled':
        for (const member of round.members) {
          // A scheduled one was taken back by somebody who meant all of it.
          if (member.cancelled || isScheduled(round)) this.#abort(member, 'cancelled');
        }
        if (isScheduled(round)) return;
        this.#goAgain(round.members.filter((member) => !member.cancelled));
        return;
      default:
        for (const member of round.members) this.#abort(member, outcome.reason, outcome.refusals);
    }
  }

  /** Each caller hears of a veto of its own operations; the others go again without them. */
  #onRefused(members: readonly WaitingChange[], outcome: Aborted): void {
    const { blamed, clear } = blame(members, outcome.refusals);
    for (const [member, refusals] of blamed) this.#abort(member, 'refused', refusals);
    if (blamed.size === 0) {
      // Nobody said which: halves find it in a few rounds.
      this.#parting += 2;
      clear.forEach((member, place) => {
        member.part = this.#parting + (place < clear.length / 2 ? 0 : 1);
      });
    }
    this.#goAgain(clear);
  }

  #onRejected(round: OpenRound, error: unknown): void {
    this.#draining = true;
    // Refused for what an abort ahead of it did, so it never began: that is no fault of the caller.
    const isOvertaken =
      error instanceof LockstepError &&
      error.code === 'prior-not-current' &&
      round.prior > this.#parts.committedVersion();
    if (isOvertaken) this.#goAgain(round.members);
    else if (error instanceof LockstepError && error.code === 'aborted-by-caller') {
      for (const member of round.members) this.#abort(member, 'cancelled');
    } else for (const member of round.members) member.fail(error);
  }

  /** Back to its place in the queue, unless its time is up. */
  #goAgain(members: readonly WaitingChange[]): void {
    if (members.length === 0) return;
    const nowMs = this.#parts.clock.monotonicMs();
    for (const member of members) {
      if (member.cancelled) this.#abort(member, 'cancelled');
      else if (this.#closed) this.#abort(member, 'unregistered');
      else if (member.deadlineMs <= nowMs) this.#abort(member, 'timeout');
      else this.#enqueue(member);
    }
    this.#waiting.sort((a, b) => a.order - b.order);
  }

  #abort(member: WaitingChange, reason: Aborted['reason'], refusals: readonly ChangeRefusal[] = []): void {
    member.settle(abortedOutcome(reason, this.#since(member), refusals));
  }

  #enqueue(change: WaitingChange): void {
    this.#waiting.push(change);
    this.#waitingBytes += change.segment.length;
    this.#earliestMs = Math.min(this.#earliestMs, change.deadlineMs);
  }

  #expire(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs < this.#earliestMs) return;
    const kept: WaitingChange[] = [];
    this.#earliestMs = Infinity;
    for (const change of this.#waiting) {
      if (change.deadlineMs > nowMs) {
        kept.push(change);
        this.#earliestMs = Math.min(this.#earliestMs, change.deadlineMs);
        continue;
      }
      this.#waitingBytes -= change.segment.length;
      this.#abort(change, this.#isBehindScheduled() ? 'behind an armed change' : 'timeout');
    }
    this.#waiting = kept;
  }

  /** One timer, while something waits, never later than the earliest deadline; a spurious one does nothing. */
  #armWake(): void {
    if (this.#waiting.length === 0) this.#earliestMs = Infinity;
    if (this.#earliestMs === this.#wakeAtMs) return;
    this.#cancelWake();
    this.#cancelWake = () => undefined;
    this.#wakeAtMs = this.#earliestMs;
    if (this.#wakeAtMs === Infinity || this.#closed) return;
    this.#cancelWake = this.#parts.clock.at(this.#wakeAtMs, () => {
      this.#wakeAtMs = Infinity;
      this.#startRounds();
    });
  }

  #since(change: WaitingChange): number {
    return this.#parts.clock.monotonicMs() - change.submittedMs;
  }
}

function isScheduled(round: OpenRound): boolean {
  return round.members[0]?.options.activateAtMs !== undefined;
}

/** Nodes that named no operation: at a deadline, mostly those that said nothing at all. */
function silences(outcome: Aborted): readonly ChangeRefusal[] {
  return outcome.refusals.filter((refusal) => refusal.operations === undefined || refusal.operations.length === 0);
}
