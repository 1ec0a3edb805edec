import { bitmapOf } from '../../../shared/protocol/kernel/bitmap.js';
import type { DataSetId, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameRound, sameTip } from '../../../shared/protocol/kernel/ids.js';
import { showInstant } from '../../../shared/protocol/kernel/instants.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { Outcome, ScheduledOutcome } from '../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { ArmingNote } from '../../../shared/protocol/wire/messages.js';
import { Activations } from './activations.js';
import type { Armed } from './armed-change.js';
import { isToSwitch, recordOf } from './armed-change.js';
import { ArmingReports } from './arming-reports.js';
import { ArmingTimes } from './arming-times.js';
import type { MasterContext } from './context.js';
import type { Aborted, Committed } from './delivery.js';
import { isForAll } from './delivery.js';
import type { History } from './history.js';
import type { Token } from './io.js';
import type { Member, Members } from './members.js';
import type { ArmedRecord } from './records.js';
import { masterKeys } from './records.js';
import type { RoundLog, RoundRecord } from './round-log.js';
import type { Round } from './round.js';
import { tallyOf } from './round.js';
import type { ActivationView, ArmedView } from './view.js';

export interface ArmingsListener {
  gateMs(): number;
  /** It is committed: everybody is told. */
  onCommitted(committed: Committed, outcome: Outcome): void;
  /** It was taken back, durably; `settle` tells the callers once the original is back. */
  onWithdrawn(aborted: Aborted, settle: () => void): void;
}

/**
 * Scheduled changes from their decision to their instant; one at a time, since what comes later queues behind it. The tip
 * stays where it was meanwhile. Who is armed exposes the change at the instant without a word from here; no lease of anybody
 * else reaches that instant, so that nobody is current with the old state when the others switch (G12, G16).
 */
