/** `lockstep/master`: what a host imports to own an original. */
export { Master } from './master.js';
export type { MasterStatus } from './master.js';
export { registerMetrics } from './metrics/register.js';
export type { MasterMetricsOptions } from './metrics/register.js';
export { directory } from './user/directory.js';
export { keyValue } from './user/key-value.js';
export type { MasterEvents } from './events.js';
export type {
  CancelActivationOptions,
  DataSetDefaults,
  GroupOptions,
  Instant,
  MasterDataSet,
  MasterKind,
  MasterKindContext,
  MasterKindParts,
  MasterOptions,
  MasterRegisterOptions,
  ReplicateOptions,
  ReplicateTrace,
} from './types.js';
export type { MasterUserLayer } from './user/contract.js';
export type {
  ChangeOptions,
  ChangeOutcome,
  ChangeRefusal,
  ChangeTrace,
  ConditionFailure,
  MasterKeyValue,
  MasterKeyValueOptions,
  ScheduledChangeOutcome,
} from './user/key-value-types.js';
export type {
  MasterDirectory,
  MasterDirectoryOptions,
  PublishOptions,
  PublishOutcome,
  ScheduledPublishOutcome,
  WatchOptions,
  WatchOutcome,
} from './user/directory-types.js';
export type { TreeDifference } from '../shared/protocol/directory/tree.js';
export type {
  ActivationView,
  ArmedView,
  MasterPhase,
  MasterView,
  MemberView,
  RoundAccount,
  RoundVote,
  RoundView,
} from './service/core/view.js';
export { errorCodes, LockstepError } from '../shared/protocol/kernel/errors.js';
export type { ErrorCode } from '../shared/protocol/kernel/errors.js';
export type { EventLevel, EventOf, EventShape } from '../shared/protocol/kernel/events.js';
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
  ArmingTally,
  Cancellation,
  ContentChoice,
  DeliveryMode,
  Durability,
  NodeRefusal,
  Outcome,
  Phases,
  ScheduledOutcome,
  VoterPolicy,
  VoteTally,
} from '../shared/protocol/kernel/outcome.js';
export type { ResyncCause, ResyncCounts } from '../shared/protocol/kernel/resyncs.js';
export type { StoreKey, StoreReader, StoreTransaction, StoreValue } from '../shared/protocol/kernel/store.js';
export type { DeleteOperation, Entry, Json, Operation, PutOperation } from '../shared/protocol/key-value/operations.js';
export type { ValueSchema } from '../shared/protocol/key-value/schema.js';
export type { Clock, EventLog, EventRecord, Store, WriteOptions } from '../shared/runtime/ports.js';
export type { Cancellable } from '../shared/runtime/aborting.js';
export { loggerOf } from '../shared/runtime/loggers.js';
export type { AnyLogger, LoggerOfOptions } from '../shared/runtime/loggers.js';
export type { NetworkStatus } from '../shared/runtime/network-status.js';
export type { ChannelMessage, EventSource, ListenOptions, Subscription } from '../shared/runtime/node-events.js';
export type { KeySource } from '../shared/runtime/key-files.js';
