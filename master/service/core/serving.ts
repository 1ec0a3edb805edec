import type { Delta, Peer, RoundId } from '../../../shared/protocol/kernel/ids.js';
import { sameEpoch, sameRound, sameTip, tipKey } from '../../../shared/protocol/kernel/ids.js';
import { digestOf } from '../../../shared/protocol/kernel/digest.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import { RoundMap } from '../../../shared/protocol/kernel/round-map.js';
import type {
  DeltaRequest,
  Inquiry,
  PreparedRef,
  Report,
  Resolution,
  SnapshotRequest,
} from '../../../shared/protocol/wire/messages.js';
import type { Armings } from './armings.js';
import type { MasterContext } from './context.js';
import type { History } from './history.js';
import type { Token, UserAnswer } from './io.js';
import type { Leadership } from './leadership.js';
import type { Members } from './members.js';
import type { Rounds } from './rounds.js';

/**
 * What slaves ask for: deltas, snapshots, and the outcomes of rounds. Everything served here ends at a committed state;
 * the bytes of an open round go out only to who asks for that round.
 */
export class Serving {
  /** Transfers offered and not ended, one for each peer at most. */
  readonly #transfers = new Map<Token, string>();
  /** Rounds of foreign reigns that slaves are in doubt about: a master of those reigns may say when it looks. */
  readonly #untold = new RoundMap<PreparedRef>(limits.maxOpenRounds);
  /** Those of them that their own master said are aborted: it can't commit them any more, whoever leads. */
  readonly #abortedElsewhere = new RoundMap<PreparedRef>(limits.maxOpenRounds);

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    private readonly members: Members,
    private readonly rounds: Rounds,
    private readonly leadership: Leadership,
    private readonly armings: Armings,
  ) {}

  // ── deltas ────────────────────────────────────────────────────────────────────────────────────────────────────────

  onDeltaRequest(from: Peer, request: DeltaRequest): void {
    if (request.round !== null) return this.#onRoundRequest(from, request);
    // It shows what is armed: its instant came there first, and what it asks for isn't committed here yet.
    if (request.from !== null && sameTip(request.from, this.history.armedTip)) return;
    const to = request.to !== null && this.history.isOnChain(request.to) ? request.to : this.history.tip;
    if (to === null) return;
    if (!this.history.isOnChain(request.from)) {
      const onChain = (request.from?.version ?? 0) <= this.history.pruningMark && this.#isOwnReign(request);
      this.members.of(from)?.resyncs.onTurnedInto(onChain ? 'too-old' : 'diverged', this.history.tip);
      this.context.send(from, { kind: 'too-old', request: request.request, from: request.from, onChain });
      return;
    }
    const lacking = this.history.distance(request.from) ?? 0;
    this.members.of(from)?.resyncs.onAsked(request.from, this.history.tip, lacking);
    const steps = this.history.steps(request.from, to);
    if (steps !== null) return this.#sendSteps(from, request, steps, `deltas ${tipKey(request.from)}`);
    if (request.from === null) return this.#offerSnapshot(from, request.request);
    this.#askUserLayer(from, request, to);
  }

  /** A state of this store's own reigns below the pruning mark has only been forgotten; any other isn't on the chain. */
  #isOwnReign(request: DeltaRequest): boolean {
    return request.from !== null && this.leadership.isOwn(request.from.epoch);
  }

  #onRoundRequest(from: Peer, request: DeltaRequest): void {
    const { round } = request;
    const open = this.rounds.open.find(({ number }) => number === round?.number);
    if (open === undefined || round === null || !sameEpoch(round.epoch, this.context.epoch)) return;
    if (request.to === null || !sameTip(open.change.to, request.to)) return;
    this.#sendSteps(from, request, [open.change], `round ${tipKey(open.change.to)}`);
  }

  /** Undecided bytes and committed ones never share a stream: `sharedAs` says whose they are. */
  #sendSteps(from: Peer, request: DeltaRequest, steps: readonly Delta[], sharedAs: string): void {
    const few: Delta[] = [];
    let bytes = 0;
    for (const step of steps) {
      bytes += step.bytes.byteLength;
      if (bytes > limits.maxInlineDeltaBytes || few.length >= limits.maxDeltaSteps) break;
      few.push(step);
    }
    if (few.length === steps.length) this.context.send(from, { kind: 'deltas', request: request.request, steps });
    else this.#offer(from, request.request, { mode: 'deltas', steps, sharedAs });
  }

  /** History is gone here; the owner of the data may still know what leads from there to the newest state. */
  #askUserLayer(from: Peer, request: DeltaRequest, to: NonNullable<DeltaRequest['to']>): void {
    this.context.callUser({ name: 'delta', from: request.from, to }, (answer: UserAnswer) => {
      if (!this.context.isLeading) return;
      const bytes = answer.kind === 'done' ? (answer.bytes ?? null) : null;
      if (bytes === null) {
        this.members.of(from)?.resyncs.onTurnedInto('too-old', this.history.tip);
        this.context.send(from, { kind: 'too-old', request: request.request, from: request.from, onChain: true });
        return;
      }
      const compacted = { from: request.from, to, bytes, digest: digestOf(bytes) };
      this.#sendSteps(from, request, [compacted], `deltas ${tipKey(request.from)}`);
    });
  }

  onSnapshotRequest(from: Peer, request: SnapshotRequest): void {
    this.#offerSnapshot(from, request.request);
  }

  #offerSnapshot(from: Peer, request: number): void {
    if (this.history.tip !== null) this.#offer(from, request, { mode: 'snapshot', steps: [], sharedAs: 'snapshot' });
  }

  #offer(
    to: Peer,
    request: number,
    offer: { readonly mode: 'deltas' | 'snapshot'; readonly steps: readonly Delta[]; readonly sharedAs: string },
  ): void {
    const { mode, steps, sharedAs } = offer;
    const at = steps.at(-1)?.to ?? this.history.tip;
    if (at === null) return;
    const key = `${to.node}/${to.incarnation.storeId}/${request}`;
    if ([...this.#transfers.values()].includes(key)) return; // offered already; the offer is repeated by the service's own stream
    const token = this.context.token();
    this.#transfers.set(token, key);
    this.context.emit({
      kind: 'offerBulk',
      token,
      to,
      epoch: this.context.epoch,
      request,
      mode,
      from: steps[0]?.from ?? null,
      at,
      sharedAs,
      notBelow: this.history.oldestDelta?.version ?? at.version,
      steps,
    });
    this.context.event('transfer offered', 'info', { node: to.node, mode, version: at.version });
  }

  onTransferred(token: Token, error: string | null): void {
    const key = this.#transfers.get(token);
    if (key === undefined) return;
    this.#transfers.delete(token);
    this.context.event('transfer ended', error === null ? 'info' : 'warn', { to: key.split('/')[0], error });
  }

  // ── outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What this master can't tell, for one that starts and may. */
  get untold(): PreparedRef[] {
    return [...this.#untold.values()].filter(({ round }) => !this.#abortedElsewhere.has(round));
  }

  onInquiry(from: Peer, inquiry: Inquiry): void {
    const outcome = this.#outcomeOf(inquiry);
    if (outcome === 'unknown') this.#remember(inquiry);
    if (outcome !== null)
      this.context.send(from, { kind: 'resolution', round: inquiry.round, to: inquiry.to, outcome });
  }

  /**
   * A status that shows a settled round as prepared is as good as an inquiry, unless its answer is on its way already:
   * a commit that is repeated to this member, or an abort that the heartbeats repeat. A status often crosses with them, and
   * an answer to each would cost the master a packet for each slave and change.
   */
  onPrepared(from: Peer, prepared: readonly PreparedRef[], isCommitRepeated: boolean): void {
    for (const { round, from: prior, to } of prepared) {
      const outcome = this.#outcomeOf({ round, to });
      if (outcome === 'unknown') this.#remember({ round, from: prior, to });
      if (outcome === null || outcome === 'unknown') continue;
      const isTold = outcome === 'committed' ? isCommitRepeated : this.#isInHeartbeats(round);
      if (!isTold) this.context.send(from, { kind: 'resolution', round, to, outcome });
    }
  }

  #isInHeartbeats(round: RoundId): boolean {
    return this.rounds.recent.some((decision) => sameRound(decision.round, round));
  }

  /**
   * This store doesn't lead; who leads can't tell the outcome of rounds that this store's reigns began. What is recovered
   * and not on its chain never left as a commit (G3) and never will. A commit isn't told: it is off the leader's chain.
   */
  tellLeader(from: Peer, report: Report): void {
    if (report.role !== 'master' || this.context.phase !== 'surveying' || !this.context.durable) return;
    for (const { round, to } of report.prepared) {
      if (!this.leadership.isOwn(round.epoch) || this.#outcomeOf({ round, to }) !== 'aborted') continue;
      this.context.send(from, { kind: 'resolution', round, to, outcome: 'aborted' });
    }
  }

  /** Only an abort of what was asked about. It holds in every reign, so the epoch that it was said in doesn't matter. */
  onToldByMaster({ round, to, outcome }: Resolution): void {
    const asked = this.#untold.get(round);
    if (outcome !== 'aborted' || asked === undefined || !sameTip(asked.to, to)) return;
    this.#abortedElsewhere.set(round, asked);
    this.context.event('round told by its master', 'info', { version: to.version, epoch: round.epoch.number, outcome });
  }

  #remember({ round, from, to }: Pick<PreparedRef, 'round' | 'from' | 'to'>): void {
    if (!this.#untold.has(round)) this.#untold.set(round, { round, from, to, armed: false });
  }

  /**
   * Presumed abort, by the chain: on it, committed; in a reign of this store's own, recovered, not open and above the
   * pruning mark, aborted; below the mark, superseded. Anything else isn't for this master to say, unless its own master said that it is aborted. Null: still open.
   */
  #outcomeOf({ round, to }: Pick<Inquiry, 'round' | 'to'>): Resolution['outcome'] | null {
    if (this.history.isOnChain(to)) return 'committed';
    if (this.armings.holds(round)) return null; // decided, and neither until its instant
    const isCurrent = sameEpoch(round.epoch, this.context.epoch);
    if (this.rounds.open.some((open) => isCurrent && open.number === round.number)) return null;
    if (this.rounds.recent.some((decision) => sameRound(decision.round, round) && decision.outcome === 'aborted'))
      return 'aborted';
    if (this.leadership.isOwn(round.epoch)) return to.version > this.history.pruningMark ? 'aborted' : 'superseded';
    if (this.leadership.hasGivenUp(round.epoch)) return 'superseded';
    if (sameTip(this.#abortedElsewhere.get(round)?.to ?? null, to)) return 'aborted';
    return 'unknown';
  }
}
