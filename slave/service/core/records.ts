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
} as const;

/** What the service finds on disk when it starts. */
export interface SlaveRecovered {
  readonly record: SlaveRecord | null;
  /** Oldest round first. */
  readonly prepared: readonly PreparedRecord[];
}

export function recoverSlave(store: StoreReader, dataSet: DataSetId): SlaveRecovered {
  const prepared = [...store.range(slaveKeys.prepareds(dataSet))].map(({ value }) => value as PreparedRecord);
  prepared.sort((a, b) => compareEpochs(a.round.epoch, b.round.epoch) || a.round.number - b.round.number);
  return { record: (store.get(slaveKeys.record(dataSet)) as SlaveRecord | undefined) ?? null, prepared };
}
