/** `lockstep/master`: what a host imports to own an original. */
export { Master } from './master.js';
export type { MasterStatus } from './master.js';
export { registerMetrics } from './metrics/register.js';
export type { MasterMetricsOptions } from './metrics/register.js';
export { keyValue } from './user/key-value.js';
export type {
  DataSetDefaults,
  GroupOptions,
  MasterDataSet,
  MasterKind,
  MasterKindContext,
  MasterKindParts,
  MasterOptions,
  ReplicateOptions,
} from './types.js';
export type { MasterUserLayer } from './user/contract.js';
export type {
  ChangeOptions,
  ChangeOutcome,
  ChangeRefusal,
  ConditionFailure,
  MasterKeyValue,
} from './user/key-value-types.js';
export type { MasterPhase, MasterView, MemberView, RoundAccount, RoundVote, RoundView } from './service/core/view.js';
export { errorCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
export type { ErrorCode } from '../shared/protocol/kernel/errors.js';
export { digestOf } from '../shared/protocol/kernel/digest.js';
export { sameTip, showTip, tipKey, versionOf } from '../shared/protocol/kernel/ids.js';
export type {
  ChainId,
  DataSetId,
  Delta,
  Digest,
  Epoch,
  Incarnation,
  NodeId,
  RoundId,
  Tip,
  Version,
} from '../shared/protocol/kernel/ids.js';
export type {
  AbortReason,
  ContentChoice,
  DeliveryMode,
  Durability,
  NodeRefusal,
  Outcome,
  Phases,
  VoterPolicy,
  VoteTally,
} from '../shared/protocol/kernel/outcome.js';
export type { StoreKey, StoreReader, StoreTransaction, StoreValue } from '../shared/protocol/kernel/store.js';
export type { DeleteOperation, Entry, Json, Operation, PutOperation } from '../shared/protocol/key-value/operations.js';
export type { Clock, EventLog, EventRecord, Store } from '../shared/runtime/ports.js';
export type { KeySource } from '../shared/runtime/key-files.js';
