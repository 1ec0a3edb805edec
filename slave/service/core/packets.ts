import type { Delta, RoundId } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch, sameTip, showTip, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { countBits, hasBit } from '../../../shared/protocol/kernel/bitmap.js';
import { isIntact } from '../../../shared/protocol/kernel/digest.js';
import type { Announce, Prepare } from '../../../shared/protocol/wire/messages.js';
import type { AwaitedClock } from './awaited-clock.js';
import type { CatchUp, Waiting } from './catch-up.js';
import type { SlaveContext } from './context.js';
import type { Participant } from './participant.js';

/**
 * What a packet with a change means at this copy: at its prior, it is applied (one phase) or staged (two phases);
 * behind it, the gap is closed first; ahead of it, or settled already, the packet changes nothing.
 */
export class Packets {
  /** Rounds of this epoch below this one are settled: a prepare of one of them comes too late. */
  lowestOpenRound = 0;

  constructor(
    private readonly context: SlaveContext,
    private readonly participant: Participant,
    private readonly catchUp: CatchUp,
    private readonly awaitedClock: AwaitedClock,
  ) {}

  onNewReign(): void {
    this.lowestOpenRound = 0;
    this.awaitedClock.onNewReign();
  }

  raiseFloor(lowestOpenRound: number): void {
    if (lowestOpenRound <= this.lowestOpenRound) return;
    this.lowestOpenRound = lowestOpenRound;
    this.catchUp.forgetBelow(lowestOpenRound);
  }

  /** A packet that waited until the copy was where it starts, or whose bytes have come. */
  use(packet: Waiting): void {
    if (packet.kind === 'prepare') this.#usePrepare(packet);
    else this.#useAnnounce(packet);
  }

  // ── one phase ─────────────────────────────────────────────────────────────────────────────────────────────────────

  onAnnounce(announce: Announce): void {
    if (announce.from !== null) this.participant.onCommitted(announce.from); // one-phase starts from a committed state
    this.catchUp.onCommittedHeardOf(announce.to);
    this.#useAnnounce(announce);
  }

  #useAnnounce(announce: Announce): void {
    if (this.#ignoreAnnounce(announce)) return;
    const { planned } = this.participant;
    const { content } = announce;
    if (content.kind === 'version') return; // a gap now, which catching up closes
    if (content.kind === 'state') {
      if (!sameTip(announce.from, planned) && !this.catchUp.isOnChain) return; // it may have diverged: asked first, and kept
      if (!isWhole(content.state) && !sameTip(content.state.from, planned)) return;
      if (isIntact(content.state) && sameTip(content.state.to, announce.to)) this.participant.apply(content.state);
      return;
    }
    const changes = content.kind === 'change' ? [content.change] : content.changes;
    const first = changes.findIndex((change) => sameTip(change.from, planned));
    if (first < 0) {
      if (content.kind === 'change' && !sameTip(announce.from, planned)) this.catchUp.keep(announce);
      return;
    }
    if (!sameTip(changes.at(-1)?.to ?? null, announce.to)) return;
    for (const change of changes.slice(first)) {
      if (!sameTip(change.from, this.participant.planned) || !isIntact(change)) return;
      this.participant.apply(change);
    }
  }

