/** `lockstep/slave`: what a host imports to hold a copy. */
export { Slave } from './slave.js';
export type { SlaveStatus } from './slave.js';
export { registerMetrics } from './metrics/register.js';
export type { MetricsOptions } from '../shared/metrics/register.js';
export { directory } from './user/directory.js';
export { keyValue } from './user/key-value.js';
export type { SlaveEvents } from './events.js';
export type {
  ChangeIterator,
  ExposedChange,
  ReachedOptions,
  SlaveDataSet,
  SlaveDataSetOptions,
  SlaveKind,
  SlaveKindContext,
  SlaveKindParts,
  SlaveOptions,
  SlaveRegisterOptions,
} from './types.js';
export type { PrepareAnswer, SharedCommit, SlaveUserLayer } from './user/contract.js';
export type { KeyValueChange, SlaveKeyValue, SlaveKeyValueOptions } from './user/key-value-types.js';
export type { ValueSchema } from '../shared/protocol/key-value/schema.js';
export type { OperatorDecision } from './service/core/records.js';
export type { ArmedHereView, ClockView, InDoubtView, SlaveView } from './service/core/view.js';
export type { SlaveDirectory, SlaveDirectoryOptions, StagedFolder } from './user/directory-types.js';
export type { TreeDifference } from '../shared/protocol/directory/tree.js';
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
export type { Durability } from '../shared/protocol/kernel/outcome.js';
export type { ResyncCause, ResyncCounts } from '../shared/protocol/kernel/resyncs.js';
export type { StoreKey, StoreReader, StoreTransaction, StoreValue } from '../shared/protocol/kernel/store.js';
export type { SlaveState } from '../shared/protocol/wire/messages.js';
export type { DeleteOperation, Entry, Json, Operation, PutOperation } from '../shared/protocol/key-value/operations.js';
export type { EventLog, EventRecord, Store, WriteOptions } from '../shared/runtime/ports.js';
export type { Cancellable } from '../shared/runtime/aborting.js';
export { loggerOf } from '../shared/runtime/loggers.js';
export type { AnyLogger, LoggerOfOptions } from '../shared/runtime/loggers.js';
export type { NetworkStatus } from '../shared/runtime/network-status.js';
export type { ChannelMessage, EventSource, ListenOptions, Subscription } from '../shared/runtime/node-events.js';
export type { KeySource } from '../shared/runtime/key-files.js';
