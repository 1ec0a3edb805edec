import type { NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip, showTip } from '../../../shared/protocol/kernel/ids.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { BulkOffer } from '../../../shared/protocol/wire/messages.js';
import type { HeardReport } from './answers.js';
import type { MasterContext } from './context.js';
import type { History } from './history.js';
import type { Token } from './io.js';
import { masterKeys } from './records.js';

interface UnderWay {
  readonly from: Peer;
  readonly request: number;
  readonly sinceMs: number;
  askedMs: number;
  /** The transfer, once the slave offered its copy. */
  readonly token: Token | null;
}

/** `--adopt-from`: a slave's copy becomes the original of a master whose store is empty. Before any claim. */
export class Adoption {
  #underWay: UnderWay | null = null;
  /** The write of what is about to be adopted, and the offer that led to it. */
  #write: { readonly token: Token; readonly from: Peer; readonly offer: BulkOffer } | null = null;
  /** This process holds the copy that it was told to adopt. */
  #isDone = false;

  constructor(
    private readonly context: MasterContext,
    private readonly history: History,
    /** What this store's record says it was told to adopt, until a claim says so for good. */
    private recorded: Tip | null,
    private readonly listener: {
      /** The copy is here: what the group holds is judged against it now. */
      onAdopted(tip: Tip): void;
      /** There was nothing to fetch. */
      onHeldAlready(): void;
    },
  ) {}

  /** Whom to ask; null when nobody is to be asked, or no more. */
  get source(): NodeId | null {
    return this.#isDone ? null : this.context.config.adoptFrom;
  }

  get isUnderWay(): boolean {
    return this.#underWay !== null;
  }

  /** The process that adopted this copy ended before it claimed: the operator's word holds all the same. */
  wasToAdopt(tip: Tip): boolean {
    return this.recorded !== null && sameTip(tip, this.recorded);
  }

  begin(node: NodeId, reports: readonly HeardReport[], elapsedMs: number, patienceMs: number): void {
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
      this.#isDone = true;
      return this.listener.onHeldAlready();
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
    this.#underWay = { from: source.from, request, sinceMs: nowMs, askedMs: nowMs, token: null };
    this.context.send(source.from, { kind: 'snapshot-request', request });
    this.context.event('adopting', 'warn', { from: node, tip: showTip(source.report.tip) });
  }

  /** The request, or its answer, may be lost; the slave may be gone. */
  askAgain(): void {
    if (this.#underWay === null || this.#underWay.token !== null) return;
    const { from, request, sinceMs, askedMs } = this.#underWay;
    const { nowMs, config } = this.context;
    if (nowMs - sinceMs >= config.maxLeaseMs) {
      this.context.halt(
        'refused-to-lead',
        `${from.node} did not offer its copy within ${Math.round(nowMs - sinceMs)} ms; start this master again, or with another slave's name (--adopt-from ${from.node})`,
      );
    } else if (nowMs - askedMs >= limits.repairMaxMs) {
      this.#underWay.askedMs = nowMs;
      this.context.send(from, { kind: 'snapshot-request', request });
    }
  }

  onBulkOffer(from: Peer, offer: BulkOffer): void {
    if (this.#underWay === null || this.#underWay.token !== null || offer.request !== this.#underWay.request) return;
    const { dataSet } = this.context.config;
    const put: StoreOperation = { kind: 'put', key: masterKeys.adopting(dataSet), value: offer.to };
    // Durable in every mode, and before the copy is here: a copy whose adoption is forgotten can't end the rounds before it.
    const token = this.context.persist([put], { durable: true });
    this.recorded = offer.to;
    this.#write = { token, from, offer };
    this.#underWay = { ...this.#underWay, token: this.context.token() };
  }

  /** True when the write was the adoption's. */
  onPersisted(token: Token): boolean {
    if (this.#write?.token !== token) return false;
    const { from, offer } = this.#write;
    this.#write = null;
    const transfer = this.#underWay?.token ?? null;
    if (transfer !== null) {
      const { port, token: bulkToken, to } = offer;
      this.context.emit({ kind: 'adopt', token: transfer, from, port, bulkToken, to });
    }
    return true;
  }

  /** True when the transfer was the adoption's. */
  onTransferred(token: Token, error: string | null, tip: Tip | null): boolean {
    if (this.#underWay === null || this.#underWay.token !== token) return false;
    this.#underWay = null;
    if (error !== null || tip === null) {
      this.context.halt(
        'user-layer-failed',
        `the copy could not be adopted: ${error ?? 'it was empty'}; nothing was claimed; start this master again, or with --adopt-from and another slave`,
      );
      return true;
    }
    this.#isDone = true;
    this.listener.onAdopted(tip);
    return true;
  }

  /** The claim says what became of it: these go into its write. */
  endOfRecord(): StoreOperation[] {
    if (this.recorded === null) return [];
    this.recorded = null;
    return [{ kind: 'remove', key: masterKeys.adopting(this.context.config.dataSet) }];
  }
}
