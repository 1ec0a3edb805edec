import type { DataSetId, Delta, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, sameTip, tipKey, versionOf } from '../../../shared/protocol/kernel/ids.js';
import { invariant } from '../../../shared/protocol/kernel/invariant.js';
import { limits } from '../../../shared/protocol/kernel/limits.js';
import type { StoreOperation } from '../../../shared/protocol/kernel/store.js';
import type { ChainRecord, HistoryRecord, MasterRecovered } from './records.js';
import { masterKeys } from './records.js';

interface Step {
  readonly ordinal: number;
  readonly delta: Delta;
  readonly sinceMs: number;
}

/** A state of the chain; `committedMs` is 0 when this process didn't see it committed. */
interface Link extends ChainRecord {
  readonly committedMs: number;
}

/**
 * The chain of committed states and the deltas between the newest of them. The deltas are bounded in bytes and in age;
 * the names of the states are kept far longer, since a name answers whether a round committed.
 */
export class History {
  /** The newest state whose decision is durable. */
  tip: Tip | null;
  bytes = 0;
  #steps: Step[] = [];
  readonly #chain: Link[];
  #startedMs = 0;
  readonly #ordinals = new Map<string, number>();
  /** A scheduled change's: decided, and committed at its instant. A copy may be there a moment before this original. */
  armedTip: Tip | null = null;
  #nextOrdinal: number;

