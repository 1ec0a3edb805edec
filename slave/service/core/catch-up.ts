import type { Delta, Epoch, Peer, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch, sameTip, showTip, tipKey, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { BoundedMap } from '../../../shared/protocol/kernel/bounded.js';
import { isIntact } from '../../../shared/protocol/kernel/digest.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { Resyncs } from '../../../shared/protocol/kernel/resyncs.js';
import { RoundMap } from '../../../shared/protocol/kernel/round-map.js';
import type { Announce, BulkOffer, Deltas, Prepare, TooOld } from '../../../shared/protocol/wire/messages.js';
import type { SlaveContext } from './context.js';
import { HeardTimes } from './heard-times.js';
import type { Token } from './io.js';
import type { Participant } from './participant.js';

/** What was asked for: a gap's deltas, an open round's bytes, or a snapshot. */
type Request = { readonly kind: 'gap'; readonly id: number } | { readonly kind: 'snapshot'; readonly id: number };

interface Transfer {
  readonly token: Token;
  readonly mode: 'deltas' | 'snapshot';
  readonly to: Tip;
  readonly epoch: Epoch;
  /** Where the copy was when the transfer began. */
  readonly planned: Tip | null;
  /** Set when the transfer carries an open round's bytes. */
  readonly prepare: Prepare | null;
}

/** A packet that can't be used yet, since the copy isn't where it starts. */
export type Waiting = Prepare | Announce;

/**
 * Gaps: a prior that isn't mine, or a heartbeat ahead of me. The repair is a delta from my tip, or a snapshot when the
 * master has none any more. What is fetched here is committed, save for the bytes of an open round, which go back to
 * its prepare and nowhere else (catch-up never carries an undecided change).
 */
export class CatchUp {
  /** The newest state that this reign's master named as committed. */
  target: Tip | null = null;
  diverged: { readonly tip: Tip | null } | null = null;
  repairs = 0;
  snapshots = 0;
  readonly resyncs = new Resyncs();
  readonly #heard = new HeardTimes();
  /** Evidence, in this reign, that the copy is on the master's chain. */
  #onChain = false;
  #request: Request | null = null;
  #delayMs: number = limits.repairMinMs;
  #nextRequestId: number;
  #transfer: Transfer | null = null;
  #discardOrdered = false;
  readonly #fetches = new RoundMap<{ readonly prepare: Prepare; readonly askedMs: number; readonly id: number }>(
    limits.maxOpenRounds,
  );
  /** Packets ahead of the copy, by the state they start from. */
  readonly #waiting = new BoundedMap<string, Waiting>(limits.maxOpenRounds);

  constructor(
    private readonly context: SlaveContext,
    private readonly participant: Participant,
    private readonly usePacket: (packet: Waiting) => void,
  ) {
    this.#nextRequestId = context.random.below(0x4000_0000);
  }

  /** Known, in this reign, to be on the master's chain (or to have nothing that could be off it). */
  get isOnChain(): boolean {
    return this.#onChain || this.participant.planned === null;
  }

  /** What is being fetched, for people; empty when nothing is. */
  get fetching(): string {
    if (this.#transfer === null) return '';
    const { mode, to } = this.#transfer;
    return mode === 'snapshot' ? `a snapshot of version ${to.version}` : `deltas up to version ${to.version}`;
  }

  get isInstalling(): boolean {
    return this.#transfer?.mode === 'snapshot';
  }

  /** True while the copy is behind what it has heard of. */
  get isBehind(): boolean {
    return this.target !== null && !sameTip(this.target, this.participant.tip) && !this.#isAhead(this.participant.tip);
  }

  /** Versions that the copy lacks, at most: versions that ended without a commit count too. */
  get behind(): number | null {
    if (this.diverged !== null) return null;
    if (this.isBehind) {
      const lacking = versionOf(this.target) - versionOf(this.participant.tip);
      return lacking > 0 ? lacking : null;
    }
    return this.context.hearsMaster() && this.target !== null ? 0 : null;
  }

  /** Since it was heard that the copy lacks something. */
  get behindMs(): number | null {
    const { behind } = this;
    if (behind === null || behind === 0) return behind;
    const { oldestMs } = this.#heard;
    return oldestMs === null ? null : this.context.nowMs - oldestMs;
  }

  onExposed(tip: Tip): void {
    this.#heard.onExposed(tip);
    this.resyncs.onReached(tip);
  }

  onNewReign(): void {
    this.resyncs.onNewReign();
    this.target = null;
    this.#onChain = false;
    this.#request = null;
    this.#waiting.clear();
    this.#fetches.clear();
    this.context.timers.clear('request');
    this.#delayMs = limits.repairMinMs;
  }

  onCommittedHeardOf(tip: Tip): void {
    if (versionOf(tip) >= versionOf(this.target)) {
      this.target = tip;
      this.#heard.note(tip, this.participant.tip, this.context.nowMs);
    }
    if (sameTip(tip, this.participant.planned)) this.#onChain = true;
  }

  /** Where the copy goes now, no master said: the next thing heard is asked about, as in a new reign. */
  distrust(): void {
    this.target = null;
    this.#onChain = false;
  }

  /**
   * The first heartbeat of a reign names the target, whatever was there before: the copy may be ahead of it (G13). `armed` is where
   * the master will be at an instant, which may have come here first.
   */
  onHeartbeatTip(tip: Tip | null, armed: Tip | null): void {
    if (tip !== null) this.onCommittedHeardOf(tip);
    if (sameTip(tip, this.participant.planned)) {
      this.#onChain = true;
      this.diverged = null;
    } else if (tip === null && this.participant.planned !== null && !this.#onChain) {
      if (!sameTip(armed, this.participant.planned)) this.#becomeDiverged(this.participant.planned);
    }
  }

  /** Keeps a packet until the copy is where it starts. */
  keep(packet: Waiting): void {
    this.#waiting.set(tipKey(packet.from), packet);
  }

  forgetBelow(lowestOpenRound: number): void {
    for (const packet of this.#waiting.values()) {
      if (packet.kind === 'prepare' && packet.round < lowestOpenRound) this.#waiting.delete(tipKey(packet.from));
    }
  }

  forgetRound(number: number): void {
    for (const packet of this.#waiting.values()) {
      if (packet.kind === 'prepare' && packet.round >= number) this.#waiting.delete(tipKey(packet.from));
    }
  }

  /** A version-only prepare: its bytes are asked for by round, and asked again when the prepare comes again. */
  fetchRound(prepare: Prepare, round: RoundId): void {
    const earlier = this.#fetches.get(round);
    if (earlier !== undefined && this.context.nowMs - earlier.askedMs < limits.repairMinMs) return;
    const id = this.#nextId();
    this.#fetches.set(round, { prepare, askedMs: this.context.nowMs, id });
    this.repairs += 1;
    this.context.sendToMaster({ kind: 'delta-request', request: id, from: prepare.from, to: prepare.to, round });
  }

  onDeltas(deltas: Deltas): void {
    const fetch = this.#fetchOf(deltas.request);
    if (fetch !== undefined) {
      const change = deltas.steps.find((step) => sameTip(step.to, fetch.to));
      if (change !== undefined) this.#useRoundBytes(fetch, change);
      return;
    }
    if (this.#request === null || this.#request.id !== deltas.request) return;
    this.#request = null;
    this.context.timers.clear('request');
    const before = this.participant.planned;
    for (const step of deltas.steps) this.#applyStep(step);
    if (sameTip(before, this.participant.planned)) {
      // Nothing that fits: asking at once again would only spin.
      this.context.timers.set('request', this.context.nowMs + this.#backOff());
      return;
    }
    this.#delayMs = limits.repairMinMs;
  }

  onTooOld(answer: TooOld): void {
    if (this.#request === null || this.#request.id !== answer.request) return;
    if (!sameTip(answer.from, this.participant.planned)) return;
    this.#request = null;
    this.context.timers.clear('request');
    this.context.event('delta too old', 'info', { from: showTip(answer.from), onChain: answer.onChain });
    if (answer.onChain) {
      this.resyncs.onTurnedInto('too-old', this.target);
      this.#askForSnapshot();
    } else this.#becomeDiverged(answer.from);
  }

  onBulkOffer(from: Peer, offer: BulkOffer): void {
    if (this.#transfer !== null) return;
    const fetch = this.#fetchOf(offer.request) ?? null;
    const expected = fetch !== null || (this.#request !== null && this.#request.id === offer.request);
    if (!expected) return;
    if (offer.mode === 'snapshot' && (!this.#mayInstall() || this.#wouldGoBack(offer.to))) return;
    const token = this.context.token();
    this.#transfer = {
      token,
      mode: offer.mode,
      to: offer.to,
      epoch: this.context.promised,
      planned: this.participant.planned,
      prepare: fetch,
    };
    this.context.timers.clear('request');
    if (offer.mode === 'snapshot') {
      this.participant.work.hold();
      this.snapshots += 1;
    }
    const keepOld = this.diverged !== null;
    this.context.emit({
      kind: 'fetchBulk',
      token,
      from,
      port: offer.port,
      bulkToken: offer.token,
      mode: offer.mode,
      to: offer.to,
      operations: [],
      keepOld,
    });
    this.context.event('transfer started', 'info', { mode: offer.mode, to: showTip(offer.to) });
  }

  onStreamed(token: Token, delta: Delta): void {
    if (this.#transfer === null || this.#transfer.token !== token) return;
    if (this.#transfer.prepare !== null) this.#useRoundBytes(this.#transfer.prepare, delta);
    else this.#applyStep(delta);
  }

  onTransferred(token: Token, error: string | null): boolean {
    if (this.#transfer === null || this.#transfer.token !== token) return false;
    const { mode, to, epoch, planned, prepare } = this.#transfer;
    this.#transfer = null;
    this.#request = null;
    if (error === null) this.#delayMs = limits.repairMinMs;
    this.context.event('transfer ended', error === null ? 'info' : 'warn', { mode, to: showTip(to), error });
    if (mode === 'snapshot') {
      if (error === null) {
        this.diverged = null;
        this.#discardOrdered = false;
        this.#onChain = sameEpoch(epoch, this.context.promised);
        this.participant.onInstalled(to);
      }
      this.participant.work.release();
    }
    // A transfer that failed, or brought nothing that fits: asking at once again would only spin.
    const broughtNothing = prepare === null && sameTip(planned, this.participant.planned);
    if (error !== null || broughtNothing) this.context.timers.set('request', this.context.nowMs + this.#backOff());
    return true;
  }

  /** The operator's word: the diverged copy goes aside. False when it hasn't diverged. */
  discard(): boolean {
    if (this.diverged === null) return false;
    this.#discardOrdered = true;
    return true;
  }

  /** Looks at where the copy is and does what comes next. Called at the end of every step; cheap when all is well. */
  advance(): void {
    this.#usePackets();
    if (this.context.master === null || this.context.storeFailed || this.#transfer !== null) return;
    if (this.#request !== null || this.context.timers.isSet('request')) return;
    if (this.diverged !== null) {
      if (this.#mayHeal()) this.#askForSnapshot();
      return;
    }
    if (!this.#hasGap()) return;
    // Rounds in doubt are settled first (by inquiry), then the gap beyond them is closed.
    if (this.participant.staged.length > 0) return;
    if (this.participant.work.pendingBytes > limits.maxPendingBytes) return;
    if (this.context.groupSize > limits.promptRepairMembers && this.#delayMs === limits.repairMinMs) {
      // Many may lack the same: a back-off, truncated exponential, spreads their requests.
      this.context.timers.set('request', this.context.nowMs + this.context.random.next() ** 2 * limits.repairMinMs);
      this.#delayMs *= 2;
      return;
    }
    this.#askForDelta();
  }

  onTick(): void {
    if (!this.context.timers.takeDue('request', this.context.nowMs)) return;
    const lost = this.#request;
    this.#request = null;
    if (lost?.kind === 'snapshot' && this.diverged === null && this.#hasGap()) this.#askForSnapshot();
    else if (
      this.diverged === null &&
      this.#hasGap() &&
      this.participant.staged.length === 0 &&
      this.#transfer === null
    )
      this.#askForDelta();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Behind the target, or not known to be on its chain. */
  #hasGap(): boolean {
    if (this.target === null || sameTip(this.target, this.participant.planned)) return false;
    return !this.#isAhead(this.participant.planned);
  }

  /** On the chain, and newer than a target that was overtaken by later packets. */
  #isAhead(tip: Tip | null): boolean {
    return this.#onChain && versionOf(tip) > versionOf(this.target);
  }

  #askForDelta(): void {
    if (this.context.master === null) return;
    const waiting = [...this.#waiting.values()].find((packet) => packet.kind === 'announce');
    const id = this.#nextId();
    this.#request = { kind: 'gap', id };
    this.repairs += 1;
    const { planned } = this.participant;
    this.resyncs.onAsked(planned, this.target, versionOf(this.target) - versionOf(planned));
    // With a packet at hand, only what leads to its prior is lacking.
    const to = waiting !== undefined && sameTip(waiting.to, this.target) ? waiting.from : null;
    this.context.sendToMaster({ kind: 'delta-request', request: id, from: this.participant.planned, to, round: null });
    this.context.timers.set('request', this.context.nowMs + this.#backOff());
  }

  #askForSnapshot(): void {
    const id = this.#nextId();
    this.#request = { kind: 'snapshot', id };
    this.context.sendToMaster({ kind: 'snapshot-request', request: id });
    this.context.timers.set('request', this.context.nowMs + this.#backOff());
  }

  #backOff(): number {
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(this.#delayMs * 2, limits.repairMaxMs);
    return delayMs * (1 + this.context.random.next() / 2);
  }

  #applyStep(step: Delta): void {
    // A step that ends where a staged round does is that round's decision: only committed states are served.
    if (this.participant.onCommitted(step.to)) return;
    if (this.isInstalling || this.participant.work.pendingBytes > limits.maxPendingBytes) return;
    if (!sameTip(step.from, this.participant.planned) && step.from !== null) return;
    if (step.from === null && this.participant.planned !== null) return;
    if (sameTip(step.to, this.participant.planned) || !isIntact(step)) return;
    this.#onChain = true; // the master serves deltas only from states on its chain
    if (this.participant.staged.length > 0) return;
    this.participant.apply(step);
  }

  #useRoundBytes(prepare: Prepare, change: Delta): void {
    if (!sameTip(change.to, prepare.to) || !isIntact(change)) return;
    this.usePacket({
      ...prepare,
      content:
        change.from === null && prepare.from !== null ? { kind: 'state', state: change } : { kind: 'change', change },
    });
  }

  #usePackets(): void {
    if (this.#waiting.size === 0) return;
    for (
      let next = this.#waiting.get(tipKey(this.participant.top));
      next !== undefined;
      next = this.#waiting.get(tipKey(this.participant.top))
    ) {
      if (this.isInstalling) return;
      this.#waiting.delete(tipKey(next.from));
      this.usePacket(next);
    }
  }

  /** A snapshot settles nothing by itself: prepared rounds come first, and no call of the layer may be under way. */
  #mayInstall(): boolean {
    return this.participant.staged.length === 0 && this.participant.work.isIdle;
  }

  /**
   * G5: a stream that others share may end a little before the newest state, but never before this copy; a copy that has
   * diverged goes back no further than to what the master has.
   */
  #wouldGoBack(to: Tip): boolean {
    const own = versionOf(this.participant.planned);
    return to.version < (this.diverged === null ? own : Math.min(own, versionOf(this.target)));
  }

  #mayHeal(): boolean {
    return (this.#discardOrdered || this.context.heal !== 'nobody') && this.#mayInstall();
  }

  #becomeDiverged(tip: Tip | null): void {
    if (this.diverged !== null) return;
    this.diverged = { tip };
    this.resyncs.onTurnedInto('diverged', this.target);
    this.context.event('diverged', 'error', {
      tip: showTip(tip),
      master: showTip(this.target),
      heal: this.context.heal,
    });
  }

  #fetchOf(request: number): Prepare | undefined {
    for (const fetch of this.#fetches.values()) if (fetch.id === request) return fetch.prepare;
    return undefined;
  }

  #nextId(): number {
    this.#nextRequestId = (this.#nextRequestId + 1) % 0x7fff_ffff;
    return this.#nextRequestId;
  }
}
