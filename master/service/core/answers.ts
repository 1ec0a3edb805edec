import type { Epoch, NodeId, Peer, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, noEpoch } from '../../../shared/protocol/kernel/ids.js';
import { BoundedMap } from '../../../shared/protocol/kernel/bounded.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { PreparedRef, Report } from '../../../shared/protocol/wire/messages.js';

/** What a node holds, by its own account. */
export interface Copy {
  readonly node: NodeId;
  readonly tip: Tip | null;
  readonly prepared: readonly PreparedRef[];
}

export interface HeardReport {
  readonly from: Peer;
  readonly report: Report;
}

/**
 * What the nodes of the group say of themselves while this master looks and claims. It is all that a starting master can
 * know of what went on without its store: who led meanwhile, who holds more, and who stands behind its claim.
 */
export class Answers {
  /** To this survey, by node and store. */
  readonly #reports = new BoundedMap<string, HeardReport>(limits.maxMembers);
  /** The newest account of each node and store, in whatever message it came. */
  readonly #copies = new BoundedMap<string, Copy>(limits.maxMembers);
  /** Who granted the epoch that is claimed now. */
  readonly #granted = new Set<NodeId>();
  /** The newest epoch that anybody is, or was, bound to; and the newest of those that another store claimed. */
  #newest: Epoch = noEpoch;
  #newestOfOthers: Epoch = noEpoch;

  constructor(private readonly isOwn: (epoch: Epoch) => boolean) {}

  onSurvey(): void {
    this.#reports.clear();
  }

  onClaim(): void {
    this.#granted.clear();
  }

  onReport(from: Peer, report: Report): void {
    this.#reports.set(keyOf(from), { from, report });
    this.note(from, report);
  }

  onGranted(node: NodeId): void {
    if (this.#granted.size < limits.maxMembers) this.#granted.add(node);
  }

  /** What a node says of itself: in a report, a promise, a join, or as a master in its heartbeat. */
  note(from: Peer, { promised, tip, prepared }: Pick<Report, 'promised' | 'tip' | 'prepared'>): void {
    this.#copies.set(keyOf(from), { node: from.node, tip, prepared });
    if (compareEpochs(promised, this.#newest) > 0) this.#newest = promised;
    if (compareEpochs(promised, this.#newestOfOthers) > 0 && !this.isOwn(promised)) this.#newestOfOthers = promised;
  }

  get reports(): readonly HeardReport[] {
    return [...this.#reports.values()];
  }

  get copies(): readonly Copy[] {
    return [...this.#copies.values()];
  }

  get granted(): number {
    return this.#granted.size;
  }

  get newestEpochNumber(): number {
    return this.#newest.number;
  }

  hasReported(node: NodeId): boolean {
    return this.reports.some(({ from }) => from.node === node);
  }

  /** Somebody was bound to a master of another store, in a reign above `above`; it need not be any more. */
  tellOfOthers(above: Epoch = noEpoch): boolean {
    return compareEpochs(this.#newestOfOthers, above) > 0;
  }
}

function keyOf({ node, incarnation }: Peer): string {
  return `${node}/${incarnation.storeId}`;
}