export class Armings {
  #armed: Armed | null = null;
  /** The decision is on its way to disk: from now on no lease may reach that instant. */
  #decidingMs: number | null = null;
  #recovered: { readonly write: Token; readonly then: () => void } | null = null;
  readonly #activations: Activations;
  readonly #reports: ArmingReports;
  readonly times: ArmingTimes;

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    private readonly members: Members,
    private readonly log: RoundLog,
    private readonly listener: ArmingsListener,
    private readonly onDisk: ArmedRecord | null,
  ) {
    this.#activations = new Activations(context);
    this.#reports = new ArmingReports(members);
    this.times = new ArmingTimes(context, members);
  }

  /** What was armed when the process before this one ended still is. */
  recover(): void {
    if (this.onDisk !== null) this.#hold(this.onDisk, null);
  }

  /** Where the group goes at the instant; null when nothing is armed. */
  get tip(): Tip | null {
    return this.#armed?.record.change.to ?? null;
  }

  holds(round: RoundId): boolean {
    return this.#armed !== null && sameRound(this.#armed.record.round, round);
  }

  // ── arming ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What makes the decision durable. */
  recordOf(round: Round, activateAtMs: number): StoreOperation[] {
    this.#decidingMs = activateAtMs;
    const value = recordOf(round, activateAtMs);
    return [{ kind: 'put', key: masterKeys.armed(this.context.config.dataSet), value }];
  }

  /** The decision is durable. */
  begin(round: Round, activateAtMs: number): void {
    this.#decidingMs = null;
    const armed = this.#hold(recordOf(round, activateAtMs), round);
    this.context.event('armed', 'info', {
      version: round.change.to.version,
      at: showInstant(activateAtMs),
      voters: armed.record.voters.length,
    });
    this.#send(armed);
    this.#check();
  }

  #hold(record: ArmedRecord, round: Round | null): Armed {
    const { nowMs } = this.context;
    const { change, activateAtMs, voters, operations } = record;
    const startedMs = round?.startedMs ?? nowMs;
    this.history.armedTip = change.to;
    const armed: Armed = {
      record,
      log: round?.record ?? this.#recoveredLog(record, operations),
      delivery: round?.replication ?? { commitBy: 'multicast', abortBy: 'multicast' },
      votes: round === null ? { yes: voters.length, no: 0, silent: 0 } : tallyOf(round),
      startedMs,
      phase: 'armed',
      order: 1,
      caller: round === null ? null : { command: round.command, wait: round.replication.wait },
      settleByMs: round?.deadlineMs ?? nowMs,
      cancelling: null,
      write: null,
      retryMs: Infinity,
      retryDelayMs: 0,
      retryUntilMs: 0,
      isShownElsewhere: false,
      wasArmedEverywhere: false,
    };
    this.#armed = armed;
    this.log.onArmed(armed.log, { atMs: activateAtMs, of: voters.length }, nowMs);
    return armed;
  }

  #recoveredLog({ round, change }: ArmedRecord, operations: number | null): RoundRecord {
    const { epoch, number } = round;
    const { version } = change.to;
    const bytes = change.bytes.byteLength;
    return this.log.begin(
      { epoch, number, version, phases: 'two', startedMs: this.context.nowMs, operations, bytes },
      [],
    );
  }

  /** A reign begins: the slaves of it are told anew, and answer for it. A cancellation of the one before didn't end. */
  onLeading(): void {
    const armed = this.#armed;
    if (armed === null) return;
    if (armed.phase === 'cancelling') this.#settleStanding(armed);
    if (armed.phase === 'cancelling' || armed.phase === 'armed') {
      armed.phase = 'armed';
      armed.order = 1;
      armed.wasArmedEverywhere = false;
      const { change, activateAtMs, voters } = armed.record;
      this.context.event('arming carried over', 'info', {
        version: change.to.version,
        at: showInstant(activateAtMs),
        voters: voters.length,
      });
      this.#send(armed);
    }
    this.#check();
  }

  /** What heartbeats say of it, until it is committed: a copy that shows it already is on its way, and not elsewhere. */
  note(): ArmingNote | null {
    const armed = this.#armed;
    if (armed === null) return null;
    const { round, change, activateAtMs } = armed.record;
    const slots = this.#reports.voters(armed).map(({ slot }) => slot);
    const isArmed = isToSwitch(armed);
    return { round, to: change.to, activateAtMs, voters: bitmapOf(slots), order: armed.order, armed: isArmed };
  }

  /** G12: no lease of whoever isn't armed reaches the earliest moment at which somebody may switch. */
  mayRenew(member: Member, endsMs: number): boolean {
    const armed = this.#armed;
    const activateAtMs = armed?.record.activateAtMs ?? this.#decidingMs;
    if (activateAtMs === null || endsMs <= this.times.leasesEndByMs(activateAtMs)) return true;
    return armed !== null && isToSwitch(armed) && this.#reports.has(armed, member);
  }

  onStatus(member: Member): void {
    this.#activations.onStatus(member);
    this.onCopy(member.status?.tip ?? null);
    if (this.#armed !== null) this.#check();
  }

  /** Some copy is at this state. When that is what is armed, its instant has come there. */
  onCopy(tip: Tip | null): void {
    const armed = this.#armed;
    if (armed === null || tip === null || armed.isShownElsewhere || !sameTip(tip, armed.record.change.to)) return;
    armed.isShownElsewhere = true;
    this.#check();
  }

  /** Leases of older reigns are over. */
  onGateOpened(): void {
    this.#check();
  }

  onTick(): void {
    const { timers, nowMs } = this.context;
    if (timers.takeDue('arming', nowMs) || this.nextInstantMs() <= nowMs) this.#check();
  }

  /** When what is armed is to show; Infinity: nothing is. */
  nextInstantMs(): number {
    const armed = this.#armed;
    return armed === null || armed.phase !== 'armed' || !this.context.isLeading ? Infinity : this.#activateMs(armed);
  }

  // ── cancelling ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** False: nothing of this version is armed. */
  cancel(command: Token, version: number, timeoutMs: number): boolean {
    const armed = this.#armed;
    if (armed === null || armed.record.change.to.version !== version) return false;
    const { nowMs } = this.context;
    const byMs = this.times.armByMs(armed.record.activateAtMs);
    if (armed.phase === 'activating' || armed.isShownElsewhere || (nowMs >= byMs && armed.phase === 'armed')) {
      const text = `version ${version} activates at ${showInstant(armed.record.activateAtMs)}: it could be cancelled until a lease before that; replicate a newer version that undoes it`;
      this.context.settle(command, { kind: 'rejected', code: 'already-decided', text });
      return true;
    }
    if (!this.context.isLeading) {
      const text = 'this master does not lead yet, so nobody can be asked; try again when it does';
      this.context.settle(command, { kind: 'rejected', code: 'not-leading', text });
      return true;
    }
    if (armed.cancelling !== null) armed.cancelling.commands.push(command);
    else {
      armed.cancelling = { commands: [command], sinceMs: nowMs, untilMs: Math.min(nowMs + timeoutMs, byMs) };
      armed.phase = 'cancelling';
      this.#changeMind(armed);
    }
    this.#check();
    return true;
  }

  #changeMind(armed: Armed): void {
    armed.order += 1;
    this.#send(armed);
  }

  /** Not everybody confirmed in time. Some may be armed still, so all have to be. */
  #standAfterAll(armed: Armed): void {
    const { version } = armed.record.change.to;
    const missing = this.#reports.missing(armed);
    this.context.event('cancellation failed', 'warn', { version, missing: missing.join(', ') });
    this.#settleStanding(armed);
    armed.phase = 'armed';
    armed.wasArmedEverywhere = false;
    this.#changeMind(armed);
  }

  #settleStanding(armed: Armed): void {
    const { version } = armed.record.change.to;
    const { activateAtMs } = armed.record;
    const missing = this.#reports.missing(armed);
    const { commands, sinceMs } = armed.cancelling ?? { commands: [], sinceMs: 0 };
    armed.cancelling = null;
    const durationMs = this.context.nowMs - sinceMs;
    for (const command of commands)
      this.context.settle(command, { kind: 'stands', version, activateAtMs, missing, durationMs });
  }

  // ── the instant ───────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The layer made it durable at its instant, and this process's predecessor died before it wrote so: the history follows.
   * True when it does; `then` comes when it has.
   */
  recoverShown(tip: Tip | null, then: () => void): boolean {
    const armed = this.#armed;
    if (armed === null || tip === null || !sameTip(tip, armed.record.change.to)) return false;
    armed.phase = 'activating';
    const operations = [...this.history.stage(armed.record.change, this.context.nowMs), this.#removal()];
    this.#recovered = { write: this.context.persist(operations, { durable: true }), then };
    return true;
  }

  /** True when the write was one of a scheduled change. */
  onPersisted(token: Token): boolean {
    const armed = this.#armed;
    if (armed === null) return false;
    if (this.#recovered?.write === token) {
      const { then } = this.#recovered;
      this.#recovered = null;
      this.#end();
      this.history.confirm(armed.record.change, this.context.nowMs);
      this.log.onCommitted(armed.log, this.context.nowMs);
      then();
      return true;
    }
    if (armed.write !== token) return false;
    this.#end();
    if (armed.phase === 'activating') this.#onCommitted(armed);
    else this.#onWithdrawn(armed);
    return true;
  }

  /** The original shows it; its write may still be under way. */
  onExposed(token: Token, atMs: number): void {
    const armed = this.#armed;
    if (armed === null || armed.write !== token || armed.phase !== 'activating') return;
    const { change, activateAtMs } = armed.record;
    const lateMs = atMs + this.context.config.groupOffsetMs - activateAtMs;
    const fields = { version: change.to.version, lateMs: Math.round(lateMs * 1000) / 1000 };
    if (lateMs > limits.maxClockErrorMs) this.context.event('activated late', 'warn', fields);
    else this.context.event('activated', 'info', fields);
    this.#activations.onExposedHere(atMs);
    this.#settleArmed(armed);
  }

  #end(): void {
    this.#armed = null;
    this.history.armedTip = null;
    this.context.timers.clear('arming');
  }

  /** Looks at where it is and does what comes next. */
  #check(): void {
    const armed = this.#armed;
    if (armed === null || !this.context.isLeading) return;
    const { nowMs } = this.context;
    if (armed.phase === 'cancelling' && armed.cancelling !== null) {
      if (armed.isShownElsewhere || nowMs >= armed.cancelling.untilMs) this.#standAfterAll(armed);
      else if (this.#reports.missing(armed).length === 0) this.#withdraw(armed);
    }
    if (armed.phase === 'armed') {
      this.#noteArmed(armed);
      if (nowMs >= this.#activateMs(armed)) this.#activate(armed);
    }
    if (armed.retryMs <= nowMs) this.#repeat(armed);
    this.#setTimer(armed);
  }

  /** When it is committed here: at the instant, or when the last lease has ended that may still stand for what was before. */
  #activateMs(armed: Armed): number {
    const instantMs = armed.isShownElsewhere ? 0 : this.times.localMs(armed.record.activateAtMs);
    if (this.context.nowMs < instantMs) return instantMs;
    const switching = this.#reports.voters(armed).filter((member) => this.#reports.hasOrShows(armed, member));
    const leasesEndMs = this.members.leasesEndMs(new Set(switching.map(({ slot }) => slot)));
    return Math.max(instantMs, leasesEndMs, this.listener.gateMs());
  }

  #activate(armed: Armed): void {
    const { change, activateAtMs, round, voters } = armed.record;
    armed.phase = 'activating';
    this.#activations.begin(round, change.to.version, activateAtMs, voters);
    armed.write = this.context.persist([...this.history.stage(change, this.context.nowMs), this.#removal()], {
      durable: true,
      decided: change,
      activates: true,
    });
  }

  #onCommitted(armed: Armed): void {
    const { record, caller, votes, delivery } = armed;
    const { change, round } = record;
    this.#activations.onExposedHere(this.context.nowMs);
    this.history.confirm(change, this.context.nowMs);
    this.log.onCommitted(armed.log, this.context.nowMs);
    const members = this.#reports.voters(armed);
    const voters = new Map(members.map((member) => [member.slot, member]));
    const outcome: Outcome = {
      kind: 'committed',
      tip: change.to,
      votes,
      durationMs: this.context.nowMs - armed.startedMs,
      durable: true,
    };
    const { epoch, number } = round;
    const replication = { commitBy: delivery.commitBy, wait: 'exposed' } as const;
    const yes = new Set(voters.keys());
    this.listener.onCommitted(
      { epoch, number, change, voters, yes, command: caller?.command ?? null, replication },
      outcome,
    );
  }

  #withdraw(armed: Armed): void {
    armed.phase = 'withdrawing';
    armed.write = this.context.persist([this.#removal()], { durable: true });
  }

  #onWithdrawn(armed: Armed): void {
    const { record, delivery, caller, cancelling } = armed;
    const { change, round } = record;
    const { nowMs } = this.context;
    const { version } = change.to;
    this.log.onEnded(armed.log, 'aborted', 'cancelled', nowMs);
    this.context.event('activation cancelled', 'info', { version });
    const { epoch, number } = round;
    const voters = new Map(this.#reports.voters(armed).map((member) => [member.slot, member]));
    this.listener.onWithdrawn({ epoch, number, change, voters, replication: { abortBy: delivery.abortBy } }, () => {
      if (caller !== null) {
        const durationMs = nowMs - armed.startedMs;
        this.context.settle(caller.command, { kind: 'aborted', reason: 'cancelled', refusals: [], durationMs });
      }
      for (const command of cancelling?.commands ?? [])
        this.context.settle(command, {
          kind: 'cancelled',
          version,
          durationMs: nowMs - (cancelling?.sinceMs ?? nowMs),
        });
    });
  }

  // ── callers ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #noteArmed(armed: Armed): void {
    const missing = this.#reports.missing(armed);
    this.log.onReported(armed.log, armed.record.voters.length - missing.length);
    if (missing.length === 0 && !armed.wasArmedEverywhere) {
      armed.wasArmedEverywhere = true;
      const { version } = armed.record.change.to;
      this.context.event('armed everywhere', 'info', { version, nodes: armed.record.voters.length });
    }
    if (missing.length === 0 || this.context.nowMs >= armed.settleByMs) this.#settleArmed(armed);
  }

  /** Tells the caller that waits for no more than the arming. */
  #settleArmed(armed: Armed): void {
    if (armed.caller === null || armed.caller.wait === 'exposed') return;
    const { command } = armed.caller;
    armed.caller = null;
    this.context.settle(command, this.#armedOutcome(armed));
  }

  #armedOutcome(armed: Armed): ScheduledOutcome {
    const { activateAtMs, change } = armed.record;
    return {
      kind: 'armed',
      tip: change.to,
      activateAtMs,
      votes: armed.votes,
      arming: this.#reports.tally(armed),
      durationMs: this.context.nowMs - armed.startedMs,
      durable: true,
    };
  }

  /** This process tells no more of it: it is decided, and the disk knows. */
  end(): void {
    const armed = this.#armed;
    if (armed === null) return;
    if (armed.caller !== null) {
      const reason = 'this master ended while the change was being taken back';
      const durationMs = this.context.nowMs - armed.startedMs;
      const isOpen = armed.phase === 'withdrawing';
      const outcome: ScheduledOutcome = isOpen ? { kind: 'unknown', reason, durationMs } : this.#armedOutcome(armed);
      this.context.settle(armed.caller.command, outcome);
    }
    armed.caller = null;
    if (armed.phase === 'cancelling') this.#settleStanding(armed);
  }

  view(): ArmedView | null {
    const armed = this.#armed;
    if (armed === null) return null;
    const { round, change, activateAtMs, voters } = armed.record;
    const inMs = this.times.localMs(activateAtMs) - this.context.nowMs;
    const { to } = change;
    const { phase } = armed;
    return { round, tip: to, version: to.version, activateAtMs, inMs, phase, voters, ...this.#reports.tally(armed) };
  }

  activation(): ActivationView | null {
    return this.#activations.view();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #send(armed: Armed): void {
    const note = this.note();
    const { nowMs, config } = this.context;
    if (note === null || !this.context.isLeading) return;
    this.context.send('all', { kind: 'arming', ...note });
    // It is durable at a slave before it is reported, which takes longer than a round trip.
    armed.retryDelayMs = Math.max(limits.repairMinMs, 2 * this.members.slowestRoundTripMs());
    armed.retryMs = nowMs + armed.retryDelayMs;
    armed.retryUntilMs = nowMs + config.leaseMs;
  }

  #repeat(armed: Armed): void {
    const { nowMs } = this.context;
    armed.retryMs = Infinity;
    const note = this.note();
    const silent = this.#reports.voters(armed).filter((member) => member.welcomed && !this.#reports.has(armed, member));
    if (note === null || silent.length === 0 || nowMs >= armed.retryUntilMs) return;
    if (isForAll(silent.length, armed.record.voters.length)) this.context.send('all', { kind: 'arming', ...note });
    else for (const { peer } of silent) this.context.send(peer, { kind: 'arming', ...note });
    armed.retryDelayMs = Math.min(armed.retryDelayMs * 2, limits.retryMaxMs);
    armed.retryMs = nowMs + armed.retryDelayMs;
  }

  #setTimer(armed: Armed): void {
    const { timers } = this.context;
    timers.clear('arming');
    if (armed.phase === 'withdrawing' || armed.phase === 'activating') return;
    timers.set('arming', armed.retryMs);
    // Whoever can't meet `nextInstantMs` comes a little later.
    if (armed.phase === 'armed') timers.setEarlier('arming', this.#activateMs(armed) + limits.afterShowingMs);
    if (armed.cancelling !== null) timers.setEarlier('arming', armed.cancelling.untilMs);
    if (armed.caller?.wait === 'decided' && armed.phase === 'armed') timers.setEarlier('arming', armed.settleByMs);
  }

  #removal(): StoreOperation {
    const dataSet: DataSetId = this.context.config.dataSet;
    return { kind: 'remove', key: masterKeys.armed(dataSet) };
  }
}
