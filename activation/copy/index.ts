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