  #ignoreAnnounce(announce: Announce): boolean {
    if (sameTip(announce.to, this.participant.planned)) return true; // a duplicate
    if (this.participant.staged.length > 0) return true; // in doubt: settled first, then the gap is closed
    if (this.catchUp.isInstalling || this.catchUp.diverged !== null) return true;
    return (
      versionOf(announce.to) < versionOf(this.participant.planned) &&
      sameEpoch(announce.to.epoch, this.context.promised)
    );
  }

  // ── two phases ────────────────────────────────────────────────────────────────────────────────────────────────────

  onPrepare(prepare: Prepare): void {
    this.raiseFloor(prepare.lowestOpenRound);
    if (prepare.committed !== null) {
      this.catchUp.onCommittedHeardOf(prepare.committed);
      this.participant.onCommitted(prepare.committed);
    }
    this.#usePrepare(prepare);
  }

  /** More is known of the master's clock, or it was waited for long enough. */
  onClock(): void {
    const prepare = this.awaitedClock.take();
    if (prepare !== null) this.#usePrepare(prepare);
  }

  #usePrepare(prepare: Prepare): void {
    const round: RoundId = { epoch: this.context.promised, number: prepare.round };
    if (this.#ignorePrepare(prepare, round)) return;
    if (this.#answerAtOnce(prepare, round)) return;
    const prior = this.#placeOf(prepare);
    if (prior === 'ahead') {
      this.#onGapBefore(prepare);
      return;
    }
    const change = this.#changeOf(prepare);
    if (change === 'fetch') return this.catchUp.fetchRound(prepare, round);
    if (change === null) return;
    if (prior === 'below top') this.participant.abortAbove(prepare.from);
    const { from, activateAtMs } = prepare;
    this.participant.stage({ round, from, change, voters: countBits(prepare.voters), activateAtMs });
  }

  #ignorePrepare(prepare: Prepare, round: RoundId): boolean {
    const { slot } = this.context;
    if (slot === null || !hasBit(prepare.voters, slot)) return true; // no voter: the commit, or catching up, brings it
    if (!sameEpoch(prepare.to.epoch, this.context.promised)) return true;
    if (this.participant.find(round) !== undefined) return false;
    if (prepare.round < this.lowestOpenRound) return true; // settled long ago
    if (this.participant.knownDecision(round) !== undefined) return true; // its own abort came first
    const newest = this.participant.staged.at(-1);
    if (newest !== undefined && sameEpoch(newest.round.epoch, round.epoch) && newest.round.number > round.number)
      return true;
    return this.catchUp.isInstalling;
  }

  /** True when the vote is known without asking the user layer. */
  #answerAtOnce(prepare: Prepare, round: RoundId): boolean {
    const staged = this.participant.find(round);
    if (staged !== undefined) {
      // G2 holds: `prepared` means that the record is durable.
      if (staged.phase === 'prepared' && staged.decided === null) this.#vote(prepare, round, true, true, '');
      return true;
    }
    const refused = this.participant.refusalOf(round);
    if (refused !== undefined) {
      this.context.sendToMaster(refused);
      return true;
    }
    if (this.catchUp.diverged !== null) {
      this.#vote(
        prepare,
        round,
        false,
        false,
        `this copy has diverged from the master's at ${showTip(this.catchUp.diverged.tip)}`,
      );
      return true;
    }
    if (this.participant.work.isStuck) {
      this.#vote(prepare, round, true, false, 'busy: a callback of the user layer is past its time');
      return true;
    }
    if (this.participant.failure !== '') {
      this.#vote(prepare, round, true, false, this.participant.failure);
      return true;
    }
    if (this.awaitedClock.keepsWaiting(prepare, round)) return true;
    const fault = prepare.activateAtMs === null ? '' : this.awaitedClock.fault();
    if (fault !== '') {
      this.#vote(prepare, round, true, false, fault);
      return true;
    }
    return false;
  }

  /** Where the round starts, as seen from this copy. */
  #placeOf(prepare: Prepare): 'top' | 'below top' | 'ahead' {
    if (sameTip(prepare.from, this.participant.top)) return 'top';
    // A whole state leads there from anywhere on the chain; a copy that may be off it is asked about first, and kept.
    const { content } = prepare;
    if (
      content.kind === 'state' &&
      isWhole(content.state) &&
      this.participant.staged.length === 0 &&
      this.catchUp.isOnChain
    )
      return 'top';
    if (this.participant.holdsForeignRound()) return 'ahead'; // in doubt from an older reign: asked about first
    const known =
      sameTip(prepare.from, this.participant.planned) ||
      this.participant.staged.some(({ change }) => sameTip(change.to, prepare.from));
    return known ? 'below top' : 'ahead';
  }

  /** The copy is behind the round's prior: what lies between comes first, as one delta, or out of the packet's chain. */
  #onGapBefore(prepare: Prepare): void {
    const { content } = prepare;
    if (content.kind === 'chain' && this.participant.staged.length === 0) {
      for (const change of content.changes.slice(0, -1)) {
        if (sameTip(change.from, this.participant.planned) && isIntact(change)) this.participant.apply(change);
      }
      if (sameTip(prepare.from, this.participant.top)) return this.#usePrepare(prepare);
    }
    this.catchUp.keep(prepare);
  }

  #changeOf(prepare: Prepare): Delta | 'fetch' | null {
    const { content } = prepare;
    if (content.kind === 'version') return 'fetch';
    const change =
      content.kind === 'change'
        ? content.change
        : content.kind === 'state'
          ? content.state
          : (content.changes.at(-1) ?? null);
    if (change === null || !sameTip(change.to, prepare.to) || !isIntact(change)) return null;
    if (change.from !== null && !sameTip(change.from, prepare.from)) return null;
    return change;
  }

  #vote(prepare: Prepare, round: RoundId, upToDate: boolean, canProcess: boolean, reason: string): void {
    this.participant.vote(round, prepare.to, { upToDate, canProcess, reason, refused: [] });
  }
}

/** A peer may send a "state" that starts somewhere: that is a change, and fits only there. */
function isWhole(state: Delta): boolean {
  return state.from === null;
}
