import type { Epoch, NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, noEpoch, sameEpoch, sameTip, showTip } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type {
  BulkOffer,
  EpochPromise,
  HealPermission,
  Join,
  PreparedRef,
  Report,
} from '../../../shared/protocol/wire/messages.js';
import { Adoption } from './adoption.js';
import type { Copy, HeardReport } from './answers.js';
import { Answers } from './answers.js';
import type { MasterContext } from './context.js';
import type { History } from './history.js';
import type { Token, UserAnswer } from './io.js';
import type { Members } from './members.js';
import type { GivenUp, MasterRecovered, ReignRecord } from './records.js';
import { masterKeys } from './records.js';

export interface LeadershipListener {
  onLeading(): void;
  /** The epoch was refused by a promise to a claimant that doesn't lead: what is open in it ends. */
  onEpochLost(): void;
  onGateOpened(): void;
}

/**
 * Taking the lead: survey (look, change nothing) → claim (durable) → promises → lead. It leads only while nobody else
 * does and nobody is ahead of its original (G13), and commits nothing until older leases are over (G12).
 */
export class Leadership {
  heal: HealPermission = 'nobody';
  /** Reigns of this store, the current one included. */
  reigns: readonly Epoch[];
  /** What the operator gave up, before which reign. */
  givenUp: GivenUp | null;
  /** Before this time nothing commits: an older reign may have lent leases. */
  gateMs = Infinity;
  #ownEpoch: Epoch | null;
  readonly #answers = new Answers((epoch) => this.isOwn(epoch));
  readonly #adoption: Adoption;
  #surveyStartMs = 0;
  #surveyDelayMs: number = limits.repairMinMs;
  #heardOtherMasterMs = -Infinity;
  #claimWrite: Token | null = null;
  #claiming: Epoch = noEpoch;
  #claimStartMs = 0;
  #beginning: StoreOperation[] = [];
  /** What the operator told this process to give up. Said again with each claim, until this master leads. */
  #givesUp: GivenUp['what'] | null;
  /** The members here may not be all who hold a lease: see `ReignRecord`. */
  #strangers: boolean;
  /** The members when this epoch was claimed. */
  #electorate: ReadonlySet<NodeId> = new Set();
  /** Who promised this epoch with a copy on this master's chain: who stands behind it. */
  readonly #onChain = new Set<NodeId>();
  /** Nobody answered before this reign began: it is on probation until it has committed something. */
  #ledUnheard = false;

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    private readonly members: Members,
    private readonly listener: LeadershipListener,
    recovered: MasterRecovered,
  ) {
    this.#ownEpoch = recovered.reign?.epoch ?? null;
    this.reigns = recovered.reign?.reigns ?? [];
    this.givenUp = recovered.reign?.givenUp ?? null;
    this.#strangers = recovered.reign?.strangers ?? false;
    this.#givesUp = context.config.resetGroup ? 'rounds and copies' : null;
    this.#adoption = new Adoption(context, history, recovered.adopting, {
      onAdopted: (tip) => this.#onAdopted(tip),
      onHeldAlready: () => this.#evaluate(),
    });
  }

  /** The user layer said what the original is at. It reaches the committed state exactly, or this node does not lead. */
  start(tip: Tip | null): void {
    // The service has no record of its own: a first start, or one that kept its decisions in memory only.
    const hasNoRecord = this.#ownEpoch === null || !this.context.durable;
    if (this.history.tip === null && tip !== null && hasNoRecord) {
      this.#beginning = this.history.beginAt(tip); // written with the claim
      if (this.#adoption.wasToAdopt(tip)) this.#givesUp ??= 'rounds';
    }
    if (sameTip(tip, this.history.tip)) return this.#survey();
    const missing = this.history.steps(tip, null) ?? [];
    this.context.event('recovering', 'info', {
      original: showTip(tip),
      committed: showTip(this.history.tip),
      missing: missing.length,
    });
    this.context.callUser({ name: 'recover', committed: this.history.tip, missing }, (answer: UserAnswer) => {
      if (answer.kind === 'done') return this.#survey();
      this.context.halt(
        'user-layer-failed',
        `the user layer could not recover ${showTip(this.history.tip)}: ${answer.reason}`,
      );
    });
  }

  // ── survey ────────────────────────────────────────────────────────────────────────────────────────────────────────

  #survey(): void {
    this.context.phase = 'surveying';
    this.#surveyStartMs = this.context.nowMs;
    this.#surveyDelayMs = limits.repairMinMs;
    this.#answers.onSurvey();
    this.context.event('surveying', 'info', { registered: this.members.size, tip: showTip(this.history.tip) });
    this.#sendSurvey();
  }

  #sendSurvey(): void {
    this.context.send('all', { kind: 'survey' });
    this.context.timers.set('survey', this.context.nowMs + this.#surveyDelayMs);
    this.#surveyDelayMs = Math.min(this.#surveyDelayMs * 2, 250);
  }

  onReport(from: Peer, report: Report): void {
    if (this.context.phase !== 'surveying' || ignoreReport(report)) return;
    this.#answers.onReport(from, report);
    this.#evaluate();
  }

  /** A slave looks for a master, and can't know yet that this one only looks as well, or that it claims. */
  onEarlyJoin(from: Peer, join: Join): void {
    if (this.context.phase !== 'surveying' && this.context.phase !== 'claiming') return;
    this.#answers.note(from, join);
    this.refusesCopy({ ...join, node: from.node }); // or when the survey is evaluated
  }

  #evaluate(): void {
    if (this.#adoption.isUnderWay) return;
    const elapsedMs = this.context.nowMs - this.#surveyStartMs;
    const { reports } = this.#answers;
    if (this.#refusesForLiveMaster(reports, elapsedMs)) return;
    const everybodyAnswered =
      this.members.size > 0 && this.members.all.every(({ node }) => this.#answers.hasReported(node));
    const patienceMs = this.members.size > 0 ? this.context.config.maxLeaseMs : this.context.config.surveyMs;
    const { source } = this.#adoption;
    if (source !== null) return this.#adoption.begin(source, reports, elapsedMs, patienceMs);
    if (this.#refusesForAhead(this.#answers.copies)) return;
    if (everybodyAnswered || elapsedMs >= patienceMs) this.#claim();
  }

  /** A healthy master isn't disturbed. A slave may still hear one that has just died: that is waited out. */
  #refusesForLiveMaster(reports: readonly HeardReport[], elapsedMs: number): boolean {
    if (this.context.config.takeOver) return false;
    const self = this.context.config.incarnation.storeId;
    let waiting = false;
    for (const { from, report } of reports) {
      if (report.hears === null || report.hears.incarnation.storeId === self) continue; // this node's own former process
      const speaksForItself = report.role === 'master';
      if (speaksForItself || elapsedMs > 1.5 * this.context.config.maxLeaseMs) {
        this.context.halt(
          'refused-to-lead',
          `${from.node} ${speaksForItself ? 'leads' : `hears ${report.hears.node} leading`} this group (epoch ${report.promised.number}); stop that master, or start this one with --take-over`,
        );
        return true;
      }
      waiting = true;
    }
    return waiting;
  }

  /** An original that lacks what a slave holds never leads, rolls back or wipes (G13), until it is told what to do. */
  #refusesForAhead(copies: readonly Copy[]): boolean {
    if (this.context.config.resetGroup) return false;
    const ahead = copies.filter((copy) => this.#isAhead(copy));
    const first = ahead[0];
    if (first === undefined) return false;
    const names = ahead.map((copy) => `${copy.node} (${this.#showCopy(copy)})`).join(', ');
    this.context.halt(
      'refused-to-lead',
      `this store holds ${showTip(this.history.tip)}, and others hold more: ${names}; restore the master's own store, or take a slave's copy with --adopt-from ${first.node}, or make the slaves take this one with --reset-group`,
    );
    return true;
  }

  #isAhead(copy: Copy): boolean {
    if (this.history.isBehind(copy.tip) && !this.#givesWay(copy.tip)) return true;
    return this.#foreignDoubt(copy) !== undefined || this.#unknownArming(copy) !== undefined;
  }

  /** This store decided it, in a reign of its own, and doesn't know of it: it was put back from an older backup (G1, G16). */
  #unknownArming({ prepared }: Copy): PreparedRef | undefined {
    return prepared.find(({ round, to, armed }) => armed && this.isOwn(round.epoch) && this.history.isBehind(to));
  }

  /** An original that is empty, and a slave that said yes to a master of another store, which nobody said is to be replaced. */
  #foreignDoubt({ prepared }: Copy): PreparedRef | undefined {
    if (this.history.tip !== null || this.context.config.takeOver) return undefined;
    return prepared.find(({ round }) => !this.isOwn(round.epoch) && !this.hasGivenUp(round.epoch));
  }

  #showCopy(copy: Copy): string {
    const arming = this.#unknownArming(copy);
    if (arming !== undefined) return `${showTip(copy.tip)}, armed with ${showTip(arming.to)}`;
    const doubt = this.#foreignDoubt(copy);
    return doubt === undefined ? showTip(copy.tip) : `${showTip(copy.tip)}, in doubt about ${showTip(doubt.to)}`;
  }

  /** A copy that the group was reset over. That holds over a restart, and until another store led after it. */
  #givesWay(tip: Tip | null): boolean {
    if (this.givenUp?.what !== 'rounds and copies' || tip === null) return false;
    return this.hasGivenUp(tip.epoch) && !this.#answers.tellOfOthers(this.givenUp.before);
  }

  isOwn(epoch: Epoch): boolean {
    return this.reigns.some((each) => sameEpoch(each, epoch));
  }

  /** Older than the operator's word. A later reign of another store may have committed, whatever was given up before it. */
  hasGivenUp(epoch: Epoch): boolean {
    return this.givenUp !== null && compareEpochs(epoch, this.givenUp.before) < 0;
  }

  // ── adopting a slave's copy ───────────────────────────────────────────────────────────────────────────────────────

  onBulkOffer(from: Peer, offer: BulkOffer): void {
    this.#adoption.onBulkOffer(from, offer);
  }

  /** True when the transfer was the adoption's. */
  onTransferred(token: Token, error: string | null, tip: Tip | null): boolean {
    return this.#adoption.onTransferred(token, error, tip);
  }

  #onAdopted(tip: Tip): void {
    this.#givesUp ??= 'rounds';
    this.#beginning = this.history.beginAt(tip);
    this.#survey(); // what the slaves hold is judged against the adopted copy now
  }

  // ── claim ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #claim(): void {
    this.context.timers.clear('survey');
    const ownNumber = Math.max(this.#ownEpoch?.number ?? 0, this.context.epoch.number);
    const number = Math.max(ownNumber, this.#answers.newestEpochNumber) + 1;
    const epoch: Epoch = { number, claimant: this.context.config.claimant };
    this.context.phase = 'claiming';
    this.#claiming = epoch; // nothing leaves in it before it is durable
    this.#strangers = this.#mayHaveStrangers();
    this.givenUp = this.#givenUpAt(epoch);
    this.reigns = [...this.reigns, epoch].slice(-limits.reigns);
    const { reigns, givenUp } = this;
    const record: ReignRecord = { epoch, reigns, givenUp, strangers: this.#strangers };
    const put: StoreOperation = { kind: 'put', key: masterKeys.reign(this.context.config.dataSet), value: record };
    // Durable in every mode before anybody hears of it (G7): an epoch is never claimed twice.
    const operations = [put, ...this.#beginning, ...this.#adoption.endOfRecord()];
    this.#claimWrite = this.context.persist(operations, { durable: true });
    this.#beginning = [];
    this.#answers.onClaim();
    this.#onChain.clear();
    this.#electorate = new Set(this.members.all.map(({ node }) => node));
    this.members.onNewReign();
  }

  /**
   * Whether others than the members of this store may hold leases (G12). Members are registered before they get any, so
   * it knows all whom it lent one itself. It can't know those of another store that led: one that it is to replace, or
   * that somebody was bound to; and for a member that didn't answer, nobody knows whom it obeyed.
   */
  #mayHaveStrangers(): boolean {
    const { takeOver } = this.context.config;
    if (takeOver || this.#givesUp !== null || this.#answers.tellOfOthers()) return true;
    if (this.members.all.some(({ node }) => !this.#answers.hasReported(node))) return true;
    // What committed in the reign before waited for the leases before that.
    return this.#strangers && !this.#hasCommittedIn(this.#ownEpoch);
  }

  #hasCommittedIn(epoch: Epoch | null): boolean {
    return epoch !== null && this.history.tip !== null && sameEpoch(this.history.tip.epoch, epoch);
  }

  /** The word of an operator covers what was there when it was carried out: nothing of reigns after that. */
  #givenUpAt(epoch: Epoch): GivenUp | null {
    if (this.#givesUp !== null) return { before: epoch, what: this.#givesUp };
    if (this.givenUp === null || !this.#answers.tellOfOthers(this.givenUp.before)) return this.givenUp;
    // Another store led since: copies of older reigns may be its originals now.
    return { ...this.givenUp, what: 'rounds' };
  }

  /** True when the write was the claim's, or an adoption's. */
  onPersisted(token: Token): boolean {
    if (this.#adoption.onPersisted(token)) return true;
    if (token !== this.#claimWrite) return false;
    this.#claimWrite = null;
    this.context.epoch = this.#claiming;
    this.#ownEpoch = this.#claiming;
    this.#claimStartMs = this.context.nowMs;
    this.#surveyDelayMs = limits.repairMinMs;
    this.context.event('claimed', 'info', { epoch: this.context.epoch.number });
    this.#sendClaim();
    this.#leadWhenPromised();
    return true;
  }

  #sendClaim(): void {
    this.context.send('all', { kind: 'claim', tip: this.history.tip });
    this.context.timers.set('claim', this.context.nowMs + this.#surveyDelayMs);
    this.#surveyDelayMs = Math.min(this.#surveyDelayMs * 2, 250);
  }

  onPromise(from: Peer, promise: EpochPromise): void {
    if (this.context.phase !== 'claiming' && !this.context.isLeading) return;
    if (!promise.granted) return this.#onRefused(from, promise);
    if (this.#claimWrite !== null || !sameEpoch(promise.promised, this.context.epoch)) return;
    this.#answers.note(from, promise);
    this.#answers.onGranted(from.node);
    if (this.history.isOnWay(promise.tip)) this.#onChain.add(from.node);
    const member = this.members.of(from) ?? this.members.named(from.node);
    if (member !== undefined && member.peer.incarnation.storeId === from.incarnation.storeId) member.promised = true;
    if (this.refusesCopy({ ...promise, node: from.node })) return;
    if (this.context.phase === 'claiming') this.#leadWhenPromised();
    else this.#openGateWhenAllPromised();
  }

  /** A stranger that joins a leading master with a copy from elsewhere disturbs nobody. */
  #isOfElectorate(node: NodeId): boolean {
    const beforeGate = this.context.phase === 'claiming' || this.context.nowMs < this.gateMs;
    return this.#electorate.has(node) || beforeGate || this.#ledUnheard;
  }

  /** A slave joins, or answers a claim. True: it holds more than this original, so this master must not lead. */
  refusesCopy(copy: Copy): boolean {
    return this.#mayStillRefuse() && this.#isOfElectorate(copy.node) && this.#refusesForAhead([copy]);
  }

  /** Nothing has been committed in this reign: stepping back loses nothing. */
  #mayStillRefuse(): boolean {
    const claimed = this.context.phase === 'claiming' || this.context.isLeading;
    return claimed && (this.history.tip === null || !sameEpoch(this.history.tip.epoch, this.context.epoch));
  }

  /** A newer claim holds this slave. When its claimant leads, this reign is over; when it doesn't, claim above it. */
  #onRefused(from: Peer, promise: EpochPromise): void {
    if (compareEpochs(promise.promised, this.context.epoch) <= 0) return;
    this.#answers.note(from, promise);
    if (promise.claimantLeads)
      return this.stepDown(`${from.node} obeys a newer master (epoch ${promise.promised.number})`);
    // It is bound to somebody else, and what it holds must not be lost all the same.
    if (this.refusesCopy({ ...promise, node: from.node })) return;
    if (this.context.timers.isSet('claim again')) return;
    // Time for the other claimant to show that it leads.
    this.context.timers.set(
      'claim again',
      this.context.nowMs + this.context.config.surveyMs * (1 + this.context.random.next()),
    );
  }

  /** Another master's heartbeat. While this one only looks, it is as good as a report. */
  onOtherMaster(from: Peer, epoch: Epoch, tip: Tip | null): void {
    if (this.context.phase === 'surveying') {
      this.onReport(from, { kind: 'report', role: 'master', promised: epoch, tip, prepared: [], hears: from });
      return;
    }
    if (epoch.number === 0) return;
    if (compareEpochs(epoch, this.context.epoch) <= 0) {
      this.#answers.note(from, { promised: epoch, tip, prepared: [] });
      // It is being taken over. What it committed and this original lacks must not be lost.
      if (this.#mayStillRefuse()) this.#refusesForAhead([{ node: from.node, tip, prepared: [] }]);
      return;
    }
    if (this.context.phase === 'claiming' || this.context.isLeading) {
      this.stepDown(`${from.node} leads in a newer epoch (${epoch.number})`);
    } else this.#heardOtherMasterMs = this.context.nowMs;
  }

  stepDown(why: string): void {
    this.context.halt('stepped-down', `this master steps down: ${why}`);
  }

  #leadWhenPromised(): void {
    const all = this.members.all.every((member) => member.promised);
    const waitedMs = this.context.nowMs - this.#claimStartMs;
    const quick = this.members.size > 0 && all;
    // Nobody registered: nobody's promise can be waited for by name, so a silent group gets time to refuse.
    if (!quick && waitedMs < this.context.config.surveyMs / 2) return;
    // Somebody is bound to a newer claim: this one would be obeyed by some, and then be given up.
    if (this.context.timers.isSet('claim again')) return;
    this.#strangers ||= this.#answers.tellOfOthers();
    this.#lead(all && !this.#strangers);
  }

  #lead(leasesAreOver: boolean): void {
    this.context.phase = 'leading';
    this.context.timers.clear('claim');
    const { granted } = this.#answers;
    this.#ledUnheard = granted === 0;
    this.#givesUp = null;
    const standing = this.members.all.filter((member) => member.promised && this.#onChain.has(member.node)).length;
    const majority = this.members.size > 0 && standing * 2 > this.members.size;
    this.heal = this.#isResetUnfinished() ? 'operator' : majority ? 'majority' : 'nobody';
    this.gateMs = leasesAreOver
      ? this.context.nowMs
      : this.#claimStartMs + this.context.config.maxLeaseMs * (1 + 2 * limits.clockRateError);
    this.context.event('leading', 'info', {
      epoch: this.context.epoch.number,
      tip: showTip(this.history.tip),
      promised: granted,
      registered: this.members.size,
    });
    this.listener.onLeading();
  }

  /** Told to reset the group; or a process before was, and there are copies still that it was said about, and no others. */
  #isResetUnfinished(): boolean {
    if (this.context.config.resetGroup) return true;
    const elsewhere = this.#answers.copies.filter(({ tip }) => !this.history.isOnWay(tip));
    return elsewhere.length > 0 && elsewhere.every(({ tip }) => this.#givesWay(tip));
  }

  #openGateWhenAllPromised(): void {
    if (this.context.nowMs >= this.gateMs || this.#strangers) return;
    if (!this.members.all.every((member) => member.promised)) return;
    this.gateMs = this.context.nowMs;
    this.listener.onGateOpened();
  }

  onMemberPromised(): void {
    this.#openGateWhenAllPromised();
  }

  onTick(): void {
    const { timers, nowMs } = this.context;
    if (timers.takeDue('survey', nowMs) && this.context.phase === 'surveying') {
      this.#sendSurvey();
      this.#adoption.askAgain();
      this.#evaluate();
    }
    if (timers.takeDue('claim', nowMs) && this.context.phase === 'claiming' && this.#claimWrite === null) {
      this.#sendClaim();
      this.#leadWhenPromised();
    }
    if (
      timers.takeDue('claim again', nowMs) &&
      this.#claimWrite === null &&
      (this.context.phase === 'claiming' || this.context.isLeading)
    ) {
      if (nowMs - this.#heardOtherMasterMs < this.context.config.leaseMs) return;
      this.listener.onEpochLost();
      this.#claim();
    }
  }
}

/** Who leads does so in an epoch. A stranger that calls itself a leading master in none stands for nobody. */
function ignoreReport({ role, promised }: Report): boolean {
  return role === 'master' && promised.number === 0;
}
