export { CycleCopy } from './cycle-copy.js';
export { registerCycleCopyMetrics } from './metrics.js';
export type { CycleTable } from './core/io.js';
export type { CycleCopyEvents } from './events.js';
export type {
  Activation,
  ActivationMode,
  CycleCopyOptions,
  CycleCopyState,
  CycleEntry,
  CycleView,
  CycleWaitOptions,
  ShownCycle,
  ShownIterator,
} from './types.js';
export type { Cancellable } from '../../shared/runtime/aborting.js';
export type { ListenOptions, Subscription } from '../../shared/runtime/node-events.js';
export type { MetricsOptions } from '../../shared/metrics/register.js';
export type { EventLevel, EventOf, EventShape } from '../../shared/protocol/kernel/events.js';
export type { Digest } from '../../shared/protocol/kernel/ids.js';
export type { ListOptions } from '../../shared/protocol/key-value/state.js';
