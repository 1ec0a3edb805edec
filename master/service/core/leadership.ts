import type { Epoch, NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, noEpoch, sameEpoch, sameTip, showTip } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { BulkOffer, EpochPromise, HealPermission, Report } from '../../../shared/protocol/wire/messages.js';
import type { MasterContext } from './context.js';
import type { History } from './history.js';
import type { Token, UserAnswer } from './io.js';
import type { Members } from './members.js';
import type { MasterRecovered, ReignRecord } from './records.js';
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
  foreignSuperseded: boolean;
  /** Before this time nothing commits: an older reign may have lent leases. */
  gateMs = Infinity;
  #ownEpoch: Epoch | null;
  readonly #reports = new Map<string, { readonly from: Peer; readonly report: Report }>();
  readonly #promised = new Map<string, Epoch>();
  #surveyStartMs = 0;
  #surveyDelayMs: number = limits.repairMinMs;
  #heardOtherMasterMs = -Infinity;
  #claimWrite: Token | null = null;
  #claiming: Epoch = noEpoch;
  #claimStartMs = 0;
  #beginning: StoreOperation[] = [];
  #adoption: {
    readonly from: Peer;
    readonly request: number;
    readonly sinceMs: number;
    askedMs: number;
    /** The transfer, once the slave offered its copy. */
    readonly token: Token | null;
  } | null = null;
  /** The write of what is about to be adopted, and the offer that led to it. */
  #adoptionWrite: { readonly token: Token; readonly from: Peer; readonly offer: BulkOffer } | null = null;
  /** What this store's record says it was told to adopt, until a claim says so for good. */
  #adopting: Tip | null;
  #adopted = false;
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
    this.foreignSuperseded = recovered.reign?.foreignSuperseded ?? false;
    this.#adopting = recovered.adopting;
  }

  /** The user layer said what the original is at. It reaches the committed state exactly, or this node does not lead. */
  start(tip: Tip | null): void {
    // The service has no record of its own: a first start, or one that kept its decisions in memory only.
    const hasNoRecord = this.#ownEpoch === null || !this.context.durable;
    if (this.history.tip === null && tip !== null && hasNoRecord) {
      this.#beginning = this.history.beginAt(tip); // written with the claim
      // The process that adopted this copy ended before it claimed: the operator's word holds all the same.
      if (this.#adopting !== null && sameTip(tip, this.#adopting)) this.foreignSuperseded = true;
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
    this.#reports.clear();
    this.context.event('surveying', 'info', { registered: this.members.size, tip: showTip(this.history.tip) });
    this.#sendSurvey();
  }

  #sendSurvey(): void {
    this.context.send('all', { kind: 'survey' });
    this.context.timers.set('survey', this.context.nowMs + this.#surveyDelayMs);
    this.#surveyDelayMs = Math.min(this.#surveyDelayMs * 2, 250);
  }

  onReport(from: Peer, report: Report): void {
    if (this.context.phase !== 'surveying') return;
    this.#reports.set(`${from.node}/${from.incarnation.storeId}`, { from, report });
    this.#evaluate();
  }

  #evaluate(): void {
    if (this.#adoption !== null) return;
    const elapsedMs = this.context.nowMs - this.#surveyStartMs;
    const reports = [...this.#reports.values()];
    if (this.#refusesForLiveMaster(reports, elapsedMs)) return;
    const everybodyAnswered =
      this.members.size > 0 &&
      this.members.all.every((member) => reports.some(({ from }) => from.node === member.node));
    const patienceMs = this.members.size > 0 ? this.context.config.maxLeaseMs : this.context.config.surveyMs;
    const { adoptFrom } = this.context.config;
    if (adoptFrom !== null && !this.#adopted) return this.#adopt(adoptFrom, reports, elapsedMs, patienceMs);
    if (this.#refusesForAhead(reports.map(({ from, report }) => ({ node: from.node, tip: report.tip })))) return;
    if (everybodyAnswered || elapsedMs >= patienceMs) this.#claim();
  }

  /** A healthy master isn't disturbed. A slave may still hear one that has just died: that is waited out. */
  #refusesForLiveMaster(
    reports: readonly { readonly from: Peer; readonly report: Report }[],
    elapsedMs: number,
  ): boolean {
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
  #refusesForAhead(copies: readonly { readonly node: NodeId; readonly tip: Tip | null }[]): boolean {
    if (this.context.config.resetGroup) return false;
    const ahead = copies.filter(({ tip }) => this.history.isBehind(tip));
    const first = ahead[0];
    if (first === undefined) return false;
    const names = ahead.map(({ node, tip }) => `${node} (${showTip(tip)})`).join(', ');
    this.context.halt(
      'refused-to-lead',
      `this store holds ${showTip(this.history.tip)}, and others hold more: ${names}; restore the master's own store, or take a slave's copy with --adopt-from ${first.node}, or make the slaves take this one with --reset-group`,
    );
    return true;
  }

  // ── adopting a slave's copy ───────────────────────────────────────────────────────────────────────────────────────

  #adopt(
    node: NodeId,
    reports: readonly { readonly from: Peer; readonly report: Report }[],
    elapsedMs: number,
    patienceMs: number,
  ): void {
    const source = reports.find(({ from }) => from.node === node);
    if (source === undefined) {
      if (elapsedMs < patienceMs) return;
      this.context.halt(
        'refused-to-lead',
        `${node} did not answer within ${Math.round(elapsedMs)} ms; is it running in this group? (--adopt-from ${node})`,
      );
      return;
    }
    if (source.report.tip === null) {
      this.context.halt('refused-to-lead', `${node} holds no copy that could be adopted (--adopt-from ${node})`);
      return;
    }
    if (sameTip(source.report.tip, this.history.tip)) {
      this.#adopted = true;
      return this.#evaluate();
    }
    if (this.history.tip !== null) {
      this.context.halt(
        'refused-to-lead',
        `this store holds ${showTip(this.history.tip)} already; --adopt-from needs an empty store: name another with --store`,
      );
      return;
    }
    const request = this.context.random.below(0x7fff_ffff);
    const { nowMs } = this.context;
    this.#adoption = { from: source.from, request, sinceMs: nowMs, askedMs: nowMs, token: null };
    this.context.send(source.from, { kind: 'snapshot-request', request });
    this.context.event('adopting', 'warn', { from: node, tip: showTip(source.report.tip) });
  }

  /** The request, or its answer, may be lost; the slave may be gone. */
  #askAgainForCopy(): void {
    if (this.#adoption === null || this.#adoption.token !== null) return;
    const { from, request, sinceMs, askedMs } = this.#adoption;
    const { nowMs, config } = this.context;
    if (nowMs - sinceMs >= config.maxLeaseMs) {
      this.context.halt(
        'refused-to-lead',
        `${from.node} did not offer its copy within ${Math.round(nowMs - sinceMs)} ms; start this master again, or with another slave's name (--adopt-from ${from.node})`,
      );
    } else if (nowMs - askedMs >= limits.repairMaxMs) {
      this.#adoption.askedMs = nowMs;
      this.context.send(from, { kind: 'snapshot-request', request });
    }
  }

  onBulkOffer(from: Peer, offer: BulkOffer): void {
    if (this.#adoption === null || this.#adoption.token !== null || offer.request !== this.#adoption.request) return;
    const { dataSet } = this.context.config;
    const put: StoreOperation = { kind: 'put', key: masterKeys.adopting(dataSet), value: offer.to };
    // Durable in every mode, and before the copy is here: a copy whose adoption is forgotten can't end the rounds before it.
    const token = this.context.persist([put], { durable: true });
    this.#adopting = offer.to;
    this.#adoptionWrite = { token, from, offer };
    this.#adoption = { ...this.#adoption, token: this.context.token() };
  }

  #fetchAdopted(from: Peer, offer: BulkOffer): void {
    const token = this.#adoption?.token ?? null;
    if (token === null) return;
    this.context.emit({ kind: 'adopt', token, from, port: offer.port, bulkToken: offer.token, to: offer.to });
  }

  /** True when the transfer was the adoption's. */
  onTransferred(token: Token, error: string | null, tip: Tip | null): boolean {
    if (this.#adoption === null || this.#adoption.token !== token) return false;
    this.#adoption = null;
    if (error !== null || tip === null) {
      this.context.halt(
        'user-layer-failed',
        `the copy could not be adopted: ${error ?? 'it was empty'}; nothing was claimed; start this master again, or with --adopt-from and another slave`,
      );
      return true;
    }
    this.#adopted = true;
    this.foreignSuperseded = true;
    this.#beginning = this.history.beginAt(tip);
    this.#survey(); // what the slaves hold is judged against the adopted copy now
    return true;
  }

  // ── claim ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  #claim(): void {
    this.context.timers.clear('survey');
    let number = this.#ownEpoch?.number ?? 0;
    for (const { report } of this.#reports.values()) number = Math.max(number, report.promised.number);
    for (const epoch of this.#promised.values()) number = Math.max(number, epoch.number);
    number = Math.max(number, this.context.epoch.number);
    const epoch: Epoch = { number: number + 1, claimant: this.context.config.claimant };
    this.context.phase = 'claiming';
    this.#claiming = epoch; // nothing leaves in it before it is durable
    this.reigns = [...this.reigns, epoch].slice(-limits.reigns);
    if (this.context.config.resetGroup) this.foreignSuperseded = true;
    const record: ReignRecord = { epoch, reigns: this.reigns, foreignSuperseded: this.foreignSuperseded };
    const put: StoreOperation = { kind: 'put', key: masterKeys.reign(this.context.config.dataSet), value: record };
    // Durable in every mode before anybody hears of it (G7): an epoch is never claimed twice.
    this.#claimWrite = this.context.persist([put, ...this.#beginning, ...this.#endOfAdopting()], { durable: true });
    this.#beginning = [];
    this.#promised.clear();
    this.#onChain.clear();
    this.#electorate = new Set(this.members.all.map(({ node }) => node));
    this.members.onNewReign();
  }

  /** The claim says what became of it. */
  #endOfAdopting(): StoreOperation[] {
    if (this.#adopting === null) return [];
    this.#adopting = null;
    return [{ kind: 'remove', key: masterKeys.adopting(this.context.config.dataSet) }];
  }

  /** True when the write was the claim's, or an adoption's. */
  onPersisted(token: Token): boolean {
    if (this.#adoptionWrite?.token === token) {
      const { from, offer } = this.#adoptionWrite;
      this.#adoptionWrite = null;
      this.#fetchAdopted(from, offer);
      return true;
    }
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
    this.#promised.set(from.node, promise.promised);
    if (this.history.isOnChain(promise.tip)) this.#onChain.add(from.node);
    const member = this.members.of(from) ?? this.members.named(from.node);
    if (member !== undefined && member.peer.incarnation.storeId === from.incarnation.storeId) member.promised = true;
    if (this.#mayStillRefuse() && this.#isOfElectorate(from.node)) {
      if (this.#refusesForAhead([{ node: from.node, tip: promise.tip }])) return;
    }
    if (this.context.phase === 'claiming') this.#leadWhenPromised();
    else this.#openGateWhenAllPromised();
  }

  /** A stranger that joins a leading master with a copy from elsewhere disturbs nobody. */
  #isOfElectorate(node: NodeId): boolean {
    const beforeGate = this.context.phase === 'claiming' || this.context.nowMs < this.gateMs;
    return this.#electorate.has(node) || beforeGate || this.#ledUnheard;
  }

  /** A slave joins. True: it holds more than this original, and nobody had been asked: this master must not lead. */
  refusesJoin(node: NodeId, tip: Tip | null): boolean {
    return this.#mayStillRefuse() && this.#isOfElectorate(node) && this.#refusesForAhead([{ node, tip }]);
  }

  /** Nothing has been committed in this reign: stepping back loses nothing. */
  #mayStillRefuse(): boolean {
    const claimed = this.context.phase === 'claiming' || this.context.isLeading;
    return claimed && (this.history.tip === null || !sameEpoch(this.history.tip.epoch, this.context.epoch));
  }

  /** A newer claim holds this slave. When its claimant leads, this reign is over; when it doesn't, claim above it. */
  #onRefused(from: Peer, promise: EpochPromise): void {
    if (compareEpochs(promise.promised, this.context.epoch) <= 0) return;
    this.#promised.set(from.node, promise.promised);
    if (promise.claimantLeads)
      return this.stepDown(`${from.node} obeys a newer master (epoch ${promise.promised.number})`);
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
    if (compareEpochs(epoch, this.context.epoch) <= 0) {
      // It is being taken over. What it committed and this original lacks must not be lost.
      if (this.#mayStillRefuse()) this.#refusesForAhead([{ node: from.node, tip }]);
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
    this.#lead(all && !this.context.config.takeOver);
  }

  #lead(leasesAreOver: boolean): void {
    this.context.phase = 'leading';
    this.context.timers.clear('claim');
    const granted = this.#promised.size;
    this.#ledUnheard = granted === 0;
    const standing = this.members.all.filter((member) => member.promised && this.#onChain.has(member.node)).length;
    const majority = this.members.size > 0 && standing * 2 > this.members.size;
    this.heal = this.context.config.resetGroup ? 'operator' : majority ? 'majority' : 'nobody';
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

  #openGateWhenAllPromised(): void {
    if (this.context.nowMs >= this.gateMs || this.context.config.takeOver) return;
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
      this.#askAgainForCopy();
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
