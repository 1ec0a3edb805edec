import type { NodeEvents, OfDataSet, OfNode } from '../shared/runtime/events.js';
import type { SlaveCoreEvents } from './service/core/events.js';
import type { SlaveServiceEvents } from './service/events.js';

/**
 * Everything that a slave tells through `on`, its log and its diagnostics channels, by name: `docs/events.md`. Tips are
 * written for people, like `e3 v42`.
 */
export type SlaveEvents = OfDataSet<SlaveCoreEvents & SlaveServiceEvents> & OfNode<NodeEvents>;
