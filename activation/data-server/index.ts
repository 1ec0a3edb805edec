export { DataServer } from './data-server.js';
export { registerDataServerMetrics } from './metrics/register.js';
export type { CycleAnswer, DataServerCounters, DataServerOptions, PromoteAnswer, RollAnswer } from './data-server.js';
export type { ChangesQuery, CopiedChanges } from './changes.js';
export type { CopiedItem, ItemsQuery, StoredItem } from './cycle-store.js';
export type { DataServerListenOptions, ServedHttp } from './http/serve.js';
export type { DataServerEvents } from './events.js';
export type { ServerClock } from './server-clock.js';
