import type { DataSetId, Delta, Epoch, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import { compareEpochs, roundKey } from '../../../shared/protocol/kernel/ids.js';
import type { StoreKey, StoreReader } from '../../../shared/protocol/kernel/store.js';

/** What the slave's service keeps on disk for one data set. The data and the tip are the user layer's. */

export interface SlaveRecord {
  /** The newest reign that this slave promised itself to. Durable before it obeys. */
  readonly promised: Epoch;
}

/** A vote of yes that is not settled yet. Durable before the vote leaves (G2). */
export interface PreparedRecord {
  readonly round: RoundId;
  /** The state that the round starts from; `change.from` is null when the change is a whole state. */
  readonly from: Tip | null;
  readonly change: Delta;
  /** How many had to say yes. */
  readonly voters: number;
  /** Group time at which it is to be exposed; null: as soon as it is decided. Absent in records of older releases. */
  readonly activateAtMs?: number | null;
  /** What this slave did, durably, when it was told that the change is decided for its instant. */
  readonly mark?: ArmingMark | null;
}

/** Durable before it is reported (G16). */
export interface ArmingMark {
  /** In whose reign it was told so. A later reign has to say it again: it may know better. */
  readonly reign: Epoch;
  /** Of the newest note that was heeded. */
  readonly order: number;
  /** False: an arming was taken back, or never came before this. */
  readonly armed: boolean;
}

/** An operator decided a round in doubt. Durable before it is carried out, and kept: no master said so. */
export interface OperatorDecision {
  readonly round: RoundId;
  readonly to: Tip;
  readonly outcome: 'committed' | 'aborted';
  /** Who decided, as they named themselves. */
  readonly by: string;
  /** The time of day. */
  readonly wallMs: number;
}

export const slaveKeys = {
  record: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'slave', 'record'],
  prepared: (dataSet: DataSetId, round: RoundId): StoreKey => [
    'service',
    dataSet,
    'slave',
    'prepared',
    roundKey(round),
  ],
  prepareds: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'slave', 'prepared'],
  resolved: (dataSet: DataSetId, round: RoundId): StoreKey => [
    'service',
    dataSet,
    'slave',
    'resolved',
    roundKey(round),
  ],
  resolveds: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'slave', 'resolved'],
} as const;

/** What the service finds on disk when it starts. */
export interface SlaveRecovered {
  readonly record: SlaveRecord | null;
  /** Oldest round first. */
  readonly prepared: readonly PreparedRecord[];
  /** Oldest first. */
  readonly resolved: readonly OperatorDecision[];
}

export function recoverSlave(store: StoreReader, dataSet: DataSetId): SlaveRecovered {
  const prepared = [...store.range(slaveKeys.prepareds(dataSet))].map(({ value }) => value as PreparedRecord);
  prepared.sort((a, b) => compareEpochs(a.round.epoch, b.round.epoch) || a.round.number - b.round.number);
  const resolved = [...store.range(slaveKeys.resolveds(dataSet))].map(({ value }) => value as OperatorDecision);
  resolved.sort((a, b) => a.wallMs - b.wallMs);
  return { record: (store.get(slaveKeys.record(dataSet)) as SlaveRecord | undefined) ?? null, prepared, resolved };
}
