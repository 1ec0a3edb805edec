import type { NodeEvents, OfDataSet, OfNode } from '../shared/runtime/events.js';
import type { MasterCoreEvents } from './service/core/events.js';
import type { MasterServiceEvents } from './service/events.js';

/**
 * Everything that a master tells through `on`, its log and its diagnostics channels, by name: `docs/events.md`. Tips are
 * written for people, like `e3 v42`.
 */
export type MasterEvents = OfDataSet<MasterCoreEvents & MasterServiceEvents> & OfNode<NodeEvents>;
