import type { DataSetId, Delta, Epoch, NodeId, RoundId, Tip } from '../../../shared/protocol/kernel/ids.js';
import type { StoreKey, StoreReader } from '../../../shared/protocol/kernel/store.js';

/** What the master's service keeps on disk for one data set. */

/** Who leads. Durable in every mode, before it leads. */
export interface ReignRecord {
  /** The newest epoch that this store claimed. */
  readonly epoch: Epoch;
  /** Reigns of this store, oldest first: the only epochs that "no record, so aborted" is an answer for. */
  readonly reigns: readonly Epoch[];
  /** What the operator gave up by having a copy adopted or the group reset. */
  readonly givenUp: GivenUp | null;
  /** Others than the members here may hold leases: another store led before. Over once something committed in this reign. */
  readonly strangers: boolean;
}

/**
 * What masters of other stores left behind in reigns older than `before`, the one that was claimed at the operator's word:
 * rounds in doubt are answered "superseded"; with a reset also copies give way, whatever they hold. What came after that
 * claim, nobody has given up.
 */
export interface GivenUp {
  readonly before: Epoch;
  readonly what: 'rounds' | 'rounds and copies';
}

export interface MemberRecord {
  readonly node: NodeId;
  /** The member's place in voter bitmaps; never given to another. */
  readonly slot: number;
  readonly storeId: string;
  readonly start: number;
}

/** A scheduled change that is decided and waits for its instant. Durable before the first arming leaves (G3, G16). */
export interface ArmedRecord {
  /** Of the reign that decided it, also when a later one carries it on. */
  readonly round: RoundId;
  readonly change: Delta;
  /** Group time. */
  readonly activateAtMs: number;
  /** Whose yes the decision counted, and who may therefore be armed: a cancellation needs each of them. */
  readonly voters: readonly NodeId[];
  readonly operations: number | null;
}

/** A committed change. Its bytes go first when the history outgrows its bounds. */
export interface HistoryRecord {
  readonly ordinal: number;
  readonly delta: Delta;
}

/** The name of a committed state, kept far longer than its delta. */
export interface ChainRecord {
  readonly ordinal: number;
  readonly tip: Tip;
}

export const masterKeys = {
  reign: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'reign'],
  adopting: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'adopting'],
  tip: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'tip'],
  nextSlot: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'next-slot'],
  member: (dataSet: DataSetId, node: NodeId): StoreKey => ['service', dataSet, 'master', 'member', node],
  members: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'member'],
  history: (dataSet: DataSetId, ordinal: number): StoreKey => ['service', dataSet, 'master', 'history', ordinal],
  histories: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'history'],
  chain: (dataSet: DataSetId, ordinal: number): StoreKey => ['service', dataSet, 'master', 'chain', ordinal],
  chains: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'chain'],
  armed: (dataSet: DataSetId): StoreKey => ['service', dataSet, 'master', 'armed'],
} as const;

/** What the service finds on disk when it starts. */
export interface MasterRecovered {
  readonly reign: ReignRecord | null;
  /** The copy that an operator told this store to adopt; no epoch was claimed with it yet. */
  readonly adopting: Tip | null;
  /** The newest state whose decision is durable. */
  readonly tip: Tip | null;
  readonly nextSlot: number;
  readonly members: readonly MemberRecord[];
  /** In order of commitment, oldest first. */
  readonly history: readonly HistoryRecord[];
  readonly chain: readonly ChainRecord[];
  readonly armed: ArmedRecord | null;
}

export function recoverMaster(store: StoreReader, dataSet: DataSetId): MasterRecovered {
  const all = <Value>(prefix: StoreKey): Value[] => [...store.range(prefix)].map(({ value }) => value as Value);
  return {
    reign: (store.get(masterKeys.reign(dataSet)) as ReignRecord | undefined) ?? null,
    adopting: (store.get(masterKeys.adopting(dataSet)) as Tip | undefined) ?? null,
    tip: (store.get(masterKeys.tip(dataSet)) as Tip | undefined) ?? null,
    nextSlot: (store.get(masterKeys.nextSlot(dataSet)) as number | undefined) ?? 0,
    members: all<MemberRecord>(masterKeys.members(dataSet)),
    history: all<HistoryRecord>(masterKeys.histories(dataSet)).sort((a, b) => a.ordinal - b.ordinal),
    chain: all<ChainRecord>(masterKeys.chains(dataSet)).sort((a, b) => a.ordinal - b.ordinal),
    armed: (store.get(masterKeys.armed(dataSet)) as ArmedRecord | undefined) ?? null,
  };
}
