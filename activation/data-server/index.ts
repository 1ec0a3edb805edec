export { DataServer } from './data-server.js';
export type { CycleAnswer, DataServerOptions, PromoteAnswer, RollAnswer } from './data-server.js';
export type { ChangesQuery, CopiedChanges } from './changes.js';
export type { CopiedItem, ItemsQuery, StoredItem } from './cycle-store.js';
export type { DataServerEvents } from './events.js';
export type { ServerClock } from './server-clock.js';
