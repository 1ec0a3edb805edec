import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import type { CycleStore } from '../../../activation/data-server/cycle-store.js';
import { EmbeddedCycleStore } from '../../../activation/data-server/lmdb-cycle-store.js';
import { PostgresqlCycleStore } from '../../../activation/data-server/postgresql-cycle-store.js';
import { PostgresqlServer, skipsPostgresql } from '../../support/postgresql-server.js';
import { cycleStoreConformance, type CycleStoreHarness } from './cycle-store-conformance.js';

const opened: CycleStore[] = [];
const folders: string[] = [];
/** Where a store's database is, for a second one on the same. */
const places = new WeakMap<CycleStore, string>();

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

function kept(store: CycleStore, place: string): CycleStore {
  opened.push(store);
  places.set(store, place);
  return store;
}

const embedded: CycleStoreHarness = {
  async open({ again, ...options }) {
    const found = again === undefined ? undefined : places.get(again);
    const folder = found ?? (await mkdtemp(join(tmpdir(), 'lockstep-cycle-')));
    if (found === undefined) folders.push(folder);
    return kept(await EmbeddedCycleStore.open({ ...options, folder }), folder);
  },
};

cycleStoreConformance('embedded', () => embedded);

describe.skipIf(skipsPostgresql('a data server on PostgreSQL'))('with a server', () => {
  let server: PostgresqlServer;
  let databases = 0;

  beforeAll(async () => {
    server = await PostgresqlServer.start();
  }, 120_000);
  afterAll(async () => {
    await server.stop();
  }, 60_000);

  const postgresql: CycleStoreHarness = {
    async open({ again, ...options }) {
      const found = again === undefined ? undefined : places.get(again);
      databases += 1;
      const url = found ?? (await server.createDatabase(`cycle_${databases}`));
      return kept(await PostgresqlCycleStore.open({ ...options, url }), url);
    },
  };

  cycleStoreConformance('PostgreSQL', () => postgresql);
});