  constructor(
    private readonly dataSet: DataSetId,
    private readonly bounds: { readonly bytes: number; readonly ageMs: number },
    recovered: Pick<MasterRecovered, 'tip' | 'history' | 'chain'>,
  ) {
    this.tip = recovered.tip;
    this.#chain = recovered.chain.map((record) => ({ ...record, committedMs: 0 }));
    for (const record of this.#chain) this.#ordinals.set(tipKey(record.tip), record.ordinal);
    this.#nextOrdinal = (this.#chain.at(-1)?.ordinal ?? -1) + 1;
    for (const { ordinal, delta } of recovered.history) {
      this.#steps.push({ ordinal, delta, sinceMs: 0 });
      this.bytes += delta.bytes.byteLength;
    }
  }

  /** The state at which an original begins whose earlier history nobody here knows: adopted, or the host's own. */
  beginAt(tip: Tip): StoreOperation[] {
    invariant(this.#steps.length === 0 && this.#chain.length === 0, 'a history begins once');
    this.#nextOrdinal = 1; // not 0: what came before is unknown, so the pruning mark lies at this tip
    const record: ChainRecord = { ordinal: this.#nextOrdinal, tip };
    this.#chain.push({ ...record, committedMs: 0 });
    this.#ordinals.set(tipKey(tip), this.#nextOrdinal);
    this.#nextOrdinal += 1;
    this.tip = tip;
    return [
      { kind: 'put', key: masterKeys.chain(this.dataSet, record.ordinal), value: record },
      { kind: 'put', key: masterKeys.tip(this.dataSet), value: tip },
    ];
  }

  /** What makes `delta` the newest committed state on disk. Nothing is committed before `confirm`. */
  stage(delta: Delta, nowMs: number): StoreOperation[] {
    const ordinal = this.#nextOrdinal;
    this.#nextOrdinal += 1;
    const history: HistoryRecord = { ordinal, delta };
    const chain: ChainRecord = { ordinal, tip: delta.to };
    return [
      ...this.#prune(delta.bytes.byteLength, nowMs),
      { kind: 'put', key: masterKeys.history(this.dataSet, ordinal), value: history },
      { kind: 'put', key: masterKeys.chain(this.dataSet, ordinal), value: chain },
      { kind: 'put', key: masterKeys.tip(this.dataSet), value: delta.to },
    ];
  }

  /** The write of `stage` is durable: the state is committed. In the order of the stages. */
  confirm(delta: Delta, nowMs: number): void {
    const ordinal = (this.#chain.at(-1)?.ordinal ?? -1) + 1;
    this.#chain.push({ ordinal, tip: delta.to, committedMs: nowMs });
    this.#ordinals.set(tipKey(delta.to), ordinal);
    this.#steps.push({ ordinal, delta, sinceMs: nowMs });
    this.bytes += delta.bytes.byteLength;
    this.tip = delta.to;
  }

  /** Null, "nothing", is where every chain begins. */
  isOnChain(tip: Tip | null): boolean {
    return tip === null || this.#ordinals.has(tipKey(tip));
  }

  /** On the chain, or where it is decided to go. */
  isOnWay(tip: Tip | null): boolean {
    return this.isOnChain(tip) || sameTip(tip, this.armedTip);
  }

  /** Versions at or below this one may have been forgotten: "not on the chain" proves nothing for them. */
  get pruningMark(): number {
    const oldest = this.#chain[0];
    return oldest === undefined || oldest.ordinal === 0 ? 0 : oldest.tip.version;
  }

  /** Committed states between `tip` and the newest one; null when the chain can't say. */
  distance(tip: Tip | null): number | null {
    const newest = this.#chain.at(-1);
    if (newest === undefined) return tip === null ? 0 : null;
    if (tip === null) return newest.ordinal + 1;
    const ordinal = this.#ordinals.get(tipKey(tip));
    return ordinal === undefined ? null : newest.ordinal - ordinal;
  }

  /** What was on disk already is at least so old as this process. */
  onStarted(nowMs: number): void {
    this.#startedMs = nowMs;
  }

  /** Since the oldest committed state that a copy at `tip` lacks was committed; 0 when it lacks none, null when the chain can't say. */
  lackedMs(tip: Tip | null, nowMs: number): number | null {
    const distance = this.distance(tip);
    if (distance === null || distance === 0) return distance;
    const oldest = this.#chain[Math.max(0, this.#chain.length - distance)];
    return oldest === undefined ? null : nowMs - Math.max(this.#startedMs, oldest.committedMs);
  }

  /** A copy that this master's original doesn't contain, and that is newer than it by epoch and version. */
  isBehind(tip: Tip | null): boolean {
    if (tip === null || this.isOnWay(tip)) return false;
    if (this.tip === null) return true;
    const order = compareEpochs(tip.epoch, this.tip.epoch);
    return order > 0 || (order === 0 && tip.version > versionOf(this.tip));
  }

  /** The deltas from one committed state to another, successive, oldest first; null when the bytes are gone. */
  steps(from: Tip | null, to: Tip | null): readonly Delta[] | null {
    const first = this.#steps[0];
    if (first === undefined) return this.distance(from) === 0 ? [] : null;
    const fromOrdinal = from === null ? -1 : this.#ordinals.get(tipKey(from));
    if (fromOrdinal === undefined) return null;
    const start = fromOrdinal + 1 - first.ordinal;
    if (start < 0 || (start === 0 && from === null && first.delta.from !== null)) return null;
    const toOrdinal = to === null ? undefined : this.#ordinals.get(tipKey(to));
    const end = toOrdinal === undefined ? this.#steps.length : toOrdinal + 1 - first.ordinal;
    return this.#steps.slice(start, Math.max(start, end)).map(({ delta }) => delta);
  }

  /** The committed changes above a version, oldest first, at most `count`; null when the bytes are gone. */
  after(version: number, count: number): readonly Delta[] | null {
    if (version >= versionOf(this.tip)) return [];
    const first = this.#steps[0];
    if (first === undefined || version < versionOf(first.delta.from)) return null;
    const start = firstWhere(this.#steps.length, (index) => (this.#steps[index]?.delta.to.version ?? 0) > version);
    return this.#steps.slice(start, start + count).map(({ delta }) => delta);
  }

  /** The state of this version on the chain; null when there is none, or its name is forgotten. */
  tipAt(version: number): Tip | null {
    const index = firstWhere(this.#chain.length, (each) => (this.#chain[each]?.tip.version ?? 0) >= version);
    const tip = this.#chain[index]?.tip;
    return tip?.version === version ? tip : null;
  }

  /** The version from which on changes are kept. */
  get oldestVersion(): number | null {
    const first = this.#steps[0];
    return first === undefined ? (this.tip?.version ?? null) : versionOf(first.delta.from);
  }

  /** The newest committed changes whose bytes are kept, oldest first, at most `count`. */
  newestSteps(count: number): readonly Delta[] {
    return this.#steps.slice(-count).map(({ delta }) => delta);
  }

  get oldestDelta(): Tip | null {
    return this.#steps[0]?.delta.to ?? null;
  }

  /** Bounded in bytes and in age (G10). The newest step always stays; names go at their own bound. */
  #prune(comingBytes: number, nowMs: number): StoreOperation[] {
    const operations: StoreOperation[] = [];
    let dropped = 0;
    for (const step of this.#steps) {
      const tooMuch = this.bytes + comingBytes > this.bounds.bytes;
      const tooOld = nowMs - step.sinceMs > this.bounds.ageMs;
      if (!tooMuch && !tooOld) break;
      dropped += 1;
      this.bytes -= step.delta.bytes.byteLength;
      operations.push({ kind: 'remove', key: masterKeys.history(this.dataSet, step.ordinal) });
    }
    if (dropped > 0) this.#steps = this.#steps.slice(dropped);
    if (this.#chain.length > limits.chainTips) {
      for (const record of this.#chain.splice(0, this.#chain.length - limits.chainTips)) {
        this.#ordinals.delete(tipKey(record.tip));
        operations.push({ kind: 'remove', key: masterKeys.chain(this.dataSet, record.ordinal) });
      }
    }
    return operations;
  }
}

/** The first index for which an ascending list passes the test; `length` when none does. */
function firstWhere(length: number, passes: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (passes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
