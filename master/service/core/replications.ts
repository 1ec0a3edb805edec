import type { Delta, Tip } from '../../../shared/protocol/kernel/ids.js';
import { parseVersion, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { issueDelta } from '../../../shared/protocol/kernel/digest.js';
import { showInstant } from '../../../shared/protocol/kernel/instants.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { AbortReason, Outcome, Rejection, Replication } from '../../../shared/protocol/kernel/outcome.js';
import type { Content } from '../../../shared/protocol/wire/messages.js';
import type { Armings } from './armings.js';
import type { MasterContext } from './context.js';
import type { History } from './history.js';
import type { Token, UserAnswer } from './io.js';
import type { Members } from './members.js';
import type { RoundLog, RoundRecord } from './round-log.js';
import type { Rounds } from './rounds.js';

interface Waiting {
  readonly command: Token;
  readonly replication: Replication;
  readonly sinceMs: number;
  /** The bytes that the user layer was asked for, once they are here. */
  change: Uint8Array | null;
  state: Uint8Array | null;
  asked: boolean;
}

interface Announcing {
  readonly command: Token;
  readonly change: Delta;
  readonly content: Content;
  readonly write: Token;
  readonly sinceMs: number;
  readonly record: RoundRecord;
}

/**
 * The start method's other side: checks each replication before anything is sent, keeps them in order, and starts them
 * as rounds (two phases) or announcements (one phase). One-phase changes wait while a round is open, and the reverse: a
 * decided change never lands on top of an undecided one.
 */
export class Replications {
  #waiting: Waiting[] = [];
  #announcing: Announcing[] = [];
  /** The highest version started in this epoch: a version is never started twice in one reign. */
  #highestStarted = 0;
  /** Until then, two-phase rounds wait for those who promised this reign. */
  #gatheringUntilMs = 0;
  /** Calls of `restore` that haven't ended. */
  #restoring = 0;
  /** `unregister` and shutdown let nothing new in. */
  #closed: AbortReason | null = null;

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    private readonly members: Members,
    private readonly rounds: Rounds,
    private readonly onAnnounced: () => void,
    private readonly log: RoundLog,
    private readonly armings: Armings,
  ) {}

  get length(): number {
    return this.#waiting.length;
  }

  get isIdle(): boolean {
    return (
      this.#waiting.length === 0 &&
      this.#announcing.length === 0 &&
      this.rounds.open.length === 0 &&
      this.#restoring === 0
    );
  }

  onNewReign(): void {
    this.#highestStarted = 0;
    this.#gatheringUntilMs = this.context.nowMs + this.context.config.surveyMs;
    this.context.timers.set('gathering', this.#gatheringUntilMs);
  }

  onTick(): void {
    if (this.context.timers.takeDue('gathering', this.context.nowMs)) this.advance();
    if (this.context.timers.takeDue('queued', this.context.nowMs)) this.#expire();
  }

  /** A member gave an account of itself: perhaps the last one that the first round of a reign waits for. */
  onStatus(): void {
    if (this.context.nowMs < this.#gatheringUntilMs) this.advance();
  }

  /** Called with the queue's own checks only; what is wrong is refused before anything was sent. */
  start(command: Token, replication: Replication): void {
    const refusal = this.#refuse(replication);
    if (refusal !== null) {
      this.context.settle(command, refusal);
      return;
    }
    this.#waiting.push({
      command,
      replication,
      sinceMs: this.context.nowMs,
      change: replication.delta ?? null,
      state: null,
      asked: false,
    });
    this.advance();
  }

  #refuse(replication: Replication): Rejection | null {
    if (this.context.phase === 'halted')
      return rejected('not-leading', 'this master does not lead any more; its log and status say why');
    if (this.#closed !== null) return rejected('closed', 'this data set is closed');
    if (this.#waiting.length >= limits.maxQueuedReplications) {
      return rejected(
        'queue-full',
        `${limits.maxQueuedReplications} replications wait already; wait for outcomes before starting more`,
      );
    }
    const { version, prior, delta } = replication;
    if (parseVersion(version) === null)
      return rejected('version-not-greater', `version ${version} is not a whole number from 1 to 2^53 - 1`);
    const newest = this.#newestVersion();
    if (version <= Math.max(newest, this.#highestStarted)) {
      return rejected(
        'version-not-greater',
        `version ${version} is not greater than ${Math.max(newest, this.#highestStarted)}, the highest started so far`,
      );
    }
    if (prior !== undefined && prior !== newest) {
      return rejected('prior-not-current', `the change starts from version ${prior}, and the newest is ${newest}`);
    }
    if (delta !== undefined && delta.byteLength > limits.maxChangeBytes) {
      return rejected(
        'change-too-large',
        `the change has ${delta.byteLength} bytes; at most ${limits.maxChangeBytes} fit in one`,
      );
    }
    return this.#refuseInstant(replication.activateAtMs);
  }

  /** Too soon for everybody to be armed, or too far away. */
  #refuseInstant(activateAtMs: number | undefined): Rejection | null {
    if (activateAtMs === undefined) return null;
    const nowMs = this.context.groupNowMs();
    const latestAtMs = Math.floor(nowMs + limits.activationHorizonMs);
    const earliestAtMs = this.armings.times.earliestMs();
    const earliest = `the earliest possible instant is ${showInstant(earliestAtMs)}, ${Math.ceil(earliestAtMs - nowMs)} ms from now`;
    if (activateAtMs > latestAtMs) {
      const days = limits.activationHorizonMs / 86_400_000;
      const text = `${showInstant(activateAtMs)} is more than ${days} days ahead; the latest possible instant is ${showInstant(latestAtMs)}, and ${earliest}`;
      return { ...rejected('instant-too-late', text), earliestAtMs, latestAtMs };
    }
    if (activateAtMs >= earliestAtMs) return null;
    const why = activateAtMs <= nowMs ? 'has passed' : 'is nearer than the group can arm';
    const text = `${showInstant(activateAtMs)} ${why}; ${earliest}`;
    return { ...rejected('instant-too-early', text), earliestAtMs };
  }

  /** The version that the next replication would start from, counting what waits. */
  #newestVersion(): number {
    return this.#waiting.at(-1)?.replication.version ?? versionOf(this.#top());
  }

  #top(): Tip | null {
    const open = this.rounds.open.at(-1) ?? this.#announcing.at(-1);
    return open?.change.to ?? this.armings.tip ?? this.history.tip;
  }

  /** Starts whatever may start now, in order. */
  advance(): void {
    while (this.context.phase === 'leading' || this.context.phase === 'closing') {
      const next = this.#waiting[0];
      if (this.armings.tip !== null) return this.#expire();
      if (next === undefined || this.#mustWait(next)) return;
      if (!this.#hasBytes(next)) return;
      this.#waiting.shift();
      this.#begin(next);
    }
  }

  #mustWait(next: Waiting): boolean {
    if (this.#restoring > 0) return true;
    // A scheduled change goes alone: what comes before it is settled, and what comes after waits for its instant.
    const isScheduled = next.replication.activateAtMs !== undefined;
    if (isScheduled && (this.rounds.open.length > 0 || this.#announcing.length > 0)) return true;
    if (this.rounds.open.some(({ replication }) => replication.activateAtMs !== undefined)) return true;
    if (next.replication.phases === 'one') return this.rounds.open.length > 0;
    // A reign begins: who promised it is about to join, and must not lose its veto to the speed of a waiting change.
    if (this.context.nowMs < this.#gatheringUntilMs && this.members.isGathering) return true;
    return this.#announcing.length > 0 || this.rounds.open.length >= this.context.config.maxOpenRounds;
  }

  /** Asks the user layer for what the caller didn't hand over. */
  #hasBytes(next: Waiting): boolean {
    const needsChange = next.change === null;
    const needsState = next.replication.content === 'state' && next.state === null;
    if (!needsChange && !needsState) return true;
    if (next.asked) return false;
    next.asked = true;
    const from = needsChange ? this.#top() : null;
    const to = { version: next.replication.version };
    this.context.callUser({ name: 'delta', from, to }, (answer: UserAnswer) => {
      next.asked = false;
      if (!this.#waiting.includes(next)) return; // rolled back meanwhile
      if (answer.kind === 'done' && answer.bytes !== null && answer.bytes !== undefined) {
        if (needsChange) next.change = answer.bytes;
        else next.state = answer.bytes;
        if (answer.bytes.byteLength <= limits.maxChangeBytes) return this.advance();
      }
      this.#waiting = this.#waiting.filter((each) => each !== next);
      const reason =
        answer.kind === 'failed'
          ? answer.reason
          : answer.bytes
            ? `it returned ${answer.bytes.byteLength} bytes, more than ${limits.maxChangeBytes}`
            : 'it returned nothing';
      this.context.settle(
        next.command,
        rejected('user-layer-failed', `delta() of the user layer for version ${to.version} failed: ${reason}`),
      );
      this.advance();
    });
    return false;
  }

  #begin(next: Waiting): void {
    const { replication } = next;
    const prior = this.#top();
    const newest = Math.max(versionOf(prior), this.#highestStarted);
    const version = parseVersion(replication.version);
    if (version === null || version <= newest) {
      this.context.settle(
        next.command,
        rejected(
          'version-not-greater',
          `version ${replication.version} is not greater than ${newest}, the highest started so far`,
        ),
      );
      return;
    }
    if (replication.prior !== undefined && replication.prior !== versionOf(prior)) {
      const text = `the change starts from version ${replication.prior}, and the newest is ${versionOf(prior)}: the one between was aborted`;
      // The host has changed its original already: it goes back, too.
      this.restore(prior, [replication.version], () => {
        this.context.settle(next.command, rejected('prior-not-current', text));
      });
      return;
    }
    // It may have waited in the queue for longer than its instant allows.
    const tooLate = this.#refuseInstant(replication.activateAtMs);
    if (tooLate !== null) {
      this.restore(prior, [replication.version], () => this.context.settle(next.command, tooLate));
      return;
    }
    this.#highestStarted = version;
    const change = issueDelta(prior, this.context.epoch, version, next.change ?? new Uint8Array());
    const content = this.#contentFor(replication, change, next.state);
    if (replication.phases === 'two') this.rounds.begin(next.command, replication, change, content);
    else this.#announce(next, change, content);
  }

  #contentFor(replication: Replication, change: Delta, state: Uint8Array | null): Content {
    switch (replication.content) {
      case 'version':
        return { kind: 'version' };
      case 'state':
        return state === null ? { kind: 'change', change } : { kind: 'state', state: issueState(change, state) };
      case 'change':
        return { kind: 'change', change };
      case 'chain':
        return this.#chain(change, limits.maxChainSteps - 1) ?? { kind: 'change', change };
      case 'auto':
        if (change.bytes.byteLength > limits.maxMulticastChangeBytes) return { kind: 'version' };
        return this.#automaticChain(change) ?? { kind: 'change', change };
    }
  }

  /** Somebody is a little behind, and what it lacks fits beside the change in one datagram: it rides along for nothing. */
  #automaticChain(change: Delta): Content | null {
    let lacking = 0;
    for (const member of this.members.all) {
      if (!this.members.isLive(member)) continue;
      const lag = this.members.lag(member) ?? 0;
      if (lag < limits.maxChainSteps) lacking = Math.max(lacking, lag);
    }
    if (lacking === 0 || change.from === null) return null;
    const chain = this.#chain(change, lacking);
    if (chain === null || chain.kind !== 'chain') return null;
    const bytes = chain.changes.reduce((sum, each) => sum + each.bytes.byteLength, 0);
    return bytes <= this.context.config.datagramBytes ? chain : null;
  }

  /** Earlier committed changes and this one, which must start from the newest committed state. */
  #chain(change: Delta, steps: number): Content | null {
    if (this.rounds.open.length > 0 || this.#announcing.length > 0) return null;
    const known = this.history.newestSteps(steps);
    return known.length === 0 ? null : { kind: 'chain', changes: [...known, change] };
  }

  // ── one phase ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #announce(next: Waiting, change: Delta, content: Content): void {
    // Durable at the master before anybody hears of it (G3, G14).
    const write = this.context.persist(this.history.stage(change, this.context.nowMs), {
      durable: this.context.durable,
      decided: change,
    });
    const record = this.log.begin(
      {
        epoch: this.context.epoch,
        number: null,
        version: change.to.version,
        phases: 'one',
        startedMs: this.context.nowMs,
        operations: next.replication.operations ?? null,
        bytes: change.bytes.byteLength,
      },
      [],
    );
    this.#announcing.push({ command: next.command, change, content, write, sinceMs: this.context.nowMs, record });
  }

  /** True when the write was an announcement's. */
  onPersisted(token: Token): boolean {
    const first = this.#announcing[0];
    if (first === undefined || first.write !== token) return false;
    this.#announcing.shift();
    this.history.confirm(first.change, this.context.nowMs);
    this.log.onCommitted(first.record, this.context.nowMs);
    const { from, to } = first.change;
    this.context.send('all', { kind: 'announce', from, to, content: first.content });
    this.context.event('announced', 'debug', { version: to.version });
    this.context.settle(first.command, {
      kind: 'committed',
      tip: to,
      votes: { yes: 0, no: 0, silent: 0 },
      durationMs: this.context.nowMs - first.sinceMs,
      durable: this.context.durable,
    });
    this.onAnnounced();
    this.advance();
    return true;
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Changes were aborted: nothing starts before the original is back. What waits and was made on top of them (it names
   * one of them as its prior, or has no bytes of its own, so that the user layer would be asked about a state that is
   * gone) ends with them. What remains is asked about again: the state that was fetched for it held what was aborted.
   */
  restore(to: Tip | null, versions: readonly number[], settle: () => void): void {
    const onTop = this.#takeOnTop(versions);
    const dropped = [...onTop.map(({ replication }) => replication.version), ...versions];
    this.#restoring += 1;
    this.context.callUser({ name: 'restore', to, dropped }, (answer: UserAnswer) => {
      this.#restoring -= 1;
      for (const waiting of this.#waiting) waiting.state = null;
      settle();
      for (const { command, sinceMs } of onTop) {
        this.context.settle(command, {
          kind: 'aborted',
          reason: 'prior aborted',
          refusals: [],
          durationMs: this.context.nowMs - sinceMs,
        });
      }
      if (answer.kind === 'failed') {
        this.settleAll('closed', 'the user layer could not restore the original');
        this.context.halt('user-layer-failed', `the user layer could not restore ${versionOf(to)}: ${answer.reason}`);
        return;
      }
      this.advance();
    });
  }

  /** Takes out of the queue, newest first, what was made on top of the given versions. */
  #takeOnTop(versions: readonly number[]): Waiting[] {
    const lowest = Math.min(...versions);
    const gone = new Set<number>(versions);
    const onTop: Waiting[] = [];
    for (const waiting of this.#waiting) {
      const { version, prior, delta } = waiting.replication;
      const isMadeOnThem = (delta === undefined && version > lowest) || (prior !== undefined && gone.has(prior));
      if (!isMadeOnThem) continue;
      gone.add(version);
      onTop.unshift(waiting);
    }
    this.#waiting = this.#waiting.filter((waiting) => !onTop.includes(waiting));
    return onTop;
  }

  rollBack(command: Token, version: number): void {
    const waiting = this.#waiting.find(({ replication }) => replication.version === version);
    if (waiting !== undefined) {
      this.#dropWaiting(waiting, 'rolled back');
      this.context.settle(command, { kind: 'done' });
      return;
    }
    const round = this.rounds.open.find(({ change }) => change.to.version === version);
    const isDecided =
      round?.phase === 'deciding' ||
      this.armings.tip?.version === version ||
      this.#announcing.some(({ change }) => change.to.version === version) ||
      version <= versionOf(this.history.tip);
    if (round !== undefined && !isDecided) {
      this.rounds.abort(round, 'rolled back');
      this.context.settle(command, { kind: 'done' });
      return;
    }
    const code = isDecided ? 'already-decided' : 'round-unknown';
    const text = isDecided
      ? `version ${version} is decided and can't be rolled back; replicate a newer version that undoes it`
      : `no replication of version ${version} is under way`;
    this.context.settle(command, rejected(code, text));
  }

  /** A scheduled change that isn't decided yet is only rolled back. */
  cancelScheduled(command: Token, version: number): void {
    const isScheduled = (replication: Replication): boolean =>
      replication.version === version && replication.activateAtMs !== undefined;
    const waiting = this.#waiting.find((each) => isScheduled(each.replication));
    const round = this.rounds.open.find((each) => isScheduled(each.replication));
    if (waiting !== undefined) this.#dropWaiting(waiting, 'cancelled');
    else if (round !== undefined && round.phase !== 'deciding') this.rounds.abort(round, 'cancelled');
    else {
      const text =
        round === undefined
          ? `no scheduled change of version ${version} waits for its instant`
          : `version ${version} is just being decided; try again`;
      return this.context.settle(command, rejected('round-unknown', text));
    }
    this.context.settle(command, { kind: 'cancelled', version, durationMs: 0 });
  }

  /** What waits for a scheduled change may have to wait for days: its time is counted, as that of a round would be. */
  #expire(): void {
    if (this.armings.tip === null) return;
    const { nowMs } = this.context;
    const endOf = (waiting: Waiting): number => waiting.sinceMs + waiting.replication.timeoutMs;
    for (
      let over = this.#waiting.find((each) => endOf(each) <= nowMs);
      over !== undefined;
      over = this.#waiting.find((each) => endOf(each) <= nowMs)
    ) {
      this.#dropWaiting(over, 'behind an armed change');
    }
    const nextMs = Math.min(...this.#waiting.map(endOf));
    if (nextMs !== Infinity) this.context.timers.set('queued', nextMs);
  }

  /** The caller's signal: aborts what isn't decided; the outcome says which it was. */
  cancel(command: Token): void {
    const waiting = this.#waiting.find((each) => each.command === command);
    if (waiting !== undefined) return this.#dropWaiting(waiting, 'cancelled');
    const round = this.rounds.open.find((each) => each.command === command);
    if (round !== undefined && round.phase !== 'deciding') this.rounds.abort(round, 'cancelled');
  }

  #dropWaiting(waiting: Waiting, reason: AbortReason): void {
    this.#waiting = this.#waiting.filter((each) => each !== waiting);
    // The host has changed its original already: it goes back, too.
    this.restore(this.#top(), [waiting.replication.version], () => {
      this.context.settle(waiting.command, {
        kind: 'aborted',
        reason,
        refusals: [],
        durationMs: this.context.nowMs - waiting.sinceMs,
      });
    });
  }

  close(reason: 'closed' | 'unregistered'): void {
    this.#closed = reason;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) {
      this.context.settle(each.command, {
        kind: 'aborted',
        reason,
        refusals: [],
        durationMs: this.context.nowMs - each.sinceMs,
      });
    }
    if (reason === 'unregistered') this.rounds.abortAll('unregistered');
  }

  /** This process neither decides nor leads any more. What wasn't sent is aborted; what was, the next reign says. */
  settleAll(reason: AbortReason, text: string): void {
    this.#closed = reason;
    const { nowMs } = this.context;
    for (const { command, sinceMs } of this.#waiting) {
      const outcome: Outcome = { kind: 'aborted', reason, refusals: [], durationMs: nowMs - sinceMs };
      this.context.settle(command, outcome);
    }
    this.#waiting = [];
    for (const { command, sinceMs, record } of this.#announcing) {
      this.log.onEnded(record, 'unknown', text, nowMs);
      this.context.settle(command, { kind: 'unknown', reason: text, durationMs: nowMs - sinceMs });
    }
    this.#announcing = [];
    this.rounds.settleUnknown(text);
  }
}

/** The whole state at a change's tip. Its digest is of its own bytes; the tip is the change's. */
function issueState(change: Delta, bytes: Uint8Array): Delta {
  return { ...issueDelta(null, change.to.epoch, change.to.version, bytes), to: change.to };
}

function rejected(code: Rejection['code'], text: string): Rejection {
  return { kind: 'rejected', code, text };
}
