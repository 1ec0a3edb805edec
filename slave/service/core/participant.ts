import type { Delta, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { roundKey, sameEpoch, sameRound, sameTip, showTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { broken, invariant } from '../../../shared/protocol/kernel/invariant.js';
import { showInstant } from '../../../shared/protocol/kernel/instants.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { RoundMap } from '../../../shared/protocol/kernel/round-map.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { Decision, PreparedRef, Vote } from '../../../shared/protocol/wire/messages.js';
import type { ParticipantListener, SlaveContext } from './context.js';
import type { Token, UserAnswer } from './io.js';
import type { PreparedRecord } from './records.js';
import { slaveKeys } from './records.js';
import type { ScheduledChange, Staged, StagedPhase } from './staged.js';
import { isArmed, mayBecome } from './staged.js';
import { Votes } from './votes.js';
import type { Task } from './work.js';
import { WorkQueue } from './work.js';

const commitAgainMs = 250;

/**
 * Rounds and changes on their way into the copy: prepare → durable prepared → vote; decision → commit → exposed. Knows
 * nothing of where changes come from; `catch-up.ts` and `reign.ts` feed it.
 */
export class Participant {
  readonly work: WorkQueue;
  /** Applied, durable, exposed: what the user layer says. */
  tip: Tip | null = null;
  /** Where the copy will be once everything in the work queue is committed. */
  planned: Tip | null = null;
  /** The reason of the user layer's failing commit; empty when all is well. */
  failure = '';
  lastVote: { version: number; yes: boolean; reason: string } | null = null;
  lastVeto: { version: number; reason: string; atMs: number } | null = null;
  readonly votes = { yes: 0, no: 0 };
  /** Rounds in progress, each from where the one before it ends. */
  staged: readonly Staged[] = [];
  /** A scheduled change that is decided, until its write has ended; readers may see it before that. */
  activating: ScheduledChange | null = null;
  isActivatingShown = false;
  readonly #votes: Votes;
  readonly #writes = new Map<Token, Staged>();
  /** Votes of no, to be repeated when a prepare comes again. */
  readonly #refusals = new RoundMap<Vote>(limits.rememberedRounds);
  readonly #settled = new RoundMap<Decision>(limits.rememberedRounds);

  constructor(
    private readonly context: SlaveContext,
    private readonly listener: ParticipantListener,
  ) {
    this.#votes = new Votes(context, (vote) => this.#voteLeaves(vote));
    this.work = new WorkQueue(context, {
      mayStart: (task) => this.#mayStart(task),
      onEnded: (task, answer) => this.#onEnded(task, answer),
    });
  }

  /** Where the next change has to start from. */
  get top(): Tip | null {
    return this.staged.at(-1)?.change.to ?? this.planned;
  }

  get prepared(): PreparedRef[] {
    return this.staged
      .filter((staged) => staged.phase === 'prepared')
      .map(({ round, from, change, mark }) => ({ round, from, to: change.to, armed: mark?.armed === true }));
  }

  find(round: RoundId): Staged | undefined {
    return this.staged.find((staged) => sameRound(staged.round, round));
  }

  /** A decision that a master told this node: the only thing that it may tell to others. */
  knownDecision(round: RoundId): Decision | undefined {
    return this.#settled.get(round);
  }

  refusalOf(round: RoundId): Vote | undefined {
    return this.#refusals.get(round);
  }

  /**
   * Start: the layer's tip alone says what is applied (G4). A prepared round whose `to` is the tip is done; the others
   * are in doubt and are prepared again.
   */
  recover(tip: Tip | null, records: readonly PreparedRecord[]): void {
    this.tip = tip;
    this.planned = tip;
    for (const record of records) {
      if (sameTip(record.change.to, tip)) {
        this.context.persist([this.#removal(record.round)], this.context.durable);
        continue;
      }
      const staged: Staged = {
        ...record,
        activateAtMs: record.activateAtMs ?? null,
        mark: record.mark ?? null,
        phase: 'queued',
        decided: null,
        byOperator: false,
        recovered: true,
        sinceMs: this.context.nowMs,
      };
      const fits = startsHere(record.from, record.change, this.top);
      this.staged = [...this.staged, staged];
      // One that doesn't fit on the copy waits for its resolution; the layer has nothing to be asked about it.
      if (fits) this.work.push({ kind: 'prepare', round: record.round, change: record.change });
      else this.#become(staged, 'prepared');
      const { round, change } = record;
      const { version } = change.to;
      if (staged.activateAtMs !== null && isArmed(staged, this.context.promised))
        this.context.event('still armed', 'info', { version, at: showInstant(staged.activateAtMs) });
      else this.context.event('round in doubt', 'warn', { round: roundKey(round), version });
    }
  }

  /** Guarded by the caller: the change starts at `top`, is intact, and its round is new. */
  stage({
    round,
    from,
    change,
    voters,
    activateAtMs,
  }: Pick<Staged, 'round' | 'from' | 'change' | 'voters' | 'activateAtMs'>): void {
    if (!startsHere(from, change, this.top))
      broken(`round ${roundKey(round)} starts at ${showTip(from)}, not at the top ${showTip(this.top)}`);
    const staged: Staged = {
      round,
      from,
      change,
      voters,
      activateAtMs,
      mark: null,
      phase: 'queued',
      decided: null,
      byOperator: false,
      recovered: false,
      sinceMs: this.context.nowMs,
    };
    this.staged = [...this.staged, staged];
    this.work.push({ kind: 'prepare', round, change });
  }

  /** A committed change that needs no vote: one-phase, or a step of catching up. Starts at `planned`; nothing is staged. */
  apply(change: Delta): void {
    invariant(this.staged.length === 0, 'a committed change never lands on top of an undecided one');
    invariant(change.from === null || sameTip(change.from, this.planned), 'a change starts where the copy will be');
    this.#commit(change, [], null);
  }

  /** Everything up to `to` is committed. True when it was staged here. */
  onCommitted(to: Tip): boolean {
    const index = this.staged.findIndex((staged) => sameTip(staged.change.to, to));
    if (index < 0) return false;
    for (const staged of this.staged.slice(0, index + 1)) {
      staged.decided = 'committed';
      this.#remember({ round: staged.round, to: staged.change.to, outcome: 'committed' });
    }
    this.#commitDecided();
    return true;
  }

  /** The round and everything on top of it ends, newest first. Also remembers the abort of a round never seen here. */
  onAborted(round: RoundId, to: Tip, why: 'aborted' | 'superseded'): void {
    if (why === 'aborted') this.#remember({ round, to, outcome: 'aborted' });
    const index = this.staged.findIndex((staged) => sameRound(staged.round, round));
    if (index >= 0) this.#dropFrom(index, why);
  }

  /**
   * The operator's word on a round that no master can tell about. Carried out like a decision, but remembered as none:
   * other slaves in doubt are told only what a master said.
   */
  resolve(round: RoundId, outcome: Decision['outcome']): void {
    const index = this.staged.findIndex((staged) => sameRound(staged.round, round));
    if (index < 0) return;
    if (outcome === 'aborted') return this.#dropFrom(index, 'aborted');
    for (const staged of this.staged.slice(0, index + 1)) {
      staged.decided = 'committed';
      staged.byOperator = true;
    }
    this.#commitDecided();
  }

  /** A prepare on `prior` in one epoch, with a higher number, implies the abort of the open rounds above `prior`. */
  abortAbove(prior: Tip | null): void {
    const index = sameTip(prior, this.planned)
      ? 0
      : this.staged.findIndex((staged) => sameTip(staged.change.to, prior)) + 1;
    for (const staged of this.staged.slice(index)) {
      this.#remember({ round: staged.round, to: staged.change.to, outcome: 'aborted' });
    }
    this.#dropFrom(index, 'aborted');
  }

  vote(
    round: RoundId,
    to: Tip,
    answer: { upToDate: boolean; canProcess: boolean; reason: string; refused: readonly number[] },
  ): void {
    if (this.context.storeFailed) return;
    const { upToDate, canProcess, reason, refused } = answer;
    const exposed = versionOf(this.tip);
    const vote: Vote = { kind: 'vote', round, to, upToDate, canProcess, reason, exposed, refused };
    const yes = upToDate && canProcess;
    this.lastVote = { version: to.version, yes, reason };
    if (yes) return this.#votes.send(vote);
    this.votes.no += 1;
    this.#refusals.set(round, vote);
    this.lastVeto = { version: to.version, reason, atMs: this.context.nowMs };
    this.context.event('voted no', 'info', { round: roundKey(round), version: to.version, reason });
    this.context.sendToMaster(vote);
  }

  /** What is exposed by now: a vote may have waited. */
  #voteLeaves(vote: Vote): void {
    const exposed = versionOf(this.tip);
    const newest = vote.exposed === exposed ? vote : { ...vote, exposed };
    // With several rounds under way the prepare of the next one may have arrived already. In a small group the master reads so
    // few votes that none need wait.
    const gathers = this.staged.length > 1 && this.context.groupSize > limits.promptRepairMembers;
    if (gathers) this.context.sendToMasterGathered(newest);
    else this.context.sendToMaster(newest);
    this.listener.onVoted();
  }

  /** A snapshot took the place of the copy. */
  onInstalled(to: Tip): void {
    invariant(this.staged.length === 0, 'prepared rounds are settled before a snapshot is installed');
    this.#expose(to);
    this.planned = to;
  }

  onPersisted(token: Token): void {
    const staged = this.#writes.get(token);
    if (staged === undefined) return;
    this.#writes.delete(token);
    if (this.staged.includes(staged)) this.#onRecorded(staged);
    // else aborted meanwhile; its record is removed by the abort
  }

  #onRecorded(staged: Staged): void {
    this.#become(staged, 'prepared');
    if (staged.decided === null) {
      this.votes.yes += 1;
      // G2: the prepared record is durable; only now may the yes leave.
      this.vote(staged.round, staged.change.to, { upToDate: true, canProcess: true, reason: '', refused: [] });
    } else this.#commitDecided();
  }

  onTick(): void {
    if (this.context.timers.takeDue('commit again', this.context.nowMs)) this.work.release();
    this.#votes.onTick((round) => {
      const staged = this.find(round);
      return staged?.phase === 'prepared' && staged.decided === null;
    });
  }

  onNewReign(): void {
    this.#votes.clear();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #mayStart(task: Task): boolean {
    if (task.kind !== 'prepare') return true;
    const staged = this.find(task.round);
    if (staged === undefined) return false; // aborted before the layer was asked
    if (staged.decided === 'committed') {
      this.#become(staged, 'prepared');
      this.#commitDecided();
      return false;
    }
    if (staged.phase !== 'queued') return false;
    this.#become(staged, 'asking');
    return true;
  }

  #onEnded(task: Task, answer: UserAnswer): void {
    if (task.kind === 'prepare') this.#onPrepareAnswered(task.round, task.change.to, answer);
    else if (task.kind === 'commit') this.#onCommitAnswered(task, answer);
    else {
      if (answer.kind !== 'done') {
        this.context.event('abort failed', 'error', { version: task.to.version, reason: answer.reason });
      }
      if (task.operations.length > 0) this.context.persist(task.operations, this.context.durable);
    }
  }

  #onPrepareAnswered(round: RoundId, to: Tip, answer: UserAnswer): void {
    const staged = this.find(round);
    if (staged === undefined || staged.phase !== 'asking') {
      // Aborted while the layer was asked: its prepare is released all the same (G6).
      this.work.push({ kind: 'abort', to, why: 'aborted', operations: [this.#removal(round)] });
      return;
    }
    if (staged.recovered) {
      if (answer.kind !== 'done') {
        this.context.event('prepare failed after restart', 'error', {
          round: roundKey(round),
          version: to.version,
          reason: answer.reason,
        });
      }
      this.#become(staged, 'prepared'); // the yes stands, whatever the layer says now
      this.#commitDecided();
      return;
    }
    if (answer.kind === 'done') {
      this.#become(staged, 'writing');
      if (!this.context.durable) return this.#onRecorded(staged); // nothing is written that a vote would have to wait for
      this.#writes.set(this.context.persist([this.recordOf(staged)], this.context.durable), staged);
      return;
    }
    if (staged.decided === 'committed') {
      // Decided without this node's vote ("at least n"): the change is committed, and comes in like any other.
      this.#become(staged, 'prepared');
      this.#commitDecided();
      return;
    }
    this.vote(round, to, {
      upToDate: true,
      canProcess: false,
      reason: answer.reason,
      refused: answer.kind === 'refused' ? answer.refused : [],
    });
    this.#dropFrom(this.staged.indexOf(staged), 'aborted');
  }

  /** The prepared record as it is now, or as it is with another mark. */
  recordOf({ round, from, change, voters, activateAtMs, mark }: Staged, newMark = mark): StoreOperation {
    const value: PreparedRecord = { round, from, change, voters, activateAtMs, mark: newMark };
    return { kind: 'put', key: slaveKeys.prepared(this.context.config.dataSet, round), value };
  }

  /** Readers see what the running commit brings, since `atMs`. */
  onShown(token: Token, atMs: number): void {
    const task = this.work.running(token);
    if (task?.kind === 'commit') this.#activated(task.scheduled, atMs);
  }

  #activated(scheduled: ScheduledChange | null, atMs: number): void {
    if (scheduled === null || scheduled !== this.activating || this.isActivatingShown) return;
    this.isActivatingShown = true;
    this.listener.onActivated(scheduled, atMs);
  }

  #onCommitAnswered(task: Task & { kind: 'commit' }, answer: UserAnswer): void {
    if (answer.kind === 'done') {
      this.#activated(task.scheduled, this.context.nowMs);
      if (this.failure !== '') this.context.event('commit succeeded', 'info', { version: task.change.to.version });
      this.failure = '';
      this.#expose(task.change.to);
      return;
    }
    // A failing commit changes no outcome: the copy stops serving, says so, and the layer is asked again.
    this.failure = `the user layer could not commit version ${task.change.to.version}: ${answer.reason}`;
    this.context.event('commit failed', 'error', { version: task.change.to.version, reason: answer.reason });
    this.work.holdFirst(task);
    this.context.timers.set('commit again', this.context.nowMs + commitAgainMs);
  }

  #expose(to: Tip): void {
    if (this.activating !== null && sameTip(to, this.activating.to)) this.activating = null;
    this.tip = to;
    this.listener.onExposed(to);
  }

  /** Carries out the decided rounds from the bottom, in order, as far as they are ready. */
  #commitDecided(): void {
    for (let lowest = this.staged[0]; lowest !== undefined && lowest.decided === 'committed'; lowest = this.staged[0]) {
      if (lowest.phase === 'asking' || lowest.phase === 'writing') return;
      if (!startsHere(lowest.from, lowest.change, this.planned)) {
        // Recovered, and not on this copy any more: catching up brings what it brought.
        this.#dropFrom(0, 'superseded');
        return;
      }
      this.staged = this.staged.slice(1);
      const { round, change, activateAtMs, mark } = lowest;
      const scheduled = activateAtMs === null ? null : { round, to: change.to, activateAtMs, mark };
      if (scheduled !== null) {
        this.activating = scheduled;
        this.isActivatingShown = false;
      }
      this.#commit(change, [this.#removal(round)], scheduled);
      if (lowest.byOperator) this.listener.onOperatorCommitted();
    }
  }

  #commit(change: Delta, operations: readonly StoreOperation[], scheduled: ScheduledChange | null): void {
    this.planned = change.to;
    this.listener.onCommittedHeardOf(change.to);
    this.work.push({ kind: 'commit', change, operations, scheduled });
  }

  /** Ends staged rounds from `index` up, newest first; each prepare that the layer saw is released once (G6). */
  #dropFrom(index: number, why: 'aborted' | 'superseded'): void {
    const dropped = this.staged.slice(index);
    this.staged = this.staged.slice(0, index);
    for (const staged of dropped.reverse()) {
      this.context.event('round ended', 'info', {
        round: roundKey(staged.round),
        version: staged.change.to.version,
        outcome: why,
      });
      if (staged.phase === 'asking' && !this.#answeredNo(staged)) continue; // released when its prepare is answered
      if (staged.phase === 'queued' && !staged.recovered) continue; // the layer never saw it
      const written = staged.phase === 'writing' || staged.phase === 'prepared' || staged.recovered;
      this.work.push({
        kind: 'abort',
        to: staged.change.to,
        why,
        operations: written ? [this.#removal(staged.round)] : [],
      });
    }
  }

  #answeredNo(staged: Staged): boolean {
    return this.#refusals.has(staged.round);
  }

  #removal(round: RoundId): StoreOperation {
    return { kind: 'remove', key: slaveKeys.prepared(this.context.config.dataSet, round) };
  }

  #remember(decision: Decision): void {
    this.#settled.set(decision.round, decision);
  }

  #become(staged: Staged, phase: StagedPhase): void {
    if (!mayBecome(staged.phase, phase)) broken(`a staged round may not go from ${staged.phase} to ${phase}`);
    staged.phase = phase;
  }

  /** True when a round of another reign than the given one is still in doubt. */
  holdsForeignRound(): boolean {
    return this.staged.some((staged) => !sameEpoch(staged.round.epoch, this.context.promised));
  }
}

/** A whole state leads to its tip from anywhere; any other change only from the state it names. */
function startsHere(from: Tip | null, change: Delta, top: Tip | null): boolean {
  return change.from === null || sameTip(from, top);
}
