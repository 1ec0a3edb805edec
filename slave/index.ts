/** `lockstep/slave`: what a host imports to hold a copy. */
export { Slave } from './slave.js';
export type { SlaveStatus } from './slave.js';
export { registerMetrics } from './metrics/register.js';
export type { MetricsOptions } from '../shared/metrics/register.js';
export { keyValue } from './user/key-value.js';
export type {
  ExposedChange,
  SlaveDataSet,
  SlaveDataSetOptions,
  SlaveKind,
  SlaveKindContext,
  SlaveKindParts,
  SlaveOptions,
} from './types.js';
export type { PrepareAnswer, SharedCommit, SlaveUserLayer } from './user/contract.js';
export type { SlaveKeyValue, SlaveKeyValueOptions } from './user/key-value-types.js';
export type { InDoubtView, SlaveView } from './service/core/view.js';
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
export type { Durability } from '../shared/protocol/kernel/outcome.js';
export type { StoreKey, StoreReader, StoreTransaction, StoreValue } from '../shared/protocol/kernel/store.js';
export type { SlaveState } from '../shared/protocol/wire/messages.js';
export type { DeleteOperation, Entry, Json, Operation, PutOperation } from '../shared/protocol/key-value/operations.js';
export type { EventLog, EventRecord, Store } from '../shared/runtime/ports.js';
export type { KeySource } from '../shared/runtime/key-files.js';
