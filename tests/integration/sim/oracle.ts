import type { DataSetId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { sameTip } from '../../../shared/protocol/kernel/ids.js';
import type { Durability } from '../../../shared/protocol/kernel/outcome.js';
import type { StoreOperation, StoreReader } from '../../../shared/protocol/kernel/store.js';
import type { ArmedRecord, HistoryRecord } from '../../../master/service/core/records.js';
import { masterKeys } from '../../../master/service/core/records.js';
import type { Checker, GuaranteeId, SimulatedClock } from './checkers/checker.js';
import { checkers } from './checkers/index.js';
import { Coverage } from './coverage.js';
import type { Observation } from './observation.js';
import { committedStep, Truth } from './truth.js';

/** A guarantee that did not hold, with the facts. */
export interface Failure {
  readonly guarantee: GuaranteeId;
  readonly atMs: number;
  readonly text: string;
}

export interface OracleOptions {
  readonly dataSet: DataSetId;
  readonly durability: Durability;
  readonly leaseMs: number;
  readonly takeOver: boolean;
  readonly maxOpenRounds: number;
  readonly nowMs: () => number;
  readonly clockOf: (node: string) => SimulatedClock | null;
  readonly durable: (node: string) => StoreReader | null;
}

/** More than this says nothing new. */
const maxFailures = 20;

/** Knows what was committed, and has every guarantee checked at each thing that happens. */
export class Oracle {
  readonly truth = new Truth();
  readonly coverage = new Coverage();
  readonly #options: OracleOptions;
  readonly #checkers: readonly Checker[];
  readonly #failures: Failure[] = [];
  readonly #seen = new Set<string>();
  /** The committed tip on each master's disk. */
  readonly #durableTips = new Map<string, Tip | null>();
  /** The scheduled change on each master's disk. */
  readonly #armed = new Map<string, ArmedRecord>();

  constructor(options: OracleOptions) {
    this.#options = options;
    const context = {
      ...options,
      truth: this.truth,
      fail: (id: GuaranteeId, text: string): void => {
        this.#fail(id, text);
      },
      judged: (id: GuaranteeId): void => {
        this.coverage.judged(id);
      },
    };
    this.#checkers = checkers.map((make) => make(context));
  }

  get failures(): readonly Failure[] {
    return this.#failures;
  }

  observe(observation: Observation): void {
    this.#learn(observation);
    for (const checker of this.#checkers) checker.observe(observation);
  }

  /** The run is over and everybody should be healed. */
  finish(): void {
    for (const checker of this.#checkers) checker.finish?.();
  }

  #learn(observation: Observation): void {
    if (observation.kind === 'durable') this.#learnDurable(observation.node, observation.operations);
    if (observation.kind === 'exposed' || observation.kind === 'decided')
      this.#learnActivated(observation.kind === 'exposed' ? observation.tip : observation.change.to);
    if (observation.kind === 'decided' && this.#options.durability === 'memory') {
      const { node, change } = observation;
      this.truth.commit(committedStep(change, this.#durableTips.get(node) ?? null), this.#options.nowMs());
      this.#durableTips.set(node, change.to);
    }
    if (observation.kind === 'sent' && observation.role === 'master' && observation.packet.message.kind === 'abort') {
      this.truth.abort(observation.packet.message.to);
    }
  }

  /** What is armed on the master's disk is committed from the moment at which anybody's instant has come. */
  #learnActivated(tip: Tip | null): void {
    for (const [node, { change }] of this.#armed) {
      if (!sameTip(change.to, tip)) continue;
      this.truth.commit(committedStep(change, this.#durableTips.get(node) ?? null), this.#options.nowMs());
    }
  }

  #learnArmed(node: string, operations: readonly StoreOperation[]): void {
    const armed = masterKeys.armed(this.#options.dataSet);
    for (const operation of operations) {
      if (!armed.every((part, index) => part === operation.key[index])) continue;
      if (operation.kind === 'put') this.#armed.set(node, operation.value as ArmedRecord);
      else this.#armed.delete(node);
    }
  }

  /** A change is committed when its record is on the master's disk, whatever the master knows of it. */
  #learnDurable(node: string, operations: readonly StoreOperation[]): void {
    this.#learnArmed(node, operations);
    const history = masterKeys.histories(this.#options.dataSet);
    for (const operation of operations) {
      if (operation.kind !== 'put' || operation.key.length <= history.length) continue;
      if (!history.every((part, index) => part === operation.key[index])) continue;
      const { delta } = operation.value as HistoryRecord;
      this.truth.commit(committedStep(delta, this.#durableTips.get(node) ?? null), this.#options.nowMs());
      this.#durableTips.set(node, delta.to);
    }
  }

  /** One fault shows itself again and again; the first time of each is enough. */
  #fail(guarantee: GuaranteeId, text: string): void {
    const key = `${guarantee} ${text}`;
    if (this.#seen.has(key) || this.#failures.length >= maxFailures) return;
    this.#seen.add(key);
    this.#failures.push({ guarantee, atMs: this.#options.nowMs(), text });
  }
}
